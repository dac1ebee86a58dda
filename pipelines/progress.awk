# progress.awk - the state of a training as one line, from the logs of the levels, each line after "LEVEL "; see train.sh
#
# Shown are bits/dim on held-out pictures of the weights that are kept, the best; without such pictures, those of training.
#
#   wide      columns of the terminal, for a line that takes the place of the one before; 0: none, a line of its own
#   seconds   since this run began;   jobs   levels at a time
#   plan      the file of plan.awk;   ended  the job log, which has the levels that are complete
function value(key, text) {
    return match(text, "\"" key "\": *[-0-9.e+]+") ? substr(text, RSTART + length(key) + 3, RLENGTH - length(key) - 3) + 0 : ""
}
function clock(s) {
    s = int(s + 0.5)
    return s >= 3600 ? sprintf("%dh%02dm", s / 3600, s / 60 % 60) : sprintf("%dm%02ds", s / 60, s % 60)
}
BEGIN {
    FS = "\t"
    while ((getline < plan) > 0) {
        level[++levels] = $1
        row[$1] = levels
        planned[levels] = 60 * $2
        threads[levels] = $3
    }
    while ((getline < ended) > 0)
        if ($1 in level)
            complete[$1] = $7 == 0 && $8 == 0
    FS = " "
}
{
    at = row[$1]
    if (!(at in named))
        order[++logs] = at
    named[at] = $1
    trained[at] = value("seconds", $0)
    step[at] = value("step", $0)
    best[at] = value("best", $0) == "" ? best[at] : value("best", $0)
    bits[at] = value("bpd", $0) == "" ? bits[at] : value("bpd", $0)
}
END {
    for (i = 1; i <= logs; i++) {
        at = order[i]
        shown = best[at] == "" ? bits[at] : best[at]
        if (shown != "")
            text = text sprintf("   level %s: %.3f", named[at], shown) (wide ? "" : sprintf(" (step %d)", step[at]))
    }
    for (i = 1; i <= levels; i++) {
        left = complete[i] || trained[i] > planned[i] ? 0 : planned[i] - trained[i]
        all += planned[i] * threads[i]
        rest += left * threads[i]
        longest = left > longest ? left : longest
    }
    if (!wide)
        printf "%02d:%02d%s\n", seconds / 60, seconds % 60, text
    else if (all > 0) {
        longest = rest / jobs > longest ? rest / jobs : longest
        printf "\r\033[K%s", substr(sprintf("%.0f%%   ETA %s%s", 100 * (1 - rest / all), clock(longest), text), 1, wide - 1)
    } else
        printf "\r\033[K%s", substr(sprintf("%02d:%02d%s", seconds / 60, seconds % 60, text), 1, wide - 1)
}
