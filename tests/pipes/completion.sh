#!/usr/bin/env bash
# completion.sh - TAB in bash and zsh offers what an argument can be
. "$(dirname "$0")/lib.sh"
[ "${B:-build}" = build ] || { skip "the plain build only"; exit; }
command -v python3 > log || { skip "python3 is not installed"; exit; }
ok "make completion" make_here completion NVCC=
made=$ROOT/build/completion

# A model with three of four levels, a model that is found by its name, a store, a folder and files.
mkdir -p faces models/shipped store.wf folder
mkdir -p damaged/huge && echo '{"levels": 12345678901234567890}' > damaged/huge/wf.json
touch faces/level-0{0,1,2}{,.state}.safetensors models/shipped/level-{00,10}.safetensors store.wf/data.mdb a.chain b.png
echo '{"format": "wavelet-flow/1", "wavelet": "haar", "levels": 3, "shape": [8, 8, 3], "bits": 8}' |
    tee models/shipped/wf.json > faces/wf.json
mkdir -p usr/share/{bash-completion/completions,zsh/site-functions,wavelet-flow}
cp "$made/wf.bash" usr/share/bash-completion/completions/wf
for tool in "$ROOT/bin"/wf-*; do ln -s wf "usr/share/bash-completion/completions/${tool##*/}"; done
cp "$made/_wf" usr/share/zsh/site-functions
mv models usr/share/wavelet-flow
mkdir -p mine/named && cp faces/wf.json mine/named
cat > init.bash <<END
PATH=$ROOT/bin:\$PATH
. $WORK/usr/share/bash-completion/completions/wf-dwt
END
cat > init.zsh <<END
PATH=$ROOT/bin:\$PATH
fpath=($WORK/usr/share/zsh/site-functions \$fpath)
autoload -Uz compinit && compinit -D -u
END

# Each row has the text that is typed, with "*" for all candidates, and the words after it. zsh adds no slash before it accepts a folder.
cat > cases <<'END'
wf-train-level --precision *|<--precision><auto><bf16><fp32><tf32>
wf-train-level --precision b|<--precision><bf16>
wf-train-level --precision=b|<--precision=bf16>
wf-train-level --check|<--checkpoint-every>
wf-dwt -w coif*|<-w><coif1><coif2><coif3>
wf-dwt --wavelet db1|<--wavelet><db10>
wf-sample --backend *|<--backend><auto><cpu><cuda><ref>
wf-sample --scale *|<--scale><16><2><4><8>
wf-nuts --mass d|<--mass><diagonal>
wf-sample -m *|<-m><damaged><faces><folder><shipped><named><usr><mine>
wf-sample -m sh|<-m><shipped>
wf-train-level -m sh*|<-m><sh>
wf-bpd -s s|<-s><store.wf>
wf-bpd -s fa*|<-s><fa>
wf-idwt -o fo|<-o><folder>
wf-idwt -o b.*|<-o><b.>
wf-idwt --grid b|<--grid><b.png>
wf-sample -m faces -l *|<-m><faces><-l><0><1><2>
wf-sample --model=faces --level *|<--model=faces><--level><0><1><2>
wf-sample -m shipped -l *|<-m><shipped><-l><0><10>
wf-train-level -m faces -l *|<-m><faces><-l><0><0-3><1><2><3>
wf-sample -l *|<-l>
wf-train-level -m damaged/huge -l *|<-m><damaged/huge><-l>
wf-train-level --minutes *|<--minutes>
wf-train-level -f b|<-f><best>
wf-train-level -f @a|<-f><@a.chain>
wf-train-level -f c*|<-f><cond><conv1x1>
wf-train-level -f '8*(actnorm, hous|<-f><8*(actnorm, householder>
wf-train-level -f '8*(actnorm, affine:wi|<-f><8*(actnorm, affine:width=>
wf-train-level -f '8*(actnorm, affine:width=3:mask=c|<-f><8*(actnorm, affine:width=3:mask=checker>
wf-dwt a|<a.chain>
wf-info sto|<store.wf>
END
sorted() { sed 's,/>,>,g' | while IFS= read -r line; do grep -o '<[^>]*>' <<< "$line" | sort -u | paste -s -d ''; done; }
try() { # try SHELL
    if ! command -v "$1" > log; then
        skip "$1"
        return
    fi
    sed 's/|<.*//' cases > typed
    python3 "$ROOT/tests/pipes/complete.py" "$1" "$WORK/init.$1" < typed 2> err | sed 's/^<[^>]*>//' > seen || cat err
    [ "$(wc -l < seen)" = "$(wc -l < cases)" ] || fail "$1: $(wc -l < seen) answers: $(head -c 1000 err)"
    sed 's/^[^|]*|</</' cases | sorted > want
    sorted < seen > have
    local text answer right
    while IFS= read -r text <&3 && IFS= read -r answer <&4 && IFS= read -r right <&5; do
        ok "$1: $text" test "$answer" = "$right"
    done 3< typed 4< have 5< want
}
export WF_MODELS=$WORK/mine
try bash
try zsh

# named by $WF_MODELS, in the second of two places
cat > cases <<'END'
wf-sample -m na|<-m><named>
END
export WF_MODELS=$WORK/nothing:$WORK/mine
try bash
try zsh

# fastest of many, so that other processes do not count
fastest() {
    # shellcheck disable=SC2016
    bash -c '. "$1"; compopt() { :; }; best=1000000
        for i in {1..30}; do
            COMP_WORDS=(wf-train-level -m faces -l 0 -f "") COMP_CWORD=6
            begin=${EPOCHREALTIME/./} && _wf wf-train-level "" -f && end=${EPOCHREALTIME/./}
            ((end - begin >= best)) || best=$((end - begin))
        done
        [ ${#COMPREPLY[@]} -gt 10 ] && [ $best -lt 50000 ]' - "$made/wf.bash"
}
ok "a TAB takes under 50 ms" fastest
