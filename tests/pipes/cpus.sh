#!/usr/bin/env bash
# cpus.sh - programs on machines that lack instructions that they were built for, and programs for every machine (make DIST=1) on
# those that have them. qemu-user emulates processors; it has no AVX-512.
. "$(dirname "$0")/lib.sh"
export OMP_NUM_THREADS=1

# A program whose table of instructions has one that no machine has.
PATH=$ROOT/${B:-build}:$PATH
for argument in --version --help ''; do
    # shellcheck disable=SC2086 # the empty one is no argument
    status 70 "an impossible instruction${argument:+, for $argument}" wf-planted $argument
done
wf-planted 2> line
says() { echo "$1" | diff - line; }
ok "in one line" says "wf-planted: built for a processor with no-such-thing, which this machine lacks: build it here with \
make clean all, or for every machine with make DIST=1"

long=$(printf '%0600d' 0)
(exec -a "$long" wf-planted 2> line)
ok "a long name does not push the rest out" grep -qE '^0{60,}: built for a processor with no-such-thing, .*DIST=1$' line

[ "$(uname -m)" = x86_64 ] || { skip "x86-64 alone has instructions to choose from"; exit; }

# Each extension that a compiler knows is in the table, or here: code reaches these by naming them only.
named='ADX|AES|AMX_?(AVX512|BF16|COMPLEX|FP16|FP8|INT8|MOVRS|TF32|TILE|TRANSPOSE)|CLDEMOTE|CLFLUSHOPT|CLWB|CLZERO|CMPCCXADD'
named+='|ENQCMD|FSGSBASE|HRESET|INVPCID|KL|LWP|MOVDIR64B|MOVDIRI|MOVRS|MWAITX|PCONFIG|PKU|PREFETCHI|PREFETCHWT1|PRFCHW|PTWRITE'
named+='|RAOINT|RDPID|RDPRU|RDRND|RDSEED|SERIALIZE|SGX|SHA|SHA512|SHSTK|SM3|SM4|TSXLDTRK|UINTR|USER_?MSR|VAES|VPCLMULQDQ|WAITPKG'
named+='|WBNOINVD|WIDEKL|XSAVE[CS]?|XSAVEOPT'
# These follow from others: LZCNT, SSE4.2, AVX-512, FMA, AVX10 and APX.
named+='|ABM|CRC32|FLT16_HAS_[A-Z_]+|FP_FAST_FMAF?(32|64)?|EVEX(256|512)|AVX10_1_(256|512)|(AVX10_2.*)|CCMP|CF|EGPR|NDD|NF|PPX|PUSH2POP2|ZU'
macros() { # macros COMPILER ARCHITECTURE...: extensions that these have beyond every x86-64
    local compiler=$1 a
    shift
    for a; do "$compiler" "-march=$a" -dM -E -x c /dev/null 2> /dev/null; done | sort -u |
        grep -vxFf <("$compiler" -march=x86-64 -dM -E -x c /dev/null) |
        sed -nE 's/^#define (__[A-Z0-9][A-Z0-9_]*[A-Z0-9]) 1$/\1/p; s/^#define (__[A-Z0-9_]*[A-Z0-9]__) 1$/\1/p' | sort -u
}
unknown() { grep -vxE "__($named)(__)?" | grep -vwFf <(grep -oE '__[A-Z0-9_]+' "$ROOT/tools/startup/built_for.c"); }
for compiler in gcc clang; do
    command -v $compiler > /dev/null || { skip "extensions that clang knows: no $compiler"; continue; }
    # An unknown architecture makes gcc list all; clang has an option for that.
    if [ $compiler = gcc ]; then
        architectures=$(LC_ALL=C gcc -march=none -E -x c /dev/null 2>&1 | sed -n 's/.*valid arguments.* are: //p' | sed 's/;.*//')
    else
        architectures=$(clang --print-supported-cpus 2>&1 | sed -nE 's/^\s+([a-z0-9-]+)$/\1/p')
    fi
    # shellcheck disable=SC2086 # words
    macros $compiler $architectures > $compiler.txt
    ok "$compiler knows AVX-512" grep -qx __AVX512F__ $compiler.txt
    ok "and nothing that the table does not" diff /dev/null <(unknown < $compiler.txt)
done

[ "${B:-build}" = build ] || { skip "emulated processors run the plain build only"; exit; }
DIST=$ROOT/build-dist/bin
[ -x "$DIST/wf-info" ] || { skip "no build-dist: make DIST=1"; exit; }

any() { PATH=$DIST:$PATH "$@"; }             # as the machine is
v3() { ONEDNN_MAX_CPU_ISA=AVX2 any "$@"; }   # as if it had no AVX-512
loops() { "$1" wf-info > info.txt && grep -q "loops for $2\$" info.txt || { cat info.txt; return 1; }; }
best=x86-64-v3
! grep -qw avx512vl /proc/cpuinfo || best=x86-64-v4
ok "the loops for this machine: $best" loops any $best
ok "the loops for AVX2" loops v3 x86-64-v3
machines=(any v3)
mkdir -p folder/bin && cp "$DIST/wf-info" folder/bin && echo garbage > folder/libwf-cuda.so
plugin() { folder/bin/wf-info | grep 'cuda .*/libwf-cuda.so: file too short'; }
ok "the CUDA plugin of their build is found" plugin

