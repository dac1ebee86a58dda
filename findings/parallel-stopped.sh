#!/usr/bin/env bash
# GNU parallel 20221122 (Debian 12, parallel 20221122+ds-2): SIGINT and SIGCONT to a parallel that is stopped.
#
# Guess: parallel, which stopped its jobs when Ctrl-Z stopped it, continues them before it ends them, so that a job
# answers the SIGTERM of --termseq as one that runs does.
# Seen: SIGINT is handled first. The jobs stay stopped, get SIGTERM three times without running, and then SIGKILL; what
# they do on SIGTERM is lost. With SIGCONT in --termseq they do it.
#
# Exits 0 while that is so, 1 when it has changed.
set -eu
export LC_ALL=C
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download -qq parallel=20221122+ds-2
dpkg -x parallel_*.deb here
parallel=$work/here/usr/bin/parallel
"$parallel" --version < /dev/null | head -n 1
cat > job << 'END'
#!/usr/bin/env bash
trap 'echo saved > "$1"; exit' TERM
echo begun > "$1"
while :; do sleep 0.05; done
END
chmod +x job
# answer NAME STOPPED [OPTION ...]: what the job wrote last, after SIGCONT and SIGINT to a parallel that was stopped or not
answer() {
    local pid
    setsid "$parallel" --will-cite "${@:3}" ./job ::: "$1" 2> log &
    pid=$!
    until [ -s "$1" ]; do sleep 0.1; done
    sleep 0.5
    if [ "$2" = stopped ]; then
        kill -TSTP -- "-$pid"
        sleep 0.5
    fi
    kill -STOP "$pid" && kill -INT "$pid" && kill -CONT "$pid" # both wait when it runs again
    wait "$pid" || true
    cat "$1"
}
running=$(answer a running) stopped=$(answer b stopped) continued=$(answer c stopped --termseq TERM,0,CONT,2000,KILL,25)
echo "a job that ran: $running; that was stopped: $stopped; with CONT after TERM: $continued"
[ "$running $stopped $continued" = 'saved begun saved' ]
