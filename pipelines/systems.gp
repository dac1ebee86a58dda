# systems.gp - one line per system; variables: systems, folder, out
set terminal pngcairo size 900, 560 font ',10'
set output out
set encoding utf8
set grid lc rgb '#e0e0e0'
set xlabel 'minutes of training'
set ylabel 'bits per dimension, held out'
set yrange [*:*<9]
set key outside right top
set datafile separator "\t"
plot for [i = 1:words(systems)] folder.'/'.word(systems, i).'/curve.tsv' using 1:2 with lines lw 2 lc i title word(systems, i)
