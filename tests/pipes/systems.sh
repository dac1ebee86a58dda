#!/usr/bin/env bash
# systems.sh - pipelines/systems: every chain, made small, trains on whole pictures as a pyramid's only level, and goes through
# evaluation, sampling, latents and back
. "$(dirname "$0")/lib.sh"

"$DEADLEAVES" -q -n 8 -s 32 > pictures.pam
wf-dwt -q --levels 0 -o all.store pictures.pam
for system in "$ROOT"/pipelines/systems/*.chain; do
    name=$(basename "$system" .chain)
    sed 's/^#.*//; s/\b[0-9]\+\*/1*/g; s/net=glow/net=glow:width=4/; s/width=[0-9]*/width=4/g; s/blocks=[0-9]*/blocks=1/g' \
        "$system" > "$name.chain"
    ok "$name trains" wf-train-level -q -l 0 -m "$name" -s all.store --flow "@$name.chain" --steps 4 --batch 4
    ok "$name is evaluated" sh -c "wf-bpd -q -m $name -s all.store | awk '/^total/ { exit !(\$2 > 1 && \$2 < 20) }'"
    ok "$name gives samples" sh -c "wf-sample -q -m $name -n 3 | wf-idwt -q > $name.pam"
    wf-dwt -q --levels 0 pictures.pam | wf-encode -q -m "$name" | wf-decode -q -m "$name" | wf-idwt -q > back.pam
    wf-dwt -q --levels 0 pictures.pam | wf-idwt -q > same.pam
    ok "$name gives back every pixel" cmp back.pam same.pam
    ok "$name resumes" wf-train-level -q -l 0 -m "$name" -s all.store --flow "@$name.chain" --steps 6 --batch 4
done

echo 'squeeze, actnorm' > odd.chain
"$DEADLEAVES" -q -n 2 -s 15 | wf-dwt -q --levels 0 > odd.wf
status 64 "a squeeze of an odd side" wf-train-level -q -l 0 -m odd --flow @odd.chain --steps 1 - < odd.wf
status 64 "a patch with context, whose pixels have weights" \
    wf-train-level -q -l 0 -m other -s all.store --flow @odd.chain --patch 8 --steps 1
status 66 "a chain that is not there" wf-train-level -q -l 0 -m other -s all.store --flow @none.chain --steps 1
