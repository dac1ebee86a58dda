#!/usr/bin/env bash
# systems.sh - pipelines/systems: every chain, made small, trains on whole pictures or on levels as its file says, is
# evaluated and sampled, and gives back every pixel from latents
. "$(dirname "$0")/lib.sh"

"$DEADLEAVES" -q -n 8 -s 16 > pictures.pam
wf-dwt -q pictures.pam | wf-idwt -q > same.pam
wf-dwt -q --levels 0 -o whole.store pictures.pam
wf-dwt -q -o levels.store pictures.pam
for system in "$ROOT"/pipelines/systems/*.chain; do
    name=$(basename "$system" .chain)
    case $(sed -n 's/^# levels: //p' "$system") in
    0) store=whole levels=0 pyramid=(--levels 0) ;;
    all) store=levels levels=0-4 pyramid=() ;;
    *) fail "$name has a line "# levels: 0" or "# levels: all"" && continue ;;
    esac
    "$ROOT/pipelines/systems/smaller.sh" 4 1 < "$system" > "$name.chain"
    train=(wf-train-level -q -l "$levels" -m "$name" -s "$store.store" --flow "@$name.chain" --batch 4)
    ok "$name trains" "${train[@]}" --steps 4
    ok "$name is evaluated" \
        sh -c "wf-bpd -q -m $name -s $store.store | awk '/^total/ { ok = \$2 > 1 && \$2 < 20 } END { exit !ok }'"
    ok "$name gives samples" sh -c "wf-sample -q -m $name -n 3 | wf-idwt -q > $name.pam"
    wf-dwt -q "${pyramid[@]}" pictures.pam | wf-encode -q -m "$name" | wf-decode -q -m "$name" | wf-idwt -q > back.pam
    ok "$name gives back every pixel" sh -c '[ -s same.pam ] && cmp back.pam same.pam'
    ok "$name resumes" "${train[@]}" --steps 6
done

echo 'squeeze, actnorm' > odd.chain
"$DEADLEAVES" -q -n 2 -s 15 | wf-dwt -q --levels 0 > odd.wf
status 64 "a squeeze of an odd side" wf-train-level -q -l 0 -m odd --flow @odd.chain --steps 1 - < odd.wf
status 64 "a patch with context, whose pixels have weights" \
    wf-train-level -q -l 0 -m other -s whole.store --flow @odd.chain --patch 8 --steps 1
status 66 "a chain that is not there" wf-train-level -q -l 0 -m other -s whole.store --flow @none.chain --steps 1
