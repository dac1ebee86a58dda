# levels.gp - one panel per level, to standard output; in a folder with train-LEVEL and val-LEVEL; variable: levels
n = words(levels)
columns = ceil(sqrt(n))
rows = ceil(1.0 * n / columns)
set terminal pngcairo size 360 * columns, 260 * rows font ',9'
set grid lc rgb '#e0e0e0'
set logscale x
set format x '%.0f'
set multiplot layout rows, columns
do for [i = 1:n] {
    l = word(levels, i)
    set title 'level '.l.': bits/dim over steps'
    set key top right font ',8'
    shown = ''
    set xrange [*:*]
    if (int(system(sprintf("cat train-%s val-%s | sort -nu -k 1,1 | wc -l", l, l))) == 1) { set xrange [0.9:*] }
    do for [kind in 'train val'] {
        if (int(system('wc -l < '.kind.'-'.l)) > 0) { shown = shown.' '.kind }
    }
    if (words(shown) == 0) {
        plot [1:10] [0:1] NaN title 'too few steps' # and nothing held out
    } else {
        plot for [kind in shown] kind.'-'.l using 1:3 with linespoints lc rgb kind eq 'val' ? '#08519c' : '#9ecae1' \
            pt kind eq 'val' ? 7 : -1 ps 0.4 title kind eq 'val' ? 'held out' : 'training'
    }
}
unset multiplot
