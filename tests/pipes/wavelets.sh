#!/usr/bin/env bash
# wavelets.sh - every wavelet in every program: pixels come back, and files of another wavelet are rejected
. "$(dirname "$0")/lib.sh"
export OMP_NUM_THREADS=1
read -ra wavelets < <(sed -n 's/^ *X(\([a-z0-9]*\),.*/\1/p' "$ROOT/lib/pyramid/wavelet.h" | xargs)

picture() { # picture HxW: random samples in x.ppm and, alone, in `body`
    head -c $((${1%x*} * ${1#*x} * 3)) /dev/urandom > body
    { printf 'P6\n%d %d\n255\n' "${1#*x}" "${1%x*}" && cat body; } > x.ppm
}
back() { wf-dwt -q "$@" x.ppm | wf-idwt -q | tail -c "$(stat -c %s body)" | cmp - body; }

# -- every pixel comes back ------------------------------------------------------------------------------------------
ok "there are wavelets" test ${#wavelets[@]} -ge 20
for size in 2x2 4x34 96x64; do
    picture $size
    for wavelet in "${wavelets[@]}"; do ok "$size by $wavelet" back --wavelet "$wavelet"; done
done
picture 1024x1024
for wavelet in db2 db10 coif3; do ok "1024x1024 by $wavelet" back --wavelet "$wavelet"; done
ok "the wavelet is in the help" bash -c 'wf-dwt --help | grep -q coif3'
wf-dwt -w db10 x.ppm 2> said | wf-info - > info
ok "the stream names the wavelet" grep -Eq '^wavelet +db10$' info
ok "an unknown wavelet is rejected with a list of wavelets" \
    bash -c 'wf-dwt -w nosuch x.ppm 2>&1 > /dev/null | grep -q "nosuch.*haar.*coif3"'

# -- stores, models -------------------------------------------------------------------------------------------------
WAVELET=db4 train_small model
"$DEADLEAVES" -q -n 32 -s 8 --seed 3 > held-out.ppm
wf-dwt -q -w db4 -o s.store held-out.ppm && wf-dwt -q -o haar.store held-out.ppm
wf-dwt -q -w db4 held-out.ppm > db4.wf && wf-dwt -q held-out.ppm > haar.wf
wf-idwt -q db4.wf > db4.pam && wf-idwt -q haar.wf > haar.pam
ok "pictures of both wavelets are the same" same db4.pam haar.pam
wf-nearest -q -s s.store -k 1 db4.wf | wf-idwt -q > nearest.pam
ok "a store keeps every pixel" same db4.pam nearest.pam
ok "in single precision" bash -c 'wf-info s.store | grep -Eq "^  3 .*F32"'
ok "the model has the wavelet" bash -c 'wf-info model | grep -Eq "^wavelet +db4$"'
ok "bits per dimension" bash -c 'wf-bpd -q -m model -s s.store > bpd.tsv'
ok "samples" bash -c 'wf-sample -q -m model -n 3 | wf-idwt -q > samples.pam'
ok "in two steps" bash -c 'wf-sample -q -m model -n 3 -l 1 | wf-sample -q -m model | wf-idwt -q | cmp - samples.pam'
ok "chains" bash -c 'wf-nuts -q -m model -n 2 --adapt 2 --draws 2 | wf-idwt -q > nuts.pam'
ok "chains of all levels" bash -c 'wf-nuts -q -m model -n 2 --joint --adapt 2 --draws 2 | wf-idwt -q > nuts.pam'
ok "latents and back" bash -c 'wf-encode -q -m model < db4.wf | wf-decode -q -m model | wf-idwt -q | cmp - db4.pam'
ok "enlarged" bash -c 'wf-sample -q -m model --from held-out.ppm --scale 2 | wf-idwt -q | grep -aq "^WIDTH 16"'
ok "super-resolution" "$ROOT/pipelines/super.sh" model db4.pam s.png 2 1 1 2
status 65 "training on another wavelet" wf-train-level -l 3 -m model -s haar.store --steps 61
status 65 "validation by another" wf-train-level -l 3 -m new -s s.store --val haar.store --steps 1
status 65 "wf-bpd of another" wf-bpd -m model -s haar.store
status 65 "wf-nearest of another" wf-nearest -s s.store haar.wf
for tool in wf-encode wf-sample wf-nuts; do status 65 "$tool of another" $tool -m model - < haar.wf; done
status 64 "flips of filters without symmetry" wf-train-level -l 3 -m new -s s.store --flip --steps 1
status 64 "--exact without blocks" wf-idwt --exact 1 db4.wf
