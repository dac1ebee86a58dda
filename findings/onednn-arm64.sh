#!/usr/bin/env bash
# oneDNN on arm64 (Debian 12, libdnnl-dev 2.6.3-1; Debian 13, 3.7.2+ds-2): what it says that the processor has, and how it convolves.
#
# Guess: dnnl_get_effective_cpu_isa returns a value of dnnl_cpu_isa_t that names the processor, "generic" at worst, and a
# convolution of blocks of 8 channels in single precision is compiled for NEON, or is a matrix product.
# Seen: the values are oneDNN's own, bits for NEON and widths of SVE that no header names. With NEON the value is that of
# dnnl_cpu_isa_sse41, with SVE of 256 bits that of dnnl_cpu_isa_avx2, and oneDNN 3.7 with SVE of 512 bits returns that of
# dnnl_cpu_isa_avx512_core. With NEON alone, blocks of 8 and of 16 channels are convolved by the reference, "ref:any".
# So a program that compares the value with the names of the header takes an arm64 processor for one with AVX2 or AVX-512.
#
# Needs the packages mmdebstrap, gcc-aarch64-linux-gnu and qemu-user-static. MIRROR names another archive of Debian.
# Exits 0 while that is so, 1 when it has changed.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat > probe.c <<'END'
#include <oneapi/dnnl/dnnl.h>
#include <stdio.h>
static const char *implementation(dnnl_engine_t engine, dnnl_format_tag_t tag)
{
    const dnnl_dims_t map = {1, 64, 8, 8}, kernel = {64, 64, 3, 3}, one = {1, 1}, none = {0, 0};
    dnnl_primitive_desc_t pd;
    const char *name = NULL;
#if DNNL_VERSION_MAJOR == 2
    dnnl_memory_desc_t x, w;
    dnnl_convolution_desc_t d;
    (void)none;
    if (dnnl_memory_desc_init_by_tag(&x, 4, map, dnnl_f32, tag) ||
        dnnl_memory_desc_init_by_tag(&w, 4, kernel, dnnl_f32, dnnl_format_tag_any) ||
        dnnl_convolution_forward_desc_init(&d, dnnl_forward_training, dnnl_convolution_direct, &x, &w, NULL, &x, one, one, one) ||
        dnnl_primitive_desc_create(&pd, &d, NULL, engine, NULL))
        return "none";
#else
    dnnl_memory_desc_t x, w;
    if (dnnl_memory_desc_create_with_tag(&x, 4, map, dnnl_f32, tag) ||
        dnnl_memory_desc_create_with_tag(&w, 4, kernel, dnnl_f32, dnnl_format_tag_any) ||
        dnnl_convolution_forward_primitive_desc_create(&pd, engine, dnnl_forward_training, dnnl_convolution_direct, x, w, NULL, x, one, none, one, one, NULL))
        return "none";
#endif
    dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &name);
    return name;
}
int main(void)
{
    dnnl_engine_t engine;
    if (dnnl_engine_create(&engine, dnnl_cpu, 0))
        return 1;
    printf("isa %d, nChw8c %s, nhwc %s, nChw16c %s\n", (int)dnnl_get_effective_cpu_isa(), implementation(engine, dnnl_nChw8c),
           implementation(engine, dnnl_nhwc), implementation(engine, dnnl_nChw16c));
    return 0;
}
END
archive=${MIRROR:-$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' | sed -n '/^Debian /{s///p;q}')}
probe() { # probe SUITE VERSION
    mmdebstrap --quiet --variant=extract --architectures=arm64 --include="libc6-dev,libgomp1,libdnnl-dev=$2" \
        "$1" "$1" "$archive"
    [ -e "$1/lib" ] || ln -s usr/lib "$1/lib"
    aarch64-linux-gnu-gcc --sysroot="$PWD/$1" -o "probe-$1" probe.c -ldnnl
    for cpu in cortex-a57 max; do
        echo "$1 $cpu: $(qemu-aarch64-static -cpu $cpu -L "$1" "./probe-$1")"
    done
}
{ probe bookworm 2.6.3-1; probe trixie 3.7.2+ds-2; } | tee seen
diff seen - <<'END'
bookworm cortex-a57: isa 1, nChw8c ref:any, nhwc gemm:ref, nChw16c ref:any
bookworm max: isa 31, nChw8c ref:any, nhwc gemm:ref, nChw16c jit:sve_512
trixie cortex-a57: isa 1, nChw8c ref:any, nhwc gemm:ref, nChw16c ref:any
trixie max: isa 39, nChw8c jit:sve_256, nhwc brgconv:sve_512, nChw16c jit:sve_512
END
