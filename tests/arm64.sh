#!/usr/bin/env bash
# arm64.sh [PART ...] - tests on an emulated arm64 processor: builds by a cross compiler against Debian's packages, and runs
# parts of the test suite (tests/run.sh) under qemu; without PART, every operator and the pipe of tests/pipes/sample.sh.
#
#     tests/arm64.sh
#     SUITE=trixie CPU=max tests/arm64.sh ops/conv_forward pipes/dwt
#
#   SUITE    the release of Debian: bookworm. Its packages are unpacked into build-arm64/SUITE, not installed
#   MIRROR   archive of the packages; without it, the one that apt uses on this machine
#   CPU      the emulated processor: cortex-a57, which has NEON alone; max has all that qemu knows
#
# Criterion's tests are left out: each starts its own program anew, which qemu cannot without binfmt_misc.
# Needs the packages gcc-aarch64-linux-gnu, qemu-user-static and mmdebstrap. The last line is "N passed, N failed, N skipped".
set -u -o pipefail
export LC_ALL=C
cd "$(dirname "$0")/.." || exit 1
SUITE=${SUITE:-bookworm} B=build-aarch64-linux-gnu-${SUITE:-bookworm}
root=$PWD/build-arm64/$SUITE run=$B/run

die() { # die STATUS MESSAGE
    echo "arm64.sh: $2" >&2
    exit "$1"
}
for pair in aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu qemu-aarch64-static:qemu-user-static mmdebstrap:mmdebstrap; do
    command -v "${pair%:*}" > /dev/null || die 69 "${pair%:*} is not here: apt-get install ${pair#*:}"
done

if [ ! -e "$root/unpacked" ]; then
    # shellcheck disable=SC2016 # for apt
    MIRROR=${MIRROR:-$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' 2> /dev/null |
        sed -n '/^Debian /{s/^[^ ]* //p;q}')}
    [ -n "$MIRROR" ] || die 64 "apt on this machine names no archive of Debian: set MIRROR="
    rm -rf "$root"
    mkdir -p build-arm64
    libraries=$(awk '$2 == "all" && /^lib/ { print $1 }' packages.txt | paste -s -d ,)
    mmdebstrap --quiet --variant=extract --architectures=arm64 --include="$libraries,libgomp1,libcriterion-dev" \
        "$SUITE" "$root" "$MIRROR" || die 74 "the packages of $SUITE for arm64 were not unpacked from $MIRROR"
    [ -e "$root/lib" ] || ln -s usr/lib "$root/lib" # since Debian 13, a script of a package makes it
    : > "$root/unpacked"
fi

mkdir -p "$B"
cc=(aarch64-linux-gnu-gcc "--sysroot=$root")
make -j "$(nproc)" B="$B" BIN="$B/bin" CC="${cc[*]}" NVCC= \
    all "$B/check-ops" "$B/deadleaves" > "$B/log" 2>&1 || {
    grep -E 'error|warning|undefined' "$B/log" | head -n 20
    die 70 "the build for arm64 failed: $B/log"
}

# Programs of the same names that run the others under the emulator.
mkdir -p "$run"
for program in "$B"/bin/* "$B"/check-ops "$B"/deadleaves; do
    printf '#!/bin/sh\nexec qemu-aarch64-static -cpu %s -L %s %s "$@"\n' "${CPU:-cortex-a57}" "'$root'" "'$PWD/$program'" \
        > "$run/${program##*/}" && chmod +x "$run/${program##*/}" || exit 73
done
"$run/wf-info" | sed -n 's/^  cpu /cpu: /p'

# A program that may use the instructions of a newer processor ends on an older one in one line, and starts on one that has them.
newer=$B/wf-newer rc=0
"${cc[@]}" -std=c11 -D_GNU_SOURCE -march=armv8.2-a+fp16 -c -o "$newer.o" tools/startup/built_for.c &&
    "${cc[@]}" -std=c11 -D_GNU_SOURCE -march=armv8-a -o "$newer" "$newer.o" tools/startup/processor.c \
        -x c - <<< 'int main(void) { return 0; }' || exit 70
qemu-aarch64-static -cpu cortex-a57 -L "$root" "$newer" 2> "$newer.log" || rc=$?
if [ $rc = 70 ] && [ "$(wc -l < "$newer.log")" = 1 ] && grep -q 'a processor with atomics, asimdhp' "$newer.log" &&
    qemu-aarch64-static -cpu cortex-a76 -L "$root" "$newer"; then
    echo "1 passed, 0 failed, 0 skipped"
else
    cat "$newer.log"
    die 70 "the check of the processor fails: exit code $rc, expected 70 on an older processor and 0 on a newer one"
fi
[ $# != 0 ] || set -- ops pipes/sample
BIN=$run B=$run exec tests/run.sh "$@"
