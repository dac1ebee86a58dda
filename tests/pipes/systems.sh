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

# -- tables and curves of figures that are not known -----------------------------------------------------------------
command -v gnuplot > log || { skip "gnuplot is not installed"; exit; }
mkdir -p all/one all/two
cp -r "$name" all/one/model && cp -r "$name" all/two/model
wf-bpd -q -m "$name" -s "$store.store" -n 1 > all/one/bpd-test.tsv
wf-bpd -q -m "$name" -s "$store.store" > all/two/bpd-test.tsv
printf '1\t4.5\n2\t4.25\n' > all/one/curve.tsv
: > all/two/curve.tsv
ok "a table of systems" "$ROOT/pipelines/systems.sh" all one
cell() { awk -F ' [|] ' -v name="| $1" -v column="$2" '$1 == name { print $column }' all/compare.md; }
cell one 5 > bits
ok "one picture has no standard error" grep -qx '[0-9]*[.][0-9][0-9][0-9]' bits
cell two 5 > bits
ok "several have" grep -qx '[0-9.]* +- [0-9]*[.][0-9][0-9][0-9]' bits
ok "minutes are those of the curve" test "$(cell one 2)" = 2
ok "or not known" test "$(cell two 2)" = -
: > all/one/curve.tsv
ok "a table of systems without curves" "$ROOT/pipelines/systems.sh" all one
mkdir -p none/model
printf '0\t1\n1\t1\n' > none/plan.tsv
printf '{"step": 50, "seconds": 2.0, "bpd": 4.0, "lr": 0.01}\n{"step": 60, "seconds": 2.0, "val": null}\n' > none/model/level-00.jsonl
: > none/model/level-01.jsonl
ok "curves where nothing was held out, and a level of a few steps" "$ROOT/pipelines/curves.sh" none
ok "are pictures" test -s none/curve.png -a -s none/curves.png
