#!/usr/bin/env bash
# GNU parallel 20221122 and OpenSSH 9.2p1 (Debian 12, parallel 20221122+ds-2, openssh 1:9.2p1-2+deb12u10): SIGINT to a
# parallel whose job runs on another host by --sshlogin.
#
# Guess: the job there gets SIGTERM and, as --termseq says, ten seconds to save, as a job here does.
# Seen: SIGKILL follows at once. The job is a shell with the command below it. The shell dies of SIGTERM, its death ends the
# wait of parallel's worker there, and the worker goes on in --termseq with what is left of the group. With exec before the
# command, the command is the job, and saves. Parallel itself ends before that, and so it does not tell when the job has.
# Where connections are shared (ControlMaster, or --controlmaster of parallel), the job gets no signal and runs on: the worker
# looks whether its sshd is gone, and that one serves the other sessions too.
#
# Needs the user sshd, which openssh-server makes, if it is run as root. Exits 0 while that is so, 1 when it has changed.
set -eu
export LC_ALL=C
work=$(mktemp -d) made=
trap 'kill $(jobs -p) $(cat job-*.pid) 2> log; rm -rf "$work"; [ -z "$made" ] || rmdir "$made"' EXIT
cd "$work"
apt-get download -qq parallel=20221122+ds-2 openssh-server=1:9.2p1-2+deb12u10 openssh-client=1:9.2p1-2+deb12u10 libwrap0
for package in *.deb; do dpkg -x "$package" here; done
here=$work/here/usr
export LD_LIBRARY_PATH=$here/lib/x86_64-linux-gnu PATH=$here/bin:$PATH
parallel --version < /dev/null | head -n 1
ssh -V
[ "$(id -u)" != 0 ] || [ -e /run/sshd ] || { mkdir /run/sshd && made=/run/sshd; }
ssh-keygen -q -t ed25519 -N '' -f host-key
ssh-keygen -q -t ed25519 -N '' -f user-key
port=$((20000 + RANDOM % 20000))
"$here/sbin/sshd" -D -f /dev/null -p $port -h "$work/host-key" -o ListenAddress=127.0.0.1 -o AuthorizedKeysFile="$work/user-key.pub" \
    -o StrictModes=no -o UsePAM=no -o PidFile=none -E "$work/sshd.log" &
until grep -q '^Server listening' sshd.log; do sleep 0.1; done
cat > config << END_OF_CONFIG
Host there
HostName 127.0.0.1
Port $port
IdentityFile $work/user-key
IdentitiesOnly yes
UserKnownHostsFile /dev/null
StrictHostKeyChecking no
LogLevel ERROR
END_OF_CONFIG
cat > job << 'END_OF_JOB'
#!/usr/bin/env bash
exec {never}<> <(:)
echo $$ > "job-$1.pid"
trap 'read -r -t 0.5 -u $never; echo saved > "$1"; exit' TERM
echo begun > "$1"
while :; do read -r -t 0.05 -u "$never" || :; done
END_OF_JOB
chmod +x job
# answer NAME PREFIX SSH-OPTION...: what the job wrote last, two seconds after SIGINT to parallel
answer() {
    local pid
    parallel --will-cite --ssh "ssh -F $work/config ${*:3}" --sshlogin there --workdir "$work" --termseq TERM,10000,KILL,25 \
        "$2 ./job" ::: "$1" 2> log &
    pid=$!
    until [ -s "$1" ]; do sleep 0.1; done
    sleep 0.5
    kill -INT "$pid" # its handler takes it, though a background command ignores it
    wait "$pid" || true
    sleep 3
    cat "$1"
}
plain=$(answer a '') executed=$(answer b exec)
ssh -F config -o ControlMaster=yes -o ControlPath="$work/socket" -o ControlPersist=30 there true
shared=$(answer c exec -o ControlPath="$work/socket")
runs=$(kill -0 "$(cat job-c.pid)" && echo runs || echo ended)
ssh -F config -o ControlPath="$work/socket" -O exit there 2> log
echo "a job behind a shell: $plain; with exec: $executed; over a shared connection: $shared, and $runs"
[ "$plain $executed $shared $runs" = 'begun saved begun runs' ]
