#!/usr/bin/env bash
# backend.sh - what --backend auto opens on machines with and without a card, and the line that says why it computes on
# the CPU. The files of a machine are made below WF_FSROOT; the CUDA plugin and the driver's library are made here too.
. "$(dirname "$0")/lib.sh"

export OMP_NUM_THREADS=1
unset CUDA_VISIBLE_DEVICES
CC=${CC:-cc}
command -v "$CC" > none || { skip "a compiler for plugins"; exit 0; }

# The programs are copied beside a plugin of our own, which writes `loaded` and fails with $FAKE_CODE and $FAKE_WHY.
mkdir -p usr/bin usr/lib driver
cp "$ROOT/${BIN:-bin}"/wf-{dwt,idwt,info,train-level} usr/bin
PATH=$WORK/usr/bin:$PATH
cat > plugin.c << 'END'
#include <stdio.h>
#include <stdlib.h>
int wf_fail(int status, const char *format, ...);
#ifdef NEEDS
int needed(void);
#endif
__attribute__((constructor)) static void note_load(void)
{
    fclose(fopen(getenv("FAKE_LOADED"), "w"));
}
int wf_cuda_open(int device, int threads, void **out)
{
#ifdef NEEDS
    needed();
#endif
    return *out = NULL, wf_fail(atoi(getenv("FAKE_CODE")), "cuda: %s", getenv("FAKE_WHY"));
}
END
plugin=usr/lib/libwf-cuda.so
make_plugin() { "$CC" -shared -fPIC -o $plugin plugin.c "$@"; }
export FAKE_LOADED=$WORK/loaded FAKE_CODE=64 FAKE_WHY="the reason"
make_plugin

# A driver's library, which is found before one that the machine may have. DRIVER: what cuInit returns, CARDS: how many.
cat > driver.c << 'END'
#include <stdio.h>
#include <stdlib.h>
int cuInit(unsigned flags) { return atoi(getenv("DRIVER")); }
int cuDeviceGetCount(int *count) { return *count = atoi(getenv("CARDS")), 0; }
int cuDeviceGet(int *card, int number) { return *card = number + 40, 0; }
int cuDeviceGetName(char *name, int size, int card) { return snprintf(name, (size_t)size, "NVIDIA Emulated %d", card), 0; }
END
"$CC" -shared -fPIC -o driver/libcuda.so.1 driver.c
export LD_LIBRARY_PATH=$WORK/driver${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} DRIVER=100 CARDS=1

# machine FILE=TEXT ...: a machine that has these files
machine() {
    local file
    rm -rf root loaded
    mkdir root
    for file; do
        mkdir -p "root/$(dirname "${file%%=*}")"
        printf '%s\n' "${file#*=}" > "root/${file%%=*}"
    done
}
export WF_FSROOT=$WORK/root
pci() { printf '%s\n' "sys/bus/pci/devices/$1/vendor=$2" "sys/bus/pci/devices/$1/class=$3" "sys/bus/pci/devices/$1/device=$4"; }
machine_of() { mapfile -t files < <("$@") && machine "${files[@]}"; }

# the_line NAME LINE: the message of the last failure is this line
the_line() {
    cp .log line
    ok "$1" grep -Fxq "$2" line
}

