# wavelets.awk OUT/WAVELET-SEED/bpd-NAME.tsv .. - joins tables of wf-bpd to one, a row per wavelet: mean over seeds and
# half of their range
BEGIN {
    FS = "\t"
}
FNR == 1 {
    n = split(FILENAME, path, "/")
    wavelet = path[n - 1]
    sub(/-[0-9]+$/, "", wavelet)
    if (!(wavelet in runs))
        order[++wavelets] = wavelet
    runs[wavelet]++
    next
}
{
    key = wavelet SUBSEP $1
    if (!($1 in known)) {
        known[$1] = 1
        column[++columns] = $1
    }
    if (!(key in sum) || $3 < least[key])
        least[key] = $3
    if (!(key in sum) || $3 > most[key])
        most[key] = $3
    sum[key] += $3
}
END {
    row = "| wavelet | seeds |"
    line = "|---|---|"
    for (i = 1; i <= columns; i++) {
        row = row " " (column[i] == "total" ? "total" : "level " column[i]) " |"
        line = line "---|"
    }
    print row "\n" line
    for (w = 1; w <= wavelets; w++) {
        row = "| " order[w] " | " runs[order[w]] " |"
        for (i = 1; i <= columns; i++) {
            key = order[w] SUBSEP column[i]
            row = row sprintf(" %.4f +- %.4f |", sum[key] / runs[order[w]], (most[key] - least[key]) / 2)
        }
        print row
    }
}
