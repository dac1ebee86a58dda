# total.gp - the whole model; variables: work, references ('' for none), out
set terminal pngcairo size 800, 500 font ',10'
set output out
set grid lc rgb '#e0e0e0'
set xlabel 'minutes of training'
set ylabel 'bits per dimension, held out'
set xrange [0:*]
set yrange [*:*<8]
set key top right
set datafile separator "\t"
ours = "< tr ' ' '\t' < ".work."/total"
set style line 1 lw 2 lc rgb '#08519c'
if (references eq '') {
    plot ours using 1:2 with lines ls 1 title 'Wavelet Flow'
} else {
    field(i) = system(sprintf("awk -F '\t' '$1 == \"line\" { gsub(/ /, \"_\", $%d); print $%d }' %s", i, i, references))
    names = field(2)
    heights = field(3)
    clean(s) = system("echo '".s."' | tr _ ' '")
    points = "< awk -F '\t' '$1 == \"point\" { print $3 \"\t\" $4 \"\t\" $2 }' ".references
    plot for [i = 1:words(names)] real(word(heights, i)) with lines dt 2 lc i + 1 title clean(word(names, i)), \
         points using 1:2 with points pt 9 ps 1.6 lc rgb '#d95f02' notitle, \
         points using 1:2:3 with labels left offset 1, 0.3 notitle, \
         ours using 1:2 with lines ls 1 title 'Wavelet Flow'
}
