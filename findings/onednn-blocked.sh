#!/usr/bin/env bash
# oneDNN 2.6.3 (Debian 12, libdnnl2 2.6.3-1) and 3.2.0 (PyPI, onednn-cpu-gomp 2023.2.0): which kernel convolves, and its bits.
#
# Guess: a major version later, oneDNN convolves the same shape by its newer brgemm kernels, so results differ in their last bits,
# and a model trained with one library is not resumed bitwise with the other.
# Seen, with ONEDNN_MAX_CPU_ISA=AVX2: the format of the maps decides, not the version. Blocked maps (nChw8c) go to jit:avx2 in both
# versions and give the same bits, forward and in both gradients. Only maps in nhwc go to brgconv, in 3.2 and not in 2.6.3.
# Winograd has gone.
#
# Exits 0 while that is so, 1 when it has changed.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download -qq libdnnl-dev=2.6.3-1 libdnnl2=2.6.3-1
for deb in *.deb; do dpkg -x "$deb" two; done
python3 -m pip --disable-pip-version-check download -q --no-deps onednn-cpu-gomp==2023.2.0 onednn-devel-cpu-gomp==2023.2.0
for wheel in *.whl; do python3 -m zipfile -e "$wheel" three; done
mkdir lib2 lib3
cp -a two/usr/lib/x86_64-linux-gnu/libdnnl.so* lib2
cp three/onednn_cpu*/data/lib/libdnnl.so.3 lib3
ln -s libdnnl.so.3 lib3/libdnnl.so

cat > conv.c << 'END'
#include <oneapi/dnnl/dnnl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if DNNL_VERSION_MAJOR == 2
typedef const dnnl_memory_desc_t *md_t;
static md_t md(int n, const dnnl_dim_t *dims, dnnl_format_tag_t tag)
{
    dnnl_memory_desc_t *d = malloc(sizeof *d);
    dnnl_memory_desc_init_by_tag(d, n, dims, dnnl_f32, tag);
    return d;
}
static dnnl_primitive_desc_t describe(dnnl_engine_t e, int pass, md_t s, md_t w, md_t r, dnnl_primitive_desc_t hint)
{
    const dnnl_dims_t one = {1, 1};
    dnnl_convolution_desc_t d;
    dnnl_primitive_desc_t pd;
    if (pass == 0)
        dnnl_convolution_forward_desc_init(&d, dnnl_forward_training, dnnl_convolution_direct, s, w, NULL, r, one, one, one);
    else if (pass == 1)
        dnnl_convolution_backward_data_desc_init(&d, dnnl_convolution_direct, s, w, r, one, one, one);
    else
        dnnl_convolution_backward_weights_desc_init(&d, dnnl_convolution_direct, s, w, NULL, r, one, one, one);
    return dnnl_primitive_desc_create(&pd, &d, NULL, e, hint) ? exit(2), NULL : pd;
}
#else
typedef const_dnnl_memory_desc_t md_t;
static md_t md(int n, const dnnl_dim_t *dims, dnnl_format_tag_t tag)
{
    dnnl_memory_desc_t d;
    dnnl_memory_desc_create_with_tag(&d, n, dims, dnnl_f32, tag);
    return d;
}
static dnnl_primitive_desc_t describe(dnnl_engine_t e, int pass, md_t s, md_t w, md_t r, dnnl_primitive_desc_t hint)
{
    const dnnl_dims_t one = {1, 1}, none = {0, 0};
    dnnl_primitive_desc_t pd;
    dnnl_status_t status =
        pass == 0   ? dnnl_convolution_forward_primitive_desc_create(&pd, e, dnnl_forward_training, dnnl_convolution_direct, s,
                                                                     w, NULL, r, one, none, one, one, NULL)
        : pass == 1 ? dnnl_convolution_backward_data_primitive_desc_create(&pd, e, dnnl_convolution_direct, s, w, r, one, none,
                                                                           one, one, hint, NULL)
                    : dnnl_convolution_backward_weights_primitive_desc_create(&pd, e, dnnl_convolution_direct, s, w, NULL, r,
                                                                              one, none, one, one, hint, NULL);
    return status ? exit(2), NULL : pd;
}
#endif
enum { SOURCE = 64 * 128 * 64, WEIGHTS = 128 * 128 * 9 };
static float *fill(size_t n, int salt)
{
    float *x = aligned_alloc(64, n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)((i * 2654435761u + (size_t)salt * 40503u) % 65536 / 32768.0 - 1);
    return x;
}
/* One pass of a convolution of 64 maps of 128 channels and 8x8 pixels, 3x3: its kernel, and a sum of its result's bits. */
static void run(dnnl_engine_t e, dnnl_format_tag_t maps, dnnl_format_tag_t filters, int pass, int executes)
{
    static const int names[3][3] = {{DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST},
                                    {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST},
                                    {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST}};
    const dnnl_dims_t s = {64, 128, 8, 8}, w = {128, 128, 3, 3};
    const int size[3] = {SOURCE, WEIGHTS, SOURCE}, result = (pass + 2) % 3;
    md_t d[3] = {md(4, s, maps), md(4, w, filters), md(4, s, maps)}, any = md(4, w, dnnl_format_tag_any);
    dnnl_primitive_desc_t forward = describe(e, 0, d[0], any, d[2], NULL);
    dnnl_primitive_desc_t pd = describe(e, pass, d[0], d[1], d[2], forward);
    dnnl_primitive_t p;
    dnnl_stream_t stream;
    dnnl_exec_arg_t args[3];
    float *data[3];
    const char *kernel;
    dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, (void *)&kernel);
    printf("%s ", kernel);
    if (!executes)
        return;
    for (int i = 0; i < 3; i++) {
        data[i] = fill((size_t)size[i], i);
        args[i].arg = names[pass][i];
        dnnl_memory_create(&args[i].memory, d[i], e, data[i]);
    }
    dnnl_stream_create(&stream, e, dnnl_stream_default_flags);
    if (dnnl_primitive_create(&p, pd) || dnnl_primitive_execute(p, stream, 3, args) || dnnl_stream_wait(stream))
        exit(3);
    uint32_t sum = 0, bits;
    for (int i = 0; i < size[result]; i++) {
        memcpy(&bits, data[result] + i, sizeof bits);
        sum = sum * 31 + bits;
    }
    printf("%08x ", (unsigned)sum);
}
int main(void)
{
    dnnl_engine_t e;
    dnnl_engine_create(&e, dnnl_cpu, 0);
    run(e, dnnl_nChw8c, dnnl_OIhw8i8o, 0, 1);
    run(e, dnnl_nChw8c, dnnl_OIhw8o8i, 1, 1);
    run(e, dnnl_nChw8c, dnnl_OIhw8i8o, 2, 1);
    run(e, dnnl_nhwc, dnnl_format_tag_any, 0, 0);
    return 0;
}
END
export ONEDNN_MAX_CPU_ISA=AVX2 OMP_NUM_THREADS=1
gcc -Itwo/usr/include -o conv2 conv.c -Llib2 -ldnnl -Wl,-rpath,"$PWD/lib2"
gcc -I"$(echo three/onednn_devel*/data/include)" -o conv3 conv.c -Llib3 -ldnnl -Wl,-rpath,"$PWD/lib3"
two=$(./conv2) three=$(./conv3)
echo "2.6.3, blocked forward, data, weights, then nhwc forward: $two"
echo "3.2.0, blocked forward, data, weights, then nhwc forward: $three"
[[ $two == "jit:avx2 "*" jit:avx2 "*" jit:avx2 "*" jit:avx2 " && $three == "${two% jit:avx2 } brgconv:avx2 " ]]
