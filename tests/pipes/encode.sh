#!/usr/bin/env bash
# encode.sh - wf-encode and wf-decode: every pixel comes back, interpolation, and rejected input
. "$(dirname "$0")/lib.sh"
export OMP_NUM_THREADS=1
train_small model || fail "training"
train_small other --seed 2 || fail "training"
"$DEADLEAVES" -q -n 20 -s 8 --seed 3 | wf-dwt -q --batch 7 > in.wf

encode() { wf-encode -q -m model; }
decode() { wf-decode -q -m model "$@"; }
pixels() { wf-idwt -q; } # stdin to stdout
pictures() { grep -ac '^TUPLTYPE' "$1"; }

# -- round trips -------------------------------------------------------------------------------------------------------
encode < in.wf > latents.wf
ok "every pixel comes back" cmp <(pixels < in.wf) <(decode < latents.wf | pixels)
ok "the pictures' indices come back" \
    bash -c 'wf-decode -q -m model < latents.wf | wf-idwt -q -o out && test -s out/00000019.png'
encode < in.wf > again.wf
ok "latents are the same every time" cmp latents.wf again.wf
ok "a stream of latents is known as one" bash -c 'wf-info latents.wf | grep -Eq "^kind +latents"'
wf-sample -q -m model -n 4 < /dev/null | wf-idwt -q | wf-dwt -q > drawn.wf
ok "samples, rounded, come back" cmp <(pixels < drawn.wf) <(encode < drawn.wf | decode | pixels)

# -- in between --------------------------------------------------------------------------------------------------------
decode --between 3 < latents.wf | pixels > between.pam
ok "three pictures between each and the next" test "$(pictures between.pam)" = 77
each=$(($(stat -c %s between.pam) / 77))
picture() { tail -c "+$(($2 * each + 1))" "$1" | head -c "$each"; } # picture FILE NUMBER
pixels < in.wf > in.pam
for i in 0 6 7 19; do
    ok "picture $i comes back" cmp <(picture between.pam $((4 * i))) <(picture in.pam $i)
done
differ() { ! cmp -s "$1" "$2"; }
ok "the picture in between differs from both" differ <(picture between.pam 26) <(picture in.pam 6)
{ "$DEADLEAVES" -q -n 1 -s 8 --seed 3 && "$DEADLEAVES" -q -n 1 -s 8 --seed 3; } |
    wf-dwt -q | encode | decode --between 1 | pixels > twice.pam
ok "between a picture and itself is the picture" cmp <(picture twice.pam 1) <(picture in.pam 0)

# -- bad usage, bad data -----------------------------------------------------------------------------------------------
status 64 "encode: no model" wf-encode
status 64 "decode: no model" wf-decode
status 64 "encode: an operand" wf-encode -m model in.wf
status 64 "decode: --between 0" wf-decode -m model --between 0
status 66 "encode: a model that is not there" wf-encode -m none < in.wf
status 65 "encode: latents" wf-encode -m model < latents.wf
status 65 "decode: coefficients" wf-decode -m model < in.wf
status 65 "decode: latents of other weights" wf-decode -m other < latents.wf
status 65 "idwt: latents" wf-idwt -q < latents.wf
status 65 "bpd: latents" wf-bpd -q -m model < latents.wf
status 65 "encode: pictures of another size" bash -c '"$0" -q -n 1 -s 16 | wf-dwt -q | wf-encode -m model' "$DEADLEAVES"
status 65 "encode: one level" bash -c '"$0" -q -n 1 -s 8 | wf-dwt -q -l 2 | wf-encode -m model' "$DEADLEAVES"
status 65 "encode: a stream that was cut off" bash -c 'head -c 3000 in.wf | wf-encode -m model'
status 65 "decode: a stream that was cut off" bash -c 'head -c 3000 latents.wf | wf-decode -m model'
status 75 "encode: a full disk" bash -c 'wf-encode -m model < in.wf > /dev/full'
status 75 "decode: a full disk" bash -c 'wf-decode -m model < latents.wf > /dev/full'