if command -v qemu-x86_64 > /dev/null; then
    # emulate CPU PROGRAM...: hides what qemu says about features of CPU that it lacks
    emulate() {
        local rc=0
        qemu-x86_64 -cpu "$1" -0 "$2" "$(PATH=$DIST:$PATH command -v "$2")" "${@:3}" 2> err || rc=$?
        grep -v '^qemu-x86_64: warning: TCG ' err >&2
        return $rc
    }
    for cpu in Nehalem SandyBridge qemu64; do
        for program in "$DIST"/wf-*; do
            status 70 "${program##*/} on $cpu" emulate $cpu "${program##*/}" --version
        done
    done
    lacks() { # lacks LIST CPU: what the line says
        echo "wf-dwt: built for a processor with $1, which this machine lacks: build it here with make clean all" > want
        ! emulate "$2" wf-dwt --version 2> line && diff want line
    }
    for feature in avx2 cx16 bmi1=bmi bmi2 f16c fma lahf_lm=lahf abm=lzcnt movbe popcnt pni=sse3 sse4.1 sse4.2 ssse3; do
        ok "Haswell without ${feature%=*}" lacks "${feature#*=}" "Haswell,-${feature%=*}"
    done
    # Without their registers, AVX2, FMA and F16C are of no use.
    ok "a processor without AVX" lacks 'avx, avx2, fma, f16c' Haswell,-avx
    ok "a system that does not keep AVX registers" lacks 'avx, avx2, fma, f16c' Haswell,-xsave
    ok "one of many" lacks 'avx, avx2, fma, f16c and 1 more extension' Haswell,-avx,-movbe
    ok "nothing of many" lacks 'avx, avx2, fma, f16c and 4 more extensions' Nehalem
    if wf-info | grep -q 'loops for x86-64-v4'; then
        native() { ! qemu-x86_64 -cpu Haswell "$ROOT/$BIN/wf-dwt" --version 2> line && grep -q 'with avx512f, .* make DIST=1$' line; }
        ok "the build for this machine on Haswell" native
    else
        skip "a build for AVX-512 on Haswell: this one is not"
    fi
    for cpu in Haswell Skylake-Server EPYC; do
        eval "$cpu() { emulate $cpu \"\$@\"; }"
        machines+=("$cpu")
        ok "the loops for $cpu" loops $cpu x86-64-v3
    done
else
    skip "emulated processors: no qemu-x86_64 (package qemu-user)"
fi

# Coefficients of pictures, pictures that come back, and archives are the same to the last bit.
"$DEADLEAVES" -q -n 8 -s 8 > pictures.ppm
train_small model
wf-dwt -q pictures.ppm > native.wf
wf-idwt -q native.wf > native.pam
wf-encode -q -m model < native.wf > native.latents
train_small whole -f 'cond:channels=4:width=8:blocks=1, lattice:components=3:width=8:blocks=1:phases=2'
wf-pack -q -m whole pictures.ppm > native.wfp
draw() { "$1" wf-sample -q -m model -n 64 --seed 1 > "$1.draws" && wf-idwt -q "$1.draws" > "$1.draws.pam"; }
for machine in "${machines[@]}"; do
    "$machine" wf-dwt -q pictures.ppm > "$machine.wf"
    ok "coefficients: $machine" same native.wf "$machine.wf"
    "$machine" wf-idwt -q native.wf > "$machine.pam"
    ok "pictures: $machine" same native.pam "$machine.pam"
    "$machine" wf-decode -q -m model < native.latents | wf-idwt -q > "$machine.decoded"
    ok "latents of another build come back as the same pictures: $machine" same native.pam "$machine.decoded"
    ok "draws: $machine" draw "$machine"
    "$machine" wf-pack -q -m whole pictures.ppm > "$machine.wfp"
    ok "archives: $machine" same native.wfp "$machine.wfp"
    "$machine" wf-unpack -q -m whole native.wfp -o "$machine.back"
    ok "an archive of another build gives the same pictures: $machine" \
        same native.pam <(wf-dwt -q "$machine.back"/* | wf-idwt -q)
done
# Draws are the same to the last bit where oneDNN and the loops have the same instructions. Elsewhere sums are rounded in another
# order, and a sample in a thousand may fall on the other side of a half.
for machine in "${machines[@]:2}"; do
    ok "$machine draws what this machine draws with AVX2" same v3.draws "$machine.draws"
done
near() { # near ONE OTHER: at most one byte in a thousand differs, by one
    local bytes
    bytes=$(stat -c %s "$1") && [ "$bytes" -gt 10000 ] && [ "$bytes" = "$(stat -c %s "$2")" ] &&
        cmp -l "$1" "$2" | awk -v bytes="$bytes" 'function octal(s) { return int(s / 100) * 64 + int(s / 10) % 10 * 8 + s % 10 }
            (octal($2) - octal($3)) ^ 2 > 1 { print; far = 1 }
            END { print NR " of " bytes " differ"; exit far || NR > bytes / 1000 }'
}
plain() { "$@"; }
ok "draws of the build for this machine" draw plain
for machine in any v3; do ok "are those of $machine, within one" near plain.draws.pam "$machine.draws.pam"; done
