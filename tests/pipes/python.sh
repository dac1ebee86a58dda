#!/usr/bin/env bash
# python.sh - tools/wavelet_flow.py reads and writes what the programs do, and computes what they compute. WF_PYTHON names
# a Python with numpy, lmdb and xxhash; the default is python3, then the system's. PyTorch, PyWavelets and ArviZ are used
# where that Python has them.
. "$(dirname "$0")/lib.sh"
export OMP_NUM_THREADS=1 PYTHONPATH=$ROOT/tools PYTHONDONTWRITEBYTECODE=1
compare() { "$python" -W ignore "$ROOT/tests/pipes/python.py" "$@"; }
find_python
has() { "$python" -W ignore -c "import $1" 2> /dev/null || { skip "$1 for $python"; return 1; }; }

# train MODEL CHAIN [OPTION...]: trains all levels of MODEL on the stream train.wf
train() {
    local model=$1 chain=$2 level
    shift 2
    for level in $(seq 0 "$(wf-info train.wf | awk '$1 == "levels" { print $2 }')"); do
        wf-train-level -q -l "$level" -m "$model" -s - -f "$chain" --steps 12 --batch 16 "$@" < train.wf || return
    done
}

# material MODEL PICTURES: what the programs make of a stream, for python.py
material() {
    local m=$1
    cp "$2" "$m.wf"
    wf-bpd -q -m "$m" --seed 3 --per-image < "$m.wf" > "$m.bits" && wf-encode -q -m "$m" < "$m.wf" > "$m.latents" &&
        wf-decode -q -m "$m" < "$m.latents" > "$m.decoded" &&
        wf-sample -q -m "$m" -n 3 --seed 7 -T 0.8 < /dev/null > "$m.sampled"
}
leaves() { "$DEADLEAVES" -q "$@"; }

# -- data --------------------------------------------------------------------------------------------------------------
leaves -n 48 -s 8 | wf-dwt -q > train.wf
leaves -n 9 -s 8 --seed 4 | wf-dwt -q --batch 5 > test.wf
leaves -n 9 -s 8 --seed 4 | wf-dwt -q -o test.store
leaves -n 2 -s 256 --seed 5 | wf-dwt -q --levels 1 | tee wide.store.wf | wf-idwt -q | wf-dwt -q --levels 1 -o wide.store
mkdir pictures a
for i in 0 1 2 3 4 5 6; do leaves -n 1 -s 8 --seed "$i" > "pictures/$i é.ppm"; done
leaves -n 2 -s 8 | wf-dwt -q > nameless.wf
wf-dwt -q --batch 3 pictures | wf-view -q - nameless.wf -o both.wf && wf-view -q both.wf -o both.store
for i in $(seq -f %04g 0 699); do echo "P5 2 2 255 abcd" > "a/$i"; done
wf-dwt -q -o many.store a/0[0-3]* && wf-dwt -q --append -o many.store a/0[4-6]*
ok "the published chain trains" train official official
ok "streams, stores, level files and chains" compare data
cp -r test.store damaged.store
"$python" -c '
import lmdb
environment = lmdb.open("damaged.store", max_dbs=17)
with environment.begin(write=True) as txn:
    database = environment.open_db(b"level-02", txn)
    (key, value), *_ = txn.cursor(database)
    txn.put(key, value[:20] + bytes([value[20] ^ 1]) + value[21:], db=database)'
ok "a damaged store is refused" compare damaged_store damaged.store
cp -r many.store damaged.names
"$python" -c '
import lmdb
environment = lmdb.open("damaged.names", max_dbs=18)
with environment.begin(write=True) as txn:
    database = environment.open_db(b"names", txn)
    key, value = list(txn.cursor(database))[1]
    txn.put(key, value[:-1] + b"x", db=database)'
