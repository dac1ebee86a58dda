# grain.awk OUT/data/coherence.tsv OUT/CHAIN-SEED/{bpd,coherence}.tsv .. - joins tables of wf-bpd and coherence to one, a row per
# chain: bits/dim of the level and correlations in one disc by pixels apart, as mean over seeds and half of their range. The last
# column is the part of the way from the first chain to the data, as mean over the distances.
BEGIN {
    FS = "\t"
    distances = split("4 8 16 32", distance, " ")
}
FNR == 1 {
    n = split(FILENAME, path, "/")
    chain = path[n - 1]
    is_bpd = path[n] == "bpd.tsv"
    sub(/-[0-9]+$/, "", chain)
    if (!(chain in runs))
        order[++chains] = chain
    runs[chain] += is_bpd || chain == "data"
    next
}
is_bpd && $1 == "total" { next }
{
    key = chain SUBSEP (is_bpd ? "bpd" : $1)
    value = $3
    if (!(key in sum) || value < least[key])
        least[key] = value
    if (!(key in sum) || value > most[key])
        most[key] = value
    sum[key] += value
}
function mean(chain, column) { return sum[chain, column] / runs[chain] }
function cell(chain, column) {
    return (chain, column) in sum ? sprintf(" %.3f +- %.3f |", mean(chain, column), (most[chain, column] - least[chain, column]) / 2) : " - |"
}
END {
    row = "| chain | seeds | bits/dim |"
    line = "|---|---|---|"
    for (d = 1; d <= distances; d++) {
        row = row " " distance[d] " pixels |"
        line = line "---|"
    }
    print row " of the gap |\n" line "---|"
    for (c = 1; c <= chains; c++) {
        name = order[c]
        row = "| " name " | " (name == "data" ? "-" : runs[name]) " |" cell(name, "bpd")
        closed = 0
        for (d = 1; d <= distances; d++) {
            row = row cell(name, distance[d])
            first = mean(order[2], distance[d])
            closed += (mean(name, distance[d]) - first) / (mean("data", distance[d]) - first) / distances
        }
        print row sprintf(" %.2f |", closed)
    }
}