printf 'P5 2 2 255 abcd' | wf-dwt -q > in.wf
open_auto() { wf-idwt --backend auto "$@" < in.wf > out.pam 2> said; }
only='wf-idwt: 1 picture of 2x2'
silent() { open_auto && [ "$(cat said)" = "$only" ] && [ ! -e loaded ]; }
# falls_back TEXT: computes on the CPU, and says so in one line before the one that it always prints
falls_back() {
    open_auto && [ "$(cat said)" = "wf-idwt: $1; computing on the CPU (--backend cuda fails instead)
$only" ] || { cat said; return 1; }
}
broken='but CUDA does not start: the reason'

machine
ok "no card: no line, and CUDA is not loaded" silent
machine dev/nvidiactl= dev/nvidia-uvm=
ok "a driver without a card: no line" silent
machine dev/nvidia0=
ok "a card that does not work" falls_back "a card is there (NVIDIA), $broken"
ok "and the plugin was asked" test -e loaded
machine dev/nvidia3= "proc/driver/nvidia/gpus/0000:01:00.0/information=Model: 		 NVIDIA H200"
ok "its name is the driver's" falls_back "a card is there (NVIDIA H200), $broken"
machine_of pci 0000:01:00.0 0x10de 0x030200 0x2335
ok "a card without a driver, by its PCI device" falls_back "a card is there (NVIDIA, PCI 10de:2335), $broken"
machine_of pci 0000:01:00.0 0x10de 0x030000 0x1b06
ok "a display controller" falls_back "a card is there (NVIDIA, PCI 10de:1b06), $broken"
machine_of pci 0000:01:00.1 0x10de 0x040300 0x10ef
ok "the sound of a card is not one" silent
machine_of pci 0000:00:02.0 0x8086 0x030000 0x9a49
ok "nor is another maker's card" silent
machine dev/dxg=
ok "nor is Windows' card of another maker" silent
machine dev/dxg= usr/lib/wsl/lib/libcuda.so.1=
ok "Windows' card with NVIDIA's driver" falls_back "a card is there (NVIDIA), $broken"
machine dev/nvhost-ctrl-gpu=
ok "a Jetson" falls_back "a card is there (NVIDIA), $broken"
machine
DRIVER=0 ok "a card that only the driver's library knows" falls_back "a card is there (NVIDIA Emulated 40), $broken"
machine
DRIVER=0 CARDS=0 ok "a driver's library that counts no card" silent
DRIVER=999 ok "a driver's library that does not start, on a machine without a card" silent

machine dev/nvidia0=
for hidden in -1 "" NoDevFiles none; do
    CUDA_VISIBLE_DEVICES=$hidden ok "CUDA_VISIBLE_DEVICES='$hidden' hides the card" silent
done
for visible in 0 1,0 GPU-1b2c MIG-3d4e; do
    CUDA_VISIBLE_DEVICES=$visible ok "CUDA_VISIBLE_DEVICES=$visible does not" \
        falls_back "a card is there (NVIDIA), $broken"
done
open_auto -q
ok "--quiet says nothing" test ! -s said
for code in 70 74; do
    FAKE_CODE=$code ok "a card that fails with $code" falls_back "a card is there (NVIDIA), $broken"
done
status_auto() { FAKE_CODE=75 wf-idwt --backend auto < in.wf; }
status 75 "a card that other processes have is not passed over" status_auto
the_line "the message says what to do" 'wf-idwt: cuda: the reason; --backend cpu computes without the card'

"$DEADLEAVES" -q -n 16 -s 4 | wf-dwt -q -o s.store
wf-train-level -l 0-2 -m m -s s.store -f actnorm --steps 2 2> said
ok "several levels: one line" test "$(grep -c 'computing on the CPU' said) $(head -n 1 said | grep -c 'a card is there')" = "1 1"

# -- the reason is the same everywhere -------------------------------------------------------------------------------
status 64 "--backend cuda fails" wf-idwt --backend cuda in.wf
the_line "with the reason" 'wf-idwt: cuda: the reason'
ok "wf-info has the reason" bash -c 'wf-info | grep -qx "  cuda  the reason"'
machine
ok "--backend cuda asks CUDA itself" bash -c '! wf-idwt --backend cuda in.wf 2> said && grep -qx "wf-idwt: cuda: the reason" said'
for wrong in gpu cuda: cuda:x cuda:-1 cuda:99999 CUDA cpu:0; do
    status 64 "--backend $wrong" wf-idwt --backend $wrong in.wf
    the_line "names the backends" "wf-idwt: unknown backend '$wrong', expected auto, cpu, cuda, cuda:N or ref"
done

# -- plugins that do not load ----------------------------------------------------------------------------------------
machine dev/nvidia0=
echo 'int needed(void) { return 0; }' > needed.c
"$CC" -shared -fPIC -o libneeded.so needed.c && make_plugin -DNEEDS -L. -lneeded
missing() { echo "libneeded.so is not installed: looked where the loader does, in WF_CUDA_LIBS ($1), in $2"; }
nowhere=$(missing "not set" "no python3: none on PATH")
here=$WORK/usr/bin
falls_back_without_python() { PATH=$here:$WORK/tools falls_back "$@"; }
mkdir tools && ln -s "$(command -v cat)" "$(command -v grep)" "$(command -v sed)" tools
ok "a library that the plugin needs" falls_back_without_python "a card is there (NVIDIA), but CUDA does not start: $nowhere"
PATH=$here:$WORK/tools status 64 "the library, asked for" wf-idwt --backend cuda in.wf
the_line "is named, with the places" "wf-idwt: cuda: $nowhere"
ok "wf-info names it" bash -c "PATH=$here wf-info | grep -qx '  cuda  $nowhere'"

# The library lies where pip puts it: beside the first python3 on PATH, or beside what that is a link to.
packages=lib/python3.12/site-packages/nvidia/cu13/lib
mkdir -p venv/bin venv/$packages base/bin linked tools/empty
printf '#!/bin/sh\n' > base/bin/python3.12
chmod +x base/bin/python3.12
ln -s ../../base/bin/python3.12 venv/bin/python3
ln -s "$WORK/venv/bin/python3" linked/python3
mv libneeded.so venv/$packages
loads="a card is there (NVIDIA), $broken"
with_path() { PATH=$1:$here:$WORK/tools falls_back "$loads"; }
ok "a library beside the python3 on PATH" with_path "$WORK/tools/empty:$WORK/venv/bin"
ok "beside the python3 that it is a link to" with_path "$WORK/linked"
mkdir -p base/$packages other
mv venv/$packages/libneeded.so base/$packages
ok "two links further" with_path "$WORK/linked"
mv base/$packages/libneeded.so other
PATH=$WORK/linked:$here:$WORK/tools status 64 "a python3 without it" wf-idwt --backend cuda in.wf
the_line "is named" "wf-idwt: cuda: $(missing "not set" "the packages of $WORK/linked/python3")"
WF_CUDA_LIBS=$WORK/tools:$WORK/other ok "a folder of WF_CUDA_LIBS" falls_back "$loads"
WF_CUDA_LIBS=/nowhere PATH=$here:$WORK/tools status 64 "folders without it" wf-idwt --backend cuda in.wf
the_line "are named" "wf-idwt: cuda: $(missing /nowhere "no python3: none on PATH")"
make_plugin -DNEEDS
open_auto
ok "a plugin that does not load: $(cat said)" grep -q 'does not start: the plugin does not load: .*needed' said
echo garbage > $plugin
open_auto
ok "a plugin that is text: $(cat said)" grep -q 'does not start: the plugin does not load: ' said
status 70 "the plugin, asked for" wf-idwt --backend cuda in.wf

rm $plugin
absent='the CUDA backend is not built: install CUDA and cuDNN, then run make'
ok "no plugin" falls_back "a card is there (NVIDIA), but $absent"
machine_of pci 0000:01:00.0 0x10de 0x030000 0x1b06
ok "no plugin, and no driver either: no line" silent
status 64 "no plugin, asked for" wf-idwt --backend cuda in.wf
the_line "the message says what to do" \
    'wf-idwt: cuda: not built (no libwf-cuda.so): install CUDA and cuDNN, then run make'
ok "wf-info says it too" bash -c 'wf-info | grep -q "  cuda  not built (no libwf-cuda.so): install CUDA"'
