# total.gp - the whole model; variables: total, references ('' for none), out
set terminal pngcairo size 800, 500 font ',10'
set output out
set encoding utf8
set grid lc rgb '#e0e0e0'
set xlabel 'minutes of training'
set ylabel 'bits per dimension, held out'
set xrange [0:*]
set yrange [*:*<8]
set key top right
set datafile separator "\t"
set style line 1 lw 2 lc rgb '#08519c'
if (references eq '') {
    plot total using 1:2 with lines ls 1 title 'Wavelet Flow'
} else {
    # field i of the rows of a kind, as words
    field(kind, i) = system(sprintf("awk -F '\t' '$1 == \"%s\" { gsub(/ /, \"_\", $%d); print $%d }' %s", kind, i, i, references))
    clean(s) = system("echo '".s."' | tr _ ' '")
    names = field('line', 2)
    heights = field('line', 3)
    peers = field('point', 2)
    minutes = field('point', 3)
    reached = field('point', 4)
    last = real(system("tail -n 1 ".total." | cut -f 1"))
    do for [i = 1:words(minutes)] { last = real(word(minutes, i)) > last ? real(word(minutes, i)) : last }
    # a name stands on the side of its point where there is room
    do for [i = 1:words(peers)] {
        x = real(word(minutes, i))
        y = real(word(reached, i))
        if (x < 0.7 * last) { set label clean(word(peers, i)) at x, y left offset 1, 0.3 }
        else { set label clean(word(peers, i)) at x, y right offset -1, 0.3 }
    }
    points = "< awk -F '\t' '$1 == \"point\" { print $3 \"\t\" $4 }' ".references
    plot for [i = 1:words(names)] real(word(heights, i)) with lines dt 2 lc i + 1 title clean(word(names, i)), \
         points using 1:2 with points pt 9 ps 1.6 lc rgb '#d95f02' notitle, \
         total using 1:2 with lines ls 1 title 'Wavelet Flow'
}