ok "damaged names are refused" compare damaged_names damaged.names
ok "latents that Python copied are decoded" bash -c '
    wf-encode -q -m official < test.wf > latents.wf &&
    "$0" -c "import wavelet_flow as wf; wf.write_stream(\"copy.wf\", wf.read_stream(\"latents.wf\"))" &&
    cmp <(wf-decode -m official < latents.wf | wf-idwt -q) <(wf-decode -m official < copy.wf | wf-idwt -q)' "$python"

# -- chains ------------------------------------------------------------------------------------------------------------
train small '2*(actnorm, conv1x1, affine:width=4:blocks=1), actnorm' || fail "training"
wf-nuts -q -m small -n 4 --adapt 20 --draws 50 --max-depth 5 --stats stats.csv --report report.json < /dev/null > draws.wf
ok "statistics of draws are those of the report" compare chains
ok "the same draws without statistics" bash -c '
    wf-nuts -q -m small -n 4 --adapt 20 --draws 50 --max-depth 5 < /dev/null | wf-idwt -q | cmp - <(wf-idwt -q draws.wf)'
ok "a joint chain has one block" bash -c '
    wf-nuts -q -m small -n 2 --joint --adapt 5 --draws 8 --stats joint.csv < /dev/null > joint.wf &&
    [ "$(cut -d , -f 8 joint.csv | sort | uniq -c | tr -s " ")" = " 16 3
 1 level" ]'
ok "an interrupted run writes the same statistics" bash -c '
    run() { wf-nuts -q -m small -n 2 -l 1 --adapt 5 --draws 8 "$@" < /dev/null > state.wf; }
    run --stats once.csv && run --state state && run --state state --stats again.csv && cmp once.csv again.csv'
status 74 "statistics that cannot be written" wf-nuts -q -m small -n 2 --stats none/stats.csv
if has arviz; then ok "ArviZ finds the R-hat and effective sizes of the report" compare arviz "$ROOT/README.md"; fi

# -- models ------------------------------------------------------------------------------------------------------------
has torch || exit 0
ok "without PyTorch, one sentence" bash -c '
    mkdir -p empty && echo "raise ImportError(\"none here\")" > empty/torch.py
    PYTHONPATH=$PWD/empty:$PYTHONPATH "$0" -c "import wavelet_flow; wavelet_flow.load(\"official\")" 2>&1 |
        grep -q "^ImportError: torch is needed .*pip install torch"' "$python"
material official test.wf
ok "the published chain" compare model official
ok "gradients" compare gradients official
train best best && material best test.wf
ok "the chain best" compare model best
sed 's/32\*/2*/; s/width=512/width=16/' "$ROOT/pipelines/systems/glow.chain" > glow.chain
leaves -n 48 -s 16 | wf-dwt -q --levels 0 > train.wf
leaves -n 4 -s 16 --seed 4 | wf-dwt -q --levels 0 > large.wf
train glow @glow.chain && material glow large.wf
ok "the chain of Glow" compare model glow
NOISE='actnorm, affine:width=8:blocks=1:swap, actnorm'
train learnt 'actnorm, conv1x1, affine:width=8:blocks=1, actnorm' --dequantize "$NOISE" && material learnt large.wf
ok "learnt noise" compare model learnt

# The chains that a budget chooses: features of the low-pass picture, and splines at a base of one channel.
leaves -n 48 -s 16 | wf-dwt -q > train.wf
leaves -n 4 -s 16 --seed 4 | wf-dwt -q > few.wf
wf-train-level -q -m chosen -s train.wf --steps 12 && material chosen few.wf
ok "a chain is chosen with features" bash -c 'wf-info chosen | grep -q cond:'
ok "the chosen chains" compare model chosen
"$python" -c '
import sys, numpy as np, wavelet_flow as wf
grey = np.random.default_rng(1).integers(0, 256, (52, 16, 16, 1))
wf.write_images("train.wf", grey[:48]), wf.write_images("few.wf", grey[48:])'
wf-train-level -q -m grey -s train.wf --steps 12 && material grey few.wf
ok "a chain is chosen with splines" bash -c 'wf-info grey | grep -q rqspline:mask=checker'
ok "the chosen chains of grey pictures" compare model grey
leaves -n 3 -s 32 --seed 4 | wf-dwt -q > large.wf
material leaves large.wf
ok "an installed model, by its name; training made it amplify rounding" compare model leaves 5e-3

# Every word and every network is in one of these, and each stands for itself in a message of a failure.
n=0
while IFS=' ' read -r levels chain; do
    n=$((n + 1))
    leaves -n 48 -s 8 | wf-dwt -q --levels "$levels" > train.wf
    leaves -n 4 -s 8 --seed 9 | wf-dwt -q --levels "$levels" > few.wf
    train "chain$n" "$chain" && material "chain$n" few.wf
    ok "$chain" compare model "chain$n"
    echo "$chain" >> chains
done << 'END'
1 actnorm, conv1x1:lu, rqspline:width=8:blocks=1:bins=5, conv1x1, rqspline:net=gated:width=8:blocks=1:bound=4:swap
1 actnorm, mixlogistic:width=8:components=4:net=glow, reverse, mixlogistic:net=attention:width=12:blocks=1:swap, shuffle
1 actnorm, shuffle, sos:width=8:blocks=1, householder:n=2, sos:k=3:degree=2:net=pair:width=8, actnorm
0 actnorm, maskedconv, maskedconv:order=up, maskedconv:order=left, maskedconv:order=right, squeeze, maskedconv, split:part=3
1 cond:channels=3:width=8:net=gated, actnorm, maskedconv:order=left, ar:width=8:blocks=2, ar:order=back:width=12:heads=3
0 actnorm, affine:mask=checker:width=8, affine:mask=checker:swap:net=dense:width=8, haar, additive:net=transformer, split, haar
2 cond:channels=3:width=8:net=gated:blocks=1, lattice:components=3:width=8:blocks=1:phases=2
1 lattice:components=1:net=glow:width=8
0 actnorm, additive:net=conv:swap, affine:scale=exp:net=res:blocks=1:width=6, affine:scale=sigmoid:width=6, actnorm
END
for word in $(wf-train-level --flow help | sed -n 's/^\([a-z0-9]*\) - .*/\1/p'); do
    ok "a chain has $word" grep -qw "$word" chains
done

# -- sounds, volumes, wavelets -----------------------------------------------------------------------------------------
# signals SHAPE LEVELS WAVELET SEED: a stream of smooth noise
signals() {
    "$python" -c '
import sys, numpy as np, wavelet_flow as wf
shape, levels, wavelet, seed = eval(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
x = np.random.default_rng(seed).normal(size=shape)
for axis in range(1, len(shape) - 1):
    x = np.cumsum(x, axis)
wf.write_images(sys.stdout.buffer, np.clip(np.rint(128 + 10 * x), 0, 255), levels, wavelet=wavelet, first=seed)' "$@"
}
has pywt && wavelets=1
while read -r name shape few levels wavelet; do
    [ "$wavelet" = haar ] || [ -n "${wavelets:-}" ] || continue
    signals "$shape" "$levels" "$wavelet" 1 > train.wf
    signals "$few" "$levels" "$wavelet" 2 > few.wf
    train "$name" 'actnorm, conv1x1, affine:width=8:blocks=1, actnorm' && material "$name" few.wf
    ok "$name" compare model "$name"
done << 'END'
sounds (40,32,2) (4,32,2) 5 haar
volumes (24,4,8,4,2) (3,4,8,4,2) 2 haar
sounds-db2 (40,32,2) (4,32,2) 4 db2
pictures-sym3 (24,8,16,3) (4,8,16,3) 3 sym3
pictures-coif1 (24,16,16,2) (4,16,16,2) 1 coif1
END
