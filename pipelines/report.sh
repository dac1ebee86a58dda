#!/usr/bin/env bash
# report.sh OUT HEIGHT WIDTH LEVELS NAME.. - prints the page of report.mk: one HTML file with the pictures of OUT, the
# bits/dim of each NAME, and the commands behind them. The page has no script and refers to nothing outside itself; it
# is also XML. FIGURES, TABLES, REAL and SHOWN are those of report.mk.
set -eu -o pipefail
export LC_ALL=C
out=$1 height=$2 width=$3 levels=$4
shift 4
here=$(cd "$(dirname "$0")" && pwd)
real=${REAL:-held-out pictures} shown=${SHOWN:-${REAL:-held-out pictures}}

escape() { sed 's/&/\&amp;/g; s/</\&lt;/g; s/>/\&gt;/g; s/"/\&quot;/g'; }

# number FILE AT: the big-endian 32-bit number at byte AT
number() { od -An -v -tu1 -j "$2" -N 4 "$1" | awk '{ print (($1 * 256 + $2) * 256 + $3) * 256 + $4 }'; }

# has NAME: is it a figure or table of this report?
has() { [[ " ${FIGURES-samples real levels temperatures scaling super nearest} ${TABLES-nearest-samples nearest-real} " == *" $1 "* ]]; }

# picture FILE WIDTH ALT: a PNG file, enlarged by the largest whole factor that fits into WIDTH pixels
picture() {
    local w h zoom
    w=$(number "$1" 16) h=$(number "$1" 20)
    zoom=$((w < $2 ? $2 / w : 1))
    printf '<img width="%d" height="%d" alt="%s" src="data:image/png;base64,' $((w * zoom)) $((h * zoom)) "$3"
    base64 -w 0 "$1"
    echo '"/>'
}

# figure NAME WIDTH ALT < CAPTION: a picture of report.mk, with its command
figure() {
    has "$1" || return 0
    echo '<figure class="pixels">'
    picture "$out/report/$1.png" "$2" "$3"
    echo "<figcaption>$(cat) <code>$(escape < "$out/report/$1.command")</code></figcaption>"
    echo '</figure>'
}

# plot FILE ALT < CAPTION
plot() {
    echo '<figure>'
    picture "$out/$1" 1 "$2"
    echo "<figcaption>$(cat)</figcaption>"
    echo '</figure>'
}

# details SUMMARY < TEXT
details() { echo "<details><summary>$1</summary><pre>$(escape)</pre></details>"; }

# cells TAG < LINES: a table row per line, cells separated by tabs
cells() {
    escape | awk -F '\t' -v tag="$1" '{
        printf $1 == "total" ? "<tr class=\"total\">" : "<tr>"
        for (i = 1; i <= NF; i++) printf "<%s>%s</%s>", tag, $i, tag
        print "</tr>" }'
}

# The tables of wf-bpd, one column per NAME.
bits_per_dimension() {
    local name
    cut -f 1,2 "$out/bpd-$1.tsv" > "$work/table"
    for name; do
        awk -F '\t' 'NR > 1 { printf $4 == "-" ? "%.4f\n" : "%.4f \302\261 %.4f\n", $3, $4 }' "$out/bpd-$name.tsv" |
            cat <(echo "$name") - | paste "$work/table" - > "$work/next"
        mv "$work/next" "$work/table"
    done
    echo '<table>'
    head -n 1 "$work/table" | cells th
    tail -n +2 "$work/table" | cells td
    echo '</table>'
}

# distances LABEL FILE: least, median and largest distance to the nearest training picture
distances() {
    tail -n +2 "$2" | sort -g -k 4,4 | awk -F '\t' -v label="$1" '{ d[NR] = $4 } END {
        printf "%d %s\t%.0f\t%.0f\t%.0f\n", NR, label, d[1], (d[int((NR + 1) / 2)] + d[int(NR / 2) + 1]) / 2, d[NR] }'
}

name=$(basename "$(realpath "$out")" | escape)
bits=$(awk -F '\t' '$1 == "total" { printf "%.3f", $3 }' "$out/bpd-$1.tsv")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat << END
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<title>$name: Wavelet Flow</title>
<style>
$(cat "$here/report.css")
</style>
</head>
<body>
<h1>$name</h1>
<p>A Wavelet Flow of pictures of ${height}x$width, with $((levels + 1)) levels:
<strong>$bits bits per dimension</strong> on $(escape <<< "$1") pictures.
The command under a picture made it, in the folder of this page.</p>

<h2>Samples</h2>
<div class="pair">
END
figure samples 528 'samples, side by side' <<< 'Samples at temperature 1.'
figure real 528 "$shown, side by side" <<< "${shown^}, to compare with."
cat << END
</div>

<h2>Bits per dimension</h2>
<p>Levels count per dimension of the whole picture, so that they add up; &#177; is the standard error over pictures.</p>
END
bits_per_dimension "$@"
plot curve.png 'a falling curve of bits per dimension over minutes of training' << END
Held-out bits per dimension of all levels together, while they were trained. Training draws other noise than the table,
so the curve ends within about the table's error.
END
plot curves.png 'curves of bits per dimension over steps, a panel for each level' << END
Each level over its own steps, held out and in training.
END

echo '<h2>From one level to the next</h2>'
figure levels 1 'rows of samples, coarse on the left and fine on the right' << END
A row is one sample at every level, each drawn given the one before. Every level is a separate flow.
END

cat << END
<h2>Temperatures</h2>
<p>A row is one temperature T. Below 1, likely pictures become likelier.$(has temperatures ||
    echo ' Annealed chains take minutes; their command is in the manual page of wf-nuts.')</p>
<div class="pair">
END
figure temperatures 1 'rows of annealed samples, the colder the lower' << END
Annealed: Markov chains, started at samples, draw from the density of each level to the power of 1/T&#178;.
END
figure scaling 1 'rows of samples with scaled latents, the narrower the lower' << END
$(has temperatures && echo 'For comparison, s' || echo S)amples whose latents are multiplied by T: cheap, but not draws from the annealed density.
END
echo '</div>'
! has temperatures || details 'How the chains went' < "$out/report/temperatures.log"

echo '<h2>Super-resolution</h2>'
figure super 1 "rows of $real, beside coarser ones and their continuations" << END
${real^}, their averages, and continuations drawn from each average alone. Averaged down again, a continuation
gives its average, to the last bit.
END

echo '<h2>Nearest training pictures</h2>'
figure nearest 1 'rows of samples and the training pictures nearest to them' << END
Samples, and the training pictures at the smallest Euclidean distance from each, nearest first.
END
echo '<table>'
printf 'nearest to\tleast distance\tmedian\tlargest\n' | cells th
{
    distances 'samples' "$out/report/nearest-samples.tsv"
    ! has nearest-real || distances "$real" "$out/report/nearest-real.tsv"
} | cells td
echo '</table>'
! has nearest-real || cat << END
<p>A model that copied its training pictures would draw samples much nearer to them than held-out pictures are.</p>
END
echo '<h2>Model</h2>'
wf-info "$out/model" | details 'Levels, flows, and the commands that trained them'
cat << END
</body>
</html>
END
