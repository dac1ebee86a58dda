#!/usr/bin/env bash
# remote.sh STEP [SSH-OPTION ...] HOST -- COMMAND - ssh as GNU parallel calls it for train.sh, in one of three steps:
#
#   begin   checks that the host can train; without a shared folder it also fetches what an earlier run left there
#   train   trains a level by COMMAND, the worker of GNU parallel; without a shared folder the stores and the level's
#           files go there before, and the level's files come back every $SSHRETURN seconds and at the end
#   end     removes the copies
#
# When GNU parallel stops, sshd sends no signal to a process without a terminal. GNU parallel's worker there sees within a
# second that its sshd is gone, and sends --termseq. Until then, and until the trainer has saved, this script waits.
#
#   WF_OUT, WF_FOLDER   the folder of train.sh, and where a host runs the trainers, relative to the home there
#   WF_STAGE            what goes to hosts without a shared folder, as links; empty: the folder is shared
#   WF_PATH             commands that set PATH on the host
#   WF_MESSAGES         the descriptor of standard error
#   WF_FAILED           an empty folder here: levels that fail for reasons that all hosts share
set -u -o pipefail
export LC_ALL=C
step=$1
shift
login=()
while [ "$1" != -- ]; do login+=("$1") && shift; done
shift
host=${login[-1]}
# A host that is gone is noticed within a minute, and no password is asked for beside other levels. A connection that several
# sessions share would outlive this one, and GNU parallel's worker would not see it end.
read -r -a ssh <<< "${PARALLEL_SSH:-ssh}"
ssh+=(-o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=15 -o ServerAliveCountMax=3 -o ControlPath=none
    "${login[@]:0:${#login[@]}-1}")
there=$host
[[ $host != *:* ]] || there="[$host]"

fail() { # fail CODE WHAT...
    echo "train.sh: $host: ${*:2}" >&2
    exit "$1"
}
quote() { printf "'%s'" "${1//\'/\'\\\'\'}"; }
on_host() { "${ssh[@]}" -n "$host" "exec sh -c $(quote "$1")"; }
copy() { rsync -t -e "${ssh[*]}" --exclude='*.lock' --exclude='*.tmp' --exclude=lock.mdb "$@" < /dev/null; }
steps() { { wf-info "$1" | sed -n 's/^step *//p'; } 2> /dev/null; }
name() { printf 'level-%02d' "$1"; }

# fetch AGAIN LEVEL...: files of levels that have more steps there than here; AGAIN is 1: as many. First comes the state,
# because a trainer goes on from weights and a log that are newer than it, but not from older ones.
fetch() {
    local again=$1 back=$WF_STAGE/.$host/$2 level file have states=()
    shift
    for level; do states+=(--include="/$(name "$level").state.safetensors"); done
    rm -rf "$back" && mkdir -p "$back" && copy -r "${states[@]}" --exclude='*' "$there:$WF_FOLDER/model/" "$back" || return
    for level; do
        file=$(name "$level")
        [ -e "$back/$file.state.safetensors" ] || continue
        have=$(steps "$back/$file.state.safetensors")
        [ $((have + again)) -gt "$(steps "$WF_OUT/model/$file.state.safetensors" | grep . || echo -1)" ] || continue
        mv "$back/$file.state.safetensors" "$back/state" &&
            copy -r --exclude='*.state.safetensors' --include=/wf.json --include="/$file.*" --exclude='*' \
                "$there:$WF_FOLDER/model/" "$back/" || return
        mv "$back/$file".* "$back/wf.json" "$WF_OUT/model" && mv "$back/state" "$WF_OUT/model/$file.state.safetensors" || return
    done
}

# put LEVEL: stores, once however many levels begin, and the level's files
put() {
    (
        flock 9
        copy -r -L --exclude='/.*' --include=/model/wf.json --include="/model/$(name "$1").*" --exclude='/model/*' \
            "$WF_STAGE/" "$there:$WF_FOLDER"
    ) 9> "$WF_STAGE/.$host.lock" 2> "$WF_STAGE/.$host.said" ||
        fail 69 "cannot copy to $WF_FOLDER: $(tail -n 1 "$WF_STAGE/.$host.said")"
}

