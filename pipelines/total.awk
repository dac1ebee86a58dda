# total.awk PLAN VALIDATIONS - from "level seconds value" of each validation to "minutes bits/dim" of the whole model;
# see curves.sh. The whole training lasts as long as its longest level in the plan.
FNR == NR {
    minutes[$1] = $2
    if ($2 > whole)
        whole = $2
    levels++
    next
}
{
    n = ++count[$1]
    time[$1, n] = $2 / 60
    value[$1, n] = $3
}
END {
    for (i = 1; i <= 100; i++) {
        total = 0
        seen = 0
        for (l in minutes) {
            best = ""
            for (k = 1; k <= count[l]; k++) # a validation may end a little after the level's last minute
                if ((time[l, k] <= minutes[l] * i / 100 || i == 100) && (best == "" || value[l, k] < best))
                    best = value[l, k]
            if (best != "") {
                total += best
                seen++
            }
        }
        if (seen == levels)
            print whole * i / 100 "\t" total
    }
}
