#!/usr/bin/env bash
# trained.sh - chains at T = 1 on trained levels against exact samples. Chains start at exact draws, and stay exact if
# sampler and density are right. The chains move in the coefficients: in the latents the density at T = 1 is a normal.
. "$(dirname "$0")/../pipes/lib.sh"
export OMP_NUM_THREADS=1
train_small model --lr 5e-3 || fail "training"
CHAINS=${CHAINS:-2000} SAMPLES=20000

# moments: for each of the 48 samples of the 4x4 pictures on stdin the mean, its error, the mean square and its error.
# All pictures have the same PAM header, followed by 48 bytes.
moments() {
    cat > pictures.pam
    local head
    head=$(sed '/^ENDHDR$/q' pictures.pam | wc -c)
    od -An -v -tu1 "-w$((head + 48))" pictures.pam | awk -v head="$head" '
        { for (i = 1; i <= 48; i++) { v = $(head + i) - 128; a[i] += v; b[i] += v * v; c[i] += v ^ 4 } }
        END { for (i = 1; i <= 48; i++) { m = a[i] / NR; s = b[i] / NR
            print m, sqrt((s - m * m) / NR), s, sqrt((c[i] / NR - s * s) / NR) } }'
}
# near A B: no moment differs by 4.5 standard errors, and the mean square difference is below 2
near() {
    paste "$1" "$2" | awk '
        { for (i = 1; i <= 3; i += 2) {
            z = ($i - $(i + 4)) / sqrt($(i + 1) ^ 2 + $(i + 5) ^ 2)
            sum += z * z; n++
            if (z * z > worst) worst = z * z } }
        END { print "worst", sqrt(worst), "mean square", sum / n; exit !(n == 96 && worst < 20.25 && sum / n < 2) }'
}
far() { ! near "$@"; }

wf-sample -q -m model -n $SAMPLES -l 2 < /dev/null | wf-idwt -q | moments > exact
for how in "" --joint; do
    # shellcheck disable=SC2086 # none or one option
    wf-nuts -q -m model -n "$CHAINS" -l 2 -T 1 --data $how --seed 5 --adapt 10 --draws 10 < /dev/null | wf-idwt -q |
        moments > drawn
    ok "chains at T = 1 draw what samples are${how:+, }$how" near drawn exact
    near drawn exact
done
wf-nuts -q -m model -n "$CHAINS" -l 2 -T 0.9 --joint --seed 5 --adapt 10 --draws 10 < /dev/null |
    wf-idwt -q | moments > drawn
ok "and at T = 0.9 something else" far drawn exact
