#!/usr/bin/env bash
# PyTorch 2.15.0 (PyPI, torch 2.15.0, with oneDNN inside): who computes a convolution of bf16 numbers where the processor has no bf16?
#
# Guess: oneDNN, whatever the processor is: it converts to fp32 and back, so bf16 takes a little longer than fp32.
# Seen: with AVX-512 it does, by jit_bf16. With AVX2 alone PyTorch does not ask oneDNN, and computes forward and both gradients by
# itself. One step of 64 pictures of a level of 16 couplings of 128 channels took 12 times as long in bf16 as in fp32 on two cores.
#
# AVX2 is emulated: ONEDNN_MAX_CPU_ISA and ATEN_CPU_CAPABILITY make both leave newer instructions out. So it needs a processor with
# AVX-512 to compare with. Exits 0 while that is so, 1 when it has changed.
set -eu
export LC_ALL=C OMP_NUM_THREADS=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv peer
peer/bin/pip --disable-pip-version-check -q install torch==2.15.0 numpy==2.4.6
cat > convolve.py << 'PY'
import sys, time
import torch

x = torch.randn(16, 64, 16, 16).to(getattr(torch, sys.argv[1])).requires_grad_()
w = torch.randn(64, 64, 3, 3).to(x.dtype).requires_grad_()


def step():
    torch.nn.functional.conv2d(x, w, padding=1).sum().backward()


step()
start = time.perf_counter()
step()
seconds = time.perf_counter() - start
with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON):
    step()
print(f'{sys.argv[1]}: {seconds * 1e3:.1f} ms', file=sys.stderr)
PY
# kernels ISA CAPABILITY TYPE: the convolutions that oneDNN computes in a step, forward and backward
kernels() {
    ONEDNN_MAX_CPU_ISA=$1 ATEN_CPU_CAPABILITY=$2 peer/bin/python convolve.py "$3" |
        sed -n 's/.*exec,cpu,convolution,\([^,]*\),\([^,]*\),.*/\1 \2/p' | sort | tr '\n' ';'
}
result=0
expect() { # expect ISA CAPABILITY TYPE KERNEL: KERNEL in all three passes; none
    local seen want=
    seen=$(kernels "$1" "$2" "$3")
    echo "$1, $3: ${seen:-none of oneDNN}"
    [ "$4" = none ] || want="$4 backward_data;$4 backward_weights;$4 forward_training;"
    [ "$seen" = "$want" ] || result=1
}
expect AVX512_CORE avx512 float32 jit:avx512_core
expect AVX512_CORE avx512 bfloat16 jit_bf16:avx512_core
expect AVX2 avx2 float32 jit:avx2
expect AVX2 avx2 bfloat16 none
exit $result
