# systems.gp - one line per system, to standard output; in a folder with the curves 1, 2 .. and their names, a line each
set terminal pngcairo size 900, 560 font ',10'
set grid lc rgb '#e0e0e0'
set xlabel 'minutes of training'
set ylabel 'bits per dimension, held out'
set yrange [*:*<9]
set key outside right top noenhanced
set datafile separator "\t"
name(i) = system(sprintf("sed -n %dp names", i))
if (int(system("cat [0-9]* | wc -l")) == 0) {
    set label 'nothing was held out' at graph 0.5, 0.5 center
    plot [0:1] [0:1] NaN notitle
    exit
}
plot for [i = 1:int(system("wc -l < names"))] sprintf('%d', i) using 1:2 with lines lw 2 lc i title name(i)
