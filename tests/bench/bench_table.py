"""bench_table.py - arithmetic and tables of bench.py, from what it keeps in bench.json. Standard library only.

A row of bench.json, "MODE:LEVEL", holds:

    batch, GFLOP, MB_moved   pictures of a run; what the run has to compute and to move, as bench-level counts it
    ours                     {precision: {"speeds": [images/s of each round], "MB": peak memory}}
    peer                     the same, and "setting"; of each precision the setting that was fastest in the first round
    tried                    {"PRECISION SETTING": images/s in the first round, null: it failed or took too long}
    kernels                  {"ours": {name: share of the run's time}, "peer": the same}
    peaks                    {"fp32": FLOP/s, "bf16": the same, "copy": B/s}, measured in the same run
    device, torch, capability, threads, settings, build   what it was measured on and with; build names bench-level's bytes
"""
import os, statistics

NOISY = 0.15  # rounds further apart than this are marked
LEAN = 'lean'
MODE_NAMES = {LEAN: 'train, lean', 'few': 'gradient, few'}
SHORT = 'train:1', 'train:3', 'train:4', 'train:5', 'train:6', 'train:faces8', 'bpd:5', 'sample:5'  # rows of the README


def median_of(side, precision):
    """Images per second in the median round; None: not measured."""
    return statistics.median(side[precision]['speeds']) if precision in side else None


def fastest(side):
    """The precision with the fastest median round; None: nothing was measured."""
    return max(side, key=lambda p: statistics.median(side[p]['speeds']), default=None)


def spread(speeds):
    """Range of the rounds over their median."""
    return (max(speeds) - min(speeds)) / statistics.median(speeds)


def ratio(ours, peer):
    """(median ratio, least, most, noisy) of two figures with rounds: each round's ratio is of measurements side by side."""
    rounds = [a / b for a, b in zip(ours['speeds'], peer['speeds'])]
    noisy = max(spread(ours['speeds']), spread(peer['speeds'])) > NOISY
    return statistics.median(ours['speeds']) / statistics.median(peer['speeds']), min(rounds), max(rounds), noisy


def floor_seconds(row, precision):
    """Least seconds of a run at the measured peaks: those of its FLOP or those of its bytes, the larger; None: no peak."""
    peaks = row['peaks']
    if not peaks.get(precision) or not peaks.get('copy'):
        return None
    return max(row['GFLOP'] * 1e9 / peaks[precision], row['MB_moved'] * 1e6 / peaks['copy'])


def distance(row, precision):
    """Measured time over the floor; None: not measured, or no peak."""
    speed, least = median_of(row['ours'], precision), floor_seconds(row, precision)
    return row['batch'] / speed / least if speed and least else None


def primitives(lines):
    """{(kind, kernel): milliseconds} of oneDNN's verbose lines; those of version 3 have two fields more."""
    found = {}
    for line in lines:
        fields = line.strip().split(',')
        if fields[0] != 'onednn_verbose' or 'exec' not in fields[:4]:
            continue
        at = fields.index('exec')
        name = fields[at + 2], fields[at + 3]
        found[name] = found.get(name, 0) + float(fields[-1])
    return found


def shares(lines, seconds, own):
    """{name: share of the seconds} of oneDNN's kernels, and, under `own`, of everything else; the largest first."""
    found = {}
    for (kind, kernel), ms in primitives(lines).items():
        name = kernel if kind in ('convolution', 'inner_product', 'matmul') else kind
        found[name] = found.get(name, 0) + ms / 1e3 / seconds
    found[own] = max(0.0, 1 - sum(found.values()))
    return dict(sorted(found.items(), key=lambda f: -f[1]))


def machine_class(device):
    """AMX, AVX512 or AVX2: the table that a device's rows belong to."""
    return 'AMX' if 'AMX' in device else 'AVX512' if 'AVX-512' in device or 'x86-64-v4' in device else 'AVX2'


def figure(x):
    """Three digits, plain."""
    return '-' if x is None else f'{x:.0f}' if x >= 100 else f'{x:.1f}' if x >= 10 else f'{x:.2f}'


def ratio_text(ours, peer):
    if not ours or not peer:
        return '-'
    middle, least, most, noisy = ratio(ours, peer)
    return f'{figure(middle)}x ({figure(least)}-{figure(most)}){" ~" if noisy else ""}'


def parts(key):
    mode, level = key.split(':')
    return MODE_NAMES.get(mode, mode), level.replace('faces', 'faces ')


