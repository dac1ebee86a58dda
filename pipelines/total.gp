# total.gp - the whole model, to standard output; in a folder with curve.tsv and, of other systems, the tables lines (kind,
# name, bits/dim) and points (kind, name, minutes, bits/dim), which may be empty
set terminal pngcairo size 800, 500 font ',10'
set grid lc rgb '#e0e0e0'
set xlabel 'minutes of training'
set ylabel 'bits per dimension, held out'
set xrange [0:*]
set yrange [*:*<8]
set key top right noenhanced
set datafile separator "\t"
rows(table) = int(system("wc -l < ".table))
cell(table, row, column) = system(sprintf("sed -n %dp %s | cut -f %d", row, table, column))
set style line 1 lw 2 lc rgb '#08519c'
if (rows('curve.tsv') == 0) {
    set label 'nothing was held out' at graph 0.5, 0.5 center
    plot [0:1] [0:1] NaN notitle
    exit
}
if (rows('lines') == 0 || rows('points') == 0) {
    plot 'curve.tsv' using 1:2 with lines ls 1 title 'Wavelet Flow'
} else {
    last = real(system("tail -n 1 curve.tsv | cut -f 1"))
    do for [i = 1:rows('points')] {
        x = real(cell('points', i, 3))
        last = x > last ? x : last
    }
    # a name stands on the side of its point where there is room
    do for [i = 1:rows('points')] {
        x = real(cell('points', i, 3))
        y = real(cell('points', i, 4))
        if (x < 0.7 * last) { set label cell('points', i, 2) at x, y left offset 1, 0.3 noenhanced }
        else { set label cell('points', i, 2) at x, y right offset -1, 0.3 noenhanced }
    }
    plot for [i = 1:rows('lines')] real(cell('lines', i, 3)) with lines dt 2 lc i + 1 title cell('lines', i, 2), \
         'points' using 3:4 with points pt 9 ps 1.6 lc rgb '#d95f02' notitle, \
         'curve.tsv' using 1:2 with lines ls 1 title 'Wavelet Flow'
}
