# plan.awk - splits the core time over the levels: from lines of level, share, chain, options to lines of level,
# minutes, threads, chain, options.
#
# A level with a share of more than one core gets several threads. No level takes longer than the whole training.
function number(name, text) {
    if (text ~ /^([0-9]+\.?[0-9]*|\.[0-9]+)$/)
        return text + 0
    printf "plan.awk: %s: found '%s', expected a number such as 0.5\n", name, text > "/dev/stderr"
    exit 64
}
BEGIN {
    minutes = number("MINUTES", minutes)
    jobs = number("JOBS", jobs)
}
{
    cores = number("SHARE_" $1, $2) / 100 * jobs
    threads = cores < 1.5 ? 1 : int(cores + 0.5)
    time = minutes * cores / threads
    if (time > minutes)
        time = minutes
    printf "%s\t%.3f\t%d\t%s\t%s\n", $1, time, threads, $3, $4
}
