#!/bin/sh
# smaller.sh - a system for a smaller machine: limits the width of a chain's nets to WIDTH, and to COUNT the numbers of
# repetitions, blocks of a net and components of a mixture. Narrowed nets have the default number of attention heads,
# since heads must divide the width.
#
#     smaller.sh WIDTH COUNT < system.chain > small.chain
export LC_ALL=C
[ $# = 2 ] || { echo 'smaller.sh: expected WIDTH COUNT' >&2; exit 64; }
exec awk -v width="$1" -v count="$2" '
function least(line, pattern, most,    done, found, number) {
    while (match(line, pattern)) {
        found = substr(line, RSTART, RLENGTH)
        number = found
        gsub(/[^0-9]/, "", number)
        if (number + 0 > most + 0)
            sub(/[0-9]+/, most, found)
        done = done substr(line, 1, RSTART - 1) found
        line = substr(line, RSTART + RLENGTH)
    }
    return done line
}
/^#/ { print; next }
{
    line = least($0, "width=[0-9]+", width)
    if (line != $0)
        gsub(/:heads=[0-9]+/, "", line)
    print least(least(least(line, "blocks=[0-9]+", count), "components=[0-9]+", count), "[0-9]+\\*", count)
}'