begin() {
    local tools='setpriv flock perl' see said missing here there_is levels
    see="cd $(quote "$WF_FOLDER") && cksum < $(quote "$WF_OUT/plan.tsv")"
    [ -z "$WF_STAGE" ] || tools+=' rsync' see="mkdir -p $WF_FOLDER/model"
    said=$(on_host "$WF_PATH for tool in $tools; do command -v \$tool > /dev/null || echo missing \$tool; done
        wf-info --version; $see" 2>&1) || [ $? != 255 ] || fail 69 "ssh cannot log in: $(tail -n 1 <<< "${said%$'\r'}");" \
        "'ssh $host true' must work without a password; or leave the host out of SSHLOGIN"
    missing=$(sed -n 's/^missing //p' <<< "$said" | head -n 1)
    case $missing in setpriv | flock) tools=util-linux ;; *) tools=$missing ;; esac
    [ -z "$missing" ] || fail 69 "$missing is not installed there: apt-get install $tools"
    here=$(wf-info --version) there_is=$(grep '^wf-info (' <<< "$said") || fail 69 'wf-info is not in PATH there:' \
        "install version ${here##* } of the programs${WF_STAGE:+, or set SSHPATH to their folder}"
    [ "$there_is" = "$here" ] || fail 69 "has version ${there_is##* } of the programs, expected ${here##* } as here:" \
        'install the same on all hosts'
    said=$(tail -n 1 <<< "$said")
    if [ -z "$WF_STAGE" ]; then
        [ "$said" = "$(cksum < "$WF_OUT/plan.tsv")" ] || fail 69 "does not see the files of $WF_OUT: share the folder," \
            'or set SSHWORKDIR to the name of a folder for copies on each host'
    else
        [ "$said" = "$here" ] || fail 69 "$said"
        mapfile -t levels < <(cut -f 1 "$WF_OUT/plan.tsv")
        said=$(fetch 0 "${levels[@]}" 2>&1) || fail 69 "cannot copy from $WF_FOLDER: $(tail -n 1 <<< "$said")"
    fi
    echo "$host"
}

# begun LEVEL SECONDS: is there a state? Waits so long for a trainer that is saving, which holds the lock of its level.
begun() {
    local file
    file=$(quote "$([ -n "$WF_STAGE" ] || echo "$WF_OUT/")model/$(name "$1")")
    on_host "cd $(quote "$WF_FOLDER") || exit
        [ ! -e $file.lock ] || flock -w $2 $file.lock true
        [ -e $file.state.safetensors ]" 2> /dev/null
}

train() {
    local level code='' ended session last=$SECONDS status
    level=$(sed -n "${PARALLEL_SEQ}p" "$WF_OUT/plan.tsv" | cut -f 1)
    exec 2> >(sed -u "s/^/level $level\t/" >&"$WF_MESSAGES") # GNU parallel drops what a level says that it repeats
    [ ! -e "$WF_FAILED/$level" ] || exit "$(cat "$WF_FAILED/$level")" # it failed on another host
    if begun "$level" 60 && [ -n "$WF_STAGE" ]; then fetch 0 "$level" 2> /dev/null; fi
    [ -z "$WF_STAGE" ] || put "$level"
    stopped=
    trap 'stopped=1' TERM
    exec 3>&1
    exec {ended}< <("${ssh[@]}" -n "$host" "exec sh -c $(quote "cd $(quote "$WF_FOLDER") && $WF_PATH $*")" >&3; exit $?)
    session=$!
    while [ -z "$stopped" ]; do
        status=0
        read -r -t 1 -u "$ended" || status=$? # nothing comes but the end
        [ $status -gt 128 ] || { wait "$session" && code=0 || code=$?; break; }
        kill -0 "$PARALLEL_PID" 2> /dev/null || stopped=1 # it was killed
        [ -z "$WF_STAGE" ] || [ $((SECONDS - last)) -lt "${SSHRETURN:-60}" ] || { fetch 0 "$level" 2> /dev/null; last=$SECONDS; }
    done
    [ -z "$stopped" ] || code=75
    trap : TERM
    [ -z "$stopped" ] || kill 0 # ssh, if it is not gone
    [ -z "$stopped" ] || exec 2>&"$WF_MESSAGES" # the signal was for sed too
    [ -z "$stopped" ] && [ "$code" != 255 ] || begun "$level" 600
    case $code in
    69 | 75) ;;
    6[4-9] | 7[0-9]) echo "$code" > "$WF_FAILED/$level" ;;
    esac
    [ -z "$WF_STAGE" ] || fetch 1 "$level" 2> "$WF_STAGE/.$host.said" || [ "$code" = 255 ] || {
        echo "train.sh: $host: cannot copy level $level from there: $(tail -n 1 "$WF_STAGE/.$host.said")" >&2
        [ "$code" != 0 ] || code=255
    }
    [ "$code" != 255 ] || echo "train.sh: $host: the connection is lost; level $level goes on at step" \
        "$(steps "$WF_OUT/model/$(name "$level").state.safetensors" | grep . || echo 0)" >&2
    exit "$code"
}

end() { on_host "rm -rf $WF_FOLDER" 2> /dev/null || echo "train.sh: $host: copies are left in $WF_FOLDER" >&2; }

[[ $step != train || $* == *GNU_Parallel_worker* ]] || exec "${ssh[@]}" "$host" -- "$@" # how many logins may there be?
"$step" "$@"
