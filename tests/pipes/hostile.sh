#!/usr/bin/env bash
# hostile.sh - wf-dwt on foreign, odd and hostile files: each run ends within 5 seconds and 512 MB as libpng, Pillow or
# liblmdb does, with the same pixels, or with 65 and one line, and never with a signal
. "$(dirname "$0")/lib.sh"
export OMP_NUM_THREADS=1

# digest FILE: first 16 digits of the SHA-256 of the picture as RGB of 8 bits
digest() { wf-idwt -q "$1" | LC_ALL=C sed -z 's/^P7.*ENDHDR\n//' | sha256sum | head -c 16; }

# walk NAME VERDICT SUM PATH: VERDICT is ok or reject
walk() {
    local rc=0
    limited wf-dwt -q --no-rotate --levels 0 --channels 3 --bits 8 "$4" > out.wf 2> said || rc=$?
    if [ "$2" = reject ] || [ $rc != 0 ]; then
        # wf-dwt may reject a file that others read if its kind is not among the kinds that wf-dwt knows.
        if [ $rc != 65 ] || [ "$(wc -l < said)" != 1 ] || ! grep -q '^wf-dwt: ' said; then
            fail "$1: exits $rc, want 65 and one line: $(head -c 500 said)"
        elif [ "$2" = ok ] && ! grep -qE ": a (BMP|GIF|TIFF)[a-z' ]*, which" said; then
            fail "$1: $(head -c 500 said)"
        else
            pass "$1 is refused"
        fi
    elif [ "$3" = - ] || [ "$(digest out.wf)" = "$3" ]; then
        pass "$1"
    else
        fail "$1: not the pixels that others decode"
    fi
}

if from=$(data oddimages_dev.tar); then
    mkdir odd && tar xf "$from" -C odd
    while IFS=$'\t' read -r path verdict sum _; do
        case $path in
        '#'*) continue ;;
        */jpeg_named.png | */webp_named.png) verdict=ok ;; # the oracle went by the name
        esac
        walk "$path" "$verdict" "$sum" "odd/$path"
    done < odd/ORACLE.tsv
    ok "all of them were there" test $((passed + failed)) -gt 370
else
    skip "oddimages_dev.tar is not here"
fi

if from=$(data lmdb_dev.tar.gz); then
    mkdir stores && tar xzf "$from" -C stores
    while IFS=$'\t' read -r name verdict _; do
        path=stores/lmdb/$name rc=0
        case $name in
        '#'*) continue ;;
        scene_* | mnist*) want=${verdict#ok entries=} want="${want%% *} pictures" ;;
        *) want="" ;; # damaged, or of values that are no pictures
        esac
        limited wf-dwt --resize 16x16 --channels 3 "$path" > out.wf 2> said || rc=$?
        if [ -n "$want" ]; then
            ok "$name has $want" test "$rc $(grep -c ": $want of 16x16" said)" = "0 1"
        else
            ok "$name is rejected with 65 and one line: $rc $(head -c 300 said)" \
                test "$rc $(grep -c '^wf-dwt: ' said) $(wc -l < said)" = "65 1 1"
        fi
    done < stores/lmdb/ORACLE.tsv
else
    skip "lmdb_dev.tar.gz is not here"
fi

# Damage made here, for machines without those packs: files of every kind that wf-dwt reads, cut off at six places and
# with one byte changed at sixteen. A program must end by itself, with 0, or with 65 and one line. Lines that libFLAC 1.5
# prints are not counted.
ends_well() { # ends_well NAME COMMAND...: how it ended in $rc
    rc=0
    limited "${@:2}" > /dev/null 2> said || rc=$?
    sed -i '/^Rewinding, seeking /d; /^Bitreader was /d' said
    [ $rc = 0 ] || { [ $rc = 65 ] && [ "$(grep -c '^wf-' said) $(wc -l < said)" = "1 1" ]; } ||
        fail "$1: exits $rc, want 0, or 65 and one line: $(head -c 500 said)"
}
cut_off() { # cut_off FILE K: all but the last K eighths of its bytes
    head -c $(($(stat -c %s "$1") * (8 - $2) / 8)) "$1"
}
changed() { # changed FILE I: a copy in "damaged", one bit changed; I chooses which
    local size at byte
    size=$(stat -c %s "$1")
    at=$((($2 * 2654435769 + 17) % size))
    byte=$(od -An -tu1 -j $at -N 1 "$1")
    cp "$1" damaged && printf %b "\\x$(printf %02x $((byte ^ (1 << $2 % 8))))" |
        dd of=damaged bs=1 seek=$at conv=notrunc status=none
}
tried=0 refused=0
for seed in "$ROOT"/tests/fuzz/corpus/{archive,arrays,codecs,pnm,sounds}/*; do
    dwt=(wf-dwt -q --levels 0 --crop 1x1 --channels 3 --bits 8)
    [[ $seed != */sounds/* ]] || dwt=(wf-dwt -q --levels 0)
    "${dwt[@]}" "$seed" > /dev/null 2>&1 || continue # a seed that is refused as it is
    name=${seed##*/} before=$failed
    for k in 1 2 3 5 6 7; do
        cut_off "$seed" $k > damaged
        ends_well "$name without $k eighths" "${dwt[@]}" damaged
        tried=$((tried + 1)) refused=$((refused + (rc == 65)))
    done
    for i in {0..15}; do
        changed "$seed" "$i"
        ends_well "$name with another byte, $i" "${dwt[@]}" damaged
        tried=$((tried + 1)) refused=$((refused + (rc == 65)))
    done
    [ "$before" != "$failed" ] || pass "$name, damaged"
done
ok "$refused of $tried damaged pictures are rejected" \
    test $tried -gt 500 -a $refused -gt $((tried / 4))

"$DEADLEAVES" -q -n 40 -s 16 | wf-dwt -q -o whole.store
tried=0 refused=0 before=$failed
mkdir damaged.store
for i in {0..39}; do
    changed whole.store/data.mdb "$i" && mv damaged damaged.store/data.mdb
    ends_well "a store with another byte, $i" wf-info --verify damaged.store
    tried=$((tried + 1)) refused=$((refused + (rc == 65)))
done
for k in {1..7}; do
    cut_off whole.store/data.mdb "$k" > damaged.store/data.mdb
    status 65 "a store without $k eighths" limited wf-info --verify damaged.store
done
[ "$before" != "$failed" ] || pass "stores, damaged"
ok "$refused of $tried stores with a changed byte are rejected" test $refused -gt $((tried / 4))
