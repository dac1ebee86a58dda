#!/usr/bin/env bash
# given.sh OUT DATA - classification of MNIST by Bayes' rule: the table of pipelines/GIVEN.md. DATA has the folder mnist of IDX files.
# It needs the programs in bin; with PYTHON=, a Python that has NumPy, also the row of logistic regression.
#
# It trains all levels with the labels, side by side, for MINUTES=10, and evaluates the first TESTED=2000 test pictures. What is done is left
# out, what was interrupted resumes.
set -eu -o pipefail
export LC_ALL=C OMP_WAIT_POLICY=passive
[ $# = 2 ] || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 64; }
PATH=${BIN:-$(dirname "$0")/../../bin}:$PATH
out=$1 data=$2/mnist tested=${TESTED:-2000}
mkdir -p "$out"

# labels COUNT < BYTES: labels as numpy.save writes them
labels() {
    printf '\x93NUMPY\x01\x00\x76\x00%-117s\n' "{'descr': '|u1', 'fortran_order': False, 'shape': ($1,), }"
    cat
}
for part in train10000 t10k; do
    zcat "$data/$part-labels-idx1-ubyte.gz" | tail -c +9 | labels 10000 > "$out/$part.npy" # all but the head of 8 bytes
    zcat "$data/$part-images-idx3-ubyte.gz" > "$out/$part.idx"
    [ -e "$out/$part.store" ] || wf-dwt -q -o "$out/$part.store" "$out/$part.idx"
done
wf-train-level -m "$out/model" -s "$out/train10000.store" --given "$out/train10000.npy" --minutes "${MINUTES:-10}" --seed 1
wf-bpd -q -m "$out/model" -s "$out/t10k.store" --given "$out/t10k.npy" -n "$tested"
wf-bpd -m "$out/model" -s "$out/t10k.store" --given "$out/t10k.npy" -n "$tested" --given-grid labels > "$out/grid.tsv"
for digit in {0..9}; do
    # shellcheck disable=SC2059 # a byte
    for _ in {1..10}; do printf "\\x0$digit"; done
done | labels 100 > "$out/digits.npy"
wf-sample -q -m "$out/model" -n 100 --given "$out/digits.npy" -T 0.9 | wf-idwt -q --grid "$out/digits.png"
[ -z "${PYTHON:-}" ] || "$PYTHON" - "$out" "$tested" << 'END'
"""Multinomial logistic regression on pixels / 255, full gradients with momentum; its weight decay is the best of four on the last 1,000
pictures of the training."""
import sys

import numpy as np

out, tested = sys.argv[1], int(sys.argv[2])


def part(name):
    raw = np.fromfile(f"{out}/{name}.idx", np.uint8, offset=16).reshape(-1, 784) / 255
    return np.c_[raw, np.ones(len(raw))], np.load(f"{out}/{name}.npy").astype(int)


def fit(x, y, decay):
    w, v, onehot = np.zeros((785, 10)), np.zeros((785, 10)), np.eye(10)[y]
    for _ in range(1500):
        z = x @ w
        p = np.exp(z - z.max(1, keepdims=True))
        v = 0.9 * v - 0.5 * (x.T @ (p / p.sum(1, keepdims=True) - onehot) / len(x) + decay * w)
        w += v
    return w


def right(w, x, y):
    return np.mean((x @ w).argmax(1) == y)


x, y = part("train10000")
tx, ty = part("t10k")
decay = max((0, 1e-4, 1e-3, 1e-2), key=lambda d: right(fit(x[:-1000], y[:-1000], d), x[-1000:], y[-1000:]))
print(f"logistic regression, weight decay {decay}: {100 * right(fit(x, y, decay), tx[:tested], ty[:tested]):.2f}% of {tested}")
END