def line_of(key, row):
    mode, level = parts(key)
    ours, peer = row['ours'], row['peer']
    best, theirs = fastest(ours), fastest(peer)
    cells = [level, mode, row['batch'], figure(row['GFLOP'] / row['batch'])]
    cells += [figure(median_of(side, p)) for side in (ours, peer) for p in ('fp32', 'bf16')]
    cells += [ratio_text(ours.get('fp32'), peer.get('fp32')), ratio_text(ours[best], peer.get(theirs))]
    cells += [figure(distance(row, p)) + 'x' for p in ('fp32', 'bf16')]
    cells += [f'{ours[best]["MB"]} / {peer[theirs]["MB"] if theirs else "-"}']
    return '| ' + ' | '.join(str(c).replace('-x', '-') for c in cells) + ' |'


def kernels_text(shares_of, least=0.05):
    return ', '.join(f'{name} {share:.0%}' for name, share in shares_of.items() if share >= least)


def kernel_line(key, row):
    mode, level = parts(key)
    best, theirs = fastest(row['ours']), fastest(row['peer'])
    cells = [level, mode, f'{best}: {kernels_text(row["kernels"]["ours"])}']
    cells += [f'{theirs} {row["peer"][theirs]["setting"]}: {kernels_text(row["kernels"]["peer"])}' if theirs else '-']
    return '| ' + ' | '.join(cells) + ' |'


def peaks_text(rows):
    """The largest of each peak that was measured: the machine reached it."""
    names = [('fp32', 'fp32', 'GFLOP/s'), ('bf16', 'bf16', 'GFLOP/s'), ('copy', 'copy', 'GB/s')]
    best = {n: max((r['peaks'].get(n) or 0 for r in rows), default=0) for n, _, _ in names}
    return ', '.join(f'{text} {best[n] / 1e9:.0f} {unit}' for n, text, unit in names if best[n])


def about(rows, newest):
    """What the rows of a table were measured on and with."""
    some = rows[newest]
    peer = next((f'PyTorch {r["torch"]} ({r["capability"]})' for r in rows.values() if r['torch']), 'no PyTorch')
    lines = [f'{some["device"]}, {some["threads"]} threads; {peer}; {some["settings"]}. Peaks: {peaks_text(rows.values())}.']
    old = [key for key, r in rows.items() if r['build'] != some['build']]
    if old:
        lines += ['', f'Measured with an earlier build: {" ".join(old)}.']
    return lines


def full_table(rows, newest):
    """Markdown of rows {key: row}, in their order: figures, then kernels. newest: key of the row measured last."""
    head = ['level', 'mode', 'batch', 'GFLOP', 'ours fp32', 'ours bf16', 'PyTorch fp32', 'PyTorch bf16', 'fp32 : fp32',
            'best : best', 'floor fp32', 'floor bf16', 'MB']
    lines = about(rows, newest) + ['', '| ' + ' | '.join(head) + ' |', '|---' * len(head) + '|']
    lines += [line_of(key, row) for key, row in rows.items()]
    lines += ['', 'Kernels of the faster precision, by share of the time:', '', '| level | mode | ours | PyTorch |',
              '|---|---|---|---|']
    return '\n'.join(lines + [kernel_line(key, row) for key, row in rows.items()])


def short_table(rows, newest):
    """Markdown of the few rows that the README shows: the faster precision of each."""
    some = rows[newest]
    torch = next((r['torch'] for r in rows.values() if r['torch']), None)
    lines = [f'{some["device"]}, {some["threads"]} threads; ' + (f'PyTorch {torch}' if torch else 'no PyTorch'), '',
             '| level | mode | ours | PyTorch | ratio |', '|---|---|---|---|---|']
    for key in [k for k in SHORT if k in rows]:
        ours, peer = rows[key]['ours'], rows[key]['peer']
        best, theirs = fastest(ours), fastest(peer)
        mode, level = parts(key)
        lines.append(f'| {level} | {mode} | {figure(median_of(ours, best))} ({best}) | ' +
                     (f'{figure(median_of(peer, theirs))} ({theirs})' if theirs else '-') +
                     f' | {ratio_text(ours[best], peer.get(theirs))} |')
    return '\n'.join(lines)


def replace_file(path, text):
    with open(path + '.part', 'w') as f:
        f.write(text)
    os.replace(path + '.part', path)


def replace_between(path, name, text):
    """Puts text between the markers <!-- name --> and <!-- /name --> of a file; ValueError if it has none."""
    first, last = f'<!-- {name} -->', f'<!-- /{name} -->'
    with open(path) as f:
        page = f.read()
    if page.count(first) != 1 or page.count(last) != 1:
        raise ValueError(f'{path}: expected one {first} and one {last}')
    before, rest = page.split(first)
    replace_file(path, before + first + '\n' + text + '\n' + last + rest.split(last)[1])
