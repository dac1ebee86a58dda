#!/usr/bin/env bash
# super.sh MODEL PICTURES GRID ROWS DRAWS ZOOM FACTOR.. - super-resolution of the first ROWS pictures of PICTURES, a PAM
# stream of pictures of the model's size, into GRID, a PNG file.
#
# A row is a picture and, for each FACTOR (2, 4, 8 ..), the picture averaged down by FACTOR and DRAWS continuations of
# the average by MODEL, with seeds 1, 2 .. Averaged down again, a continuation gives that average, with Haar to the bit.
set -eu -o pipefail
export LC_ALL=C
model=$1 pictures=$2 grid=$3 rows=$4 draws=$5 zoom=$6
shift 6
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

wavelet=$(wf-info "$model" | sed -n 's/^wavelet *//p')

# Every stream below except "small" has pictures of one size in bytes: a header, then samples of one or two bytes.
header() { sed '/^ENDHDR$/q' "$pictures"; }
field() { header | sed -n "s/^$1 //p"; }
size=$(($(header | wc -c) + $(field WIDTH) * $(field HEIGHT) * $(field DEPTH) * ($(field MAXVAL) > 255 ? 2 : 1)))
picture() { dd if="$1" bs="$size" skip="$2" count=1 status=none; } # picture FILE I, from 0

head -c $((rows * size)) "$pictures" > "$work/real"
rows=$(($(stat -c %s "$work/real") / size))
wf-dwt -q -w "$wavelet" "$work/real" > "$work/coefficients"
wf-idwt -q --ladder "$work/coefficients" > "$work/ladder" # every level of every picture, at full size
levels=$(($(stat -c %s "$work/ladder") / $(stat -c %s "$work/real")))

titles=real factors=()
for factor; do
    level=$((levels - 1))
    for ((f = factor; f > 1; f /= 2)); do level=$((level - 1)); done
    [ $level -ge 0 ] || continue
    factors+=("$factor:$level")
    titles+=",1/$factor"
    wf-idwt -q -l $level "$work/coefficients" > "$work/small"
    exact=()
    [ "$wavelet" != haar ] || exact=(--exact "$level")
    for seed in $(seq "$draws"); do
        titles+=",draw"
        wf-dwt -q -w "$wavelet" "$work/small" | wf-sample -q -m "$model" --seed "$seed" | wf-idwt -q "${exact[@]}" \
            > "$work/$factor-$seed"
    done
done

for ((row = 0; row < rows; row++)); do
    picture "$work/real" $row
    for pair in "${factors[@]}"; do
        picture "$work/ladder" $((row * levels + ${pair#*:}))
        for seed in $(seq "$draws"); do picture "$work/${pair%:*}-$seed" $row; done
    done
done | wf-dwt -q |
    wf-idwt -q --columns $((1 + ${#factors[@]} * (1 + draws))) --zoom "$zoom" --titles "$titles" --grid "$grid"
