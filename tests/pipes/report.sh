#!/usr/bin/env bash
# report.sh - the report of the quick demo: its pictures, a changed command, and a page whose pictures a browser loads
. "$(dirname "$0")/lib.sh"
for tool in parallel gnuplot; do
    command -v $tool > log || { skip "$tool is not installed"; exit; }
done
report() {
    env -u MAKEFLAGS make -C "$ROOT" -f pipelines/demo.mk QUICK=1 MINUTES=0.05 OUT="$WORK/demo" \
        BIN="${BIN:-bin}" B="${B:-build}" \
        report ROWS=3 TEMPERATURES='1 0.8' CHAINS=2 ADAPT=2 DRAWS=3 "$@"
}
png() { [ "$(head -c 4 "$1" | tail -c 3)" = PNG ]; }
images() { grep -o '<img[^>]*' "$1"; }
only() { report "$@" > made && diff <(sed -n 's/^report: //p' made) -; } # only VAR=VALUE.. < NAMES: what is made again

ok "the report is made" report
for figure in samples real levels temperatures scaling super nearest; do
    ok "$figure.png is a PNG" png demo/report/$figure.png
done
ok "a second run draws nothing" only < /dev/null
ok "another command draws its picture again" only NEIGHBOURS=3 <<< nearest
rm demo/report/levels.png
ok "a missing picture fails too" only NEIGHBOURS=3 <<< levels
ok "a command that fails fails" bash -c '! "$@"' - report TEMPERATURES=x

# -- super-resolution ------------------------------------------------------------------------------------------------
# averages F: the F x F blocks of the third cell of each row of s.png have the averages of the second cell. Cells are
# 8x8, one pixel apart, below titles 10 pixels high.
averages() {
    wf-dwt -q --levels 0 s.png | wf-idwt -q > s.pam
    od -An -v -tu1 -w78 -j "$(sed '/^ENDHDR$/q' s.pam | wc -c)" s.pam | awk -v f="$1" '
        { for (i = 0; i < 78; i++) v[NR - 1, int(i / 3), i % 3] = $(i + 1) }
        END { for (row = 0; row < 2; row++) for (y = 0; y < 8; y += f) for (x = 0; x < 8; x += f)
            for (c = 0; c < 3; c++) {
            sum = 0
            for (i = 0; i < f * f; i++) {
                line = 10 + 9 * row + y + int(i / f)
                sum += v[line, 18 + x + i % f, c] - v[line, 9 + x + i % f, c]
                same += v[line, 18 + x + i % f, c] == v[line, 9 + x + i % f, c]
            }
            if (sum) exit 1
        } exit same > 200 || NR != 27 }'
}
for factor in 2 4 8; do
    ok "super-resolution by $factor" "$ROOT/pipelines/super.sh" demo/model demo/report/real.pam s.png 2 1 1 $factor
    ok "averaged down by $factor, a draw equals its input" averages $factor
done

# -- the page --------------------------------------------------------------------------------------------------------
page=$WORK/demo/report.html
ok "nine pictures" test "$(images "$page" | wc -l)" = 9
ok "all pictures are inside the page, with an alternative text" \
    test "$(images "$page" | grep -c 'alt="[^"]\+" src="data:image/png;base64,')" = 9
ok "nothing from elsewhere, and no script" \
    bash -c '! grep -oEi "https?:|<(script|link|iframe|object)|@import|url\(|[ \"]on[a-z]+=" "$1"' - "$page"
ok "bits/dim" grep -q "<strong>$(awk '$1 == "total" { printf "%.3f", $2 }' demo/bpd-val.tsv) bits per dimension" "$page"
ok "the commands" grep -q 'wf-nuts .* -n 2 -T \$T --adapt 2 --draws 3' "$page"

# An odd name of the folder, and an odd name of an evaluated set.
odd="a <b>&\"c"
cp -r demo "$odd"
cp "demo/bpd-val.tsv" "$odd/bpd-<&>.tsv"
PATH=$PATH:$ROOT/pipelines report.sh "$odd" 8 8 3 '<&>' val > odd.html
ok "names are escaped" grep -q '<h1>a &lt;b&gt;&amp;&quot;c</h1>' odd.html

# -- in a browser ----------------------------------------------------------------------------------------------------
command -v chromium > log || { skip "chromium is not installed: is the page well-formed, do its pictures load?"; exit; }

# shows COUNT PAGE AS: whether a browser that takes the page for AS, html or xhtml, loads COUNT pictures of as many
shows() {
    local copy=$WORK/shown.$3 count='addEventListener("load", function () {
        var all = Array.from(document.images);
        document.title = all.filter(function (i) { return i.naturalWidth; }).length + " of " + all.length + " pictures";
    })'
    sed -e 's|<html |<html xmlns="http://www.w3.org/1999/xhtml" |' \
        -e 's|</body>|<script>'"${count//$'\n'/ }"'</script></body>|' "$2" > "$copy"
    HOME=$WORK timeout 120 chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
        --user-data-dir="$WORK/chromium" --dump-dom "file://$copy" > dom 2> browser.log
    grep -q "<title>$1 of $1 pictures</title>" dom || { grep -o '<title>.*</title>' dom; tail browser.log; return 1; }
}
hides() { ! shows "$@" && grep -q '<html' dom; }
ok "a browser loads all pictures" shows 9 "$page" html
ok "the page is well-formed XML" shows 9 "$page" xhtml
ok "a browser loads a page with odd names" shows 9 odd.html xhtml
sed '0,/base64,iVBOR/s//base64,AAAAA/' "$page" > damaged.html
ok "a damaged picture is noticed" hides 9 damaged.html html
sed '0,/<.figcaption>/s///' "$page" > open.html
ok "an unclosed element hides the pictures" hides 9 open.html xhtml
