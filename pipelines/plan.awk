# plan.awk - splits the core time over the levels: from lines of level, share, chain, options to lines of level,
# minutes, threads, chain, options.
#
# If no level has a share, the first, which is the finest, gets 50 %, the next three 30, 14 and 3, and each of the others
# 1.5, scaled to 100 together: a finer level has four times the pixels, and a small one is soon done.
#
# A level with a share of more than one core gets several threads. No level takes longer than the whole training.
function number(name, text) {
    if (text ~ /^([0-9]+\.?[0-9]*|\.[0-9]+)$/)
        return text + 0
    printf "plan.awk: %s: found '%s', expected a number such as 0.5\n", name, text > "/dev/stderr"
    failed = 64
    exit failed
}
BEGIN {
    minutes = number("MINUTES", minutes)
    jobs = number("JOBS", jobs)
    split("50 30 14 3", usual, " ")
}
{
    level[NR] = $1
    share[NR] = $2
    rest[NR] = $3 "\t" $4
    given = given $2
    whole += NR in usual ? usual[NR] : 1.5
}
END {
    if (failed)
        exit failed
    for (i = 1; i <= NR; i++) {
        part = given == "" ? (i in usual ? usual[i] : 1.5) / whole : number("SHARE_" level[i], share[i]) / 100
        cores = part * jobs
        threads = cores < 1.5 ? 1 : int(cores + 0.5)
        time = minutes * cores / threads
        if (time > minutes)
            time = minutes
        if (minutes > 0 && time < 0.001) # 0.000 would be no limit
            time = 0.001
        printf "%s\t%.3f\t%d\t%s\n", level[i], time, threads, rest[i]
    }
}
