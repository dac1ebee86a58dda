"""bench_table.py - arithmetic and tables of bench.py, from what it keeps in bench.json. Standard library only.

A row of bench.json, "MODE:LEVEL", holds:

    batch, GFLOP, MB_moved   pictures of a run; what the run has to compute and to move, as bench-level counts it
    ours                     {precision: {"turns": for each round, images/s of each turn; "MB": peak memory}}
    peer                     the same, and "setting", the fastest of those tried; turns are side by side with ours
    tried                    {"PRECISION SETTING": most images/s of the peer, null: it failed or took too long}
    kernels                  {"ours": {name: share of the run's time}, "peer": the same}
    peaks                    for each round {"fp32": FLOP/s, "bf16": the same, "copy": B/s}, measured at its start
    device, torch, capability, threads, settings, build   what it was measured on and with; build names bench-level's bytes
"""
import os, statistics

NOISY = 0.15  # rounds further apart than this are marked
REVERSIBLE = 'reversible'
MODE_NAMES = {REVERSIBLE: 'train, reversible', 'few': 'gradient, few'}
SHORT = 'train:1', 'train:3', 'train:4', 'train:5', 'train:6', 'train:faces8', 'bpd:5', 'sample:5'  # rows of the README


def rounds_of(measured):
    """Images per second of each round, the median of its turns."""
    return [statistics.median(turns) for turns in measured['turns']]


def median_of(side, precision):
    """Images per second in the median round; None: not measured."""
    return statistics.median(rounds_of(side[precision])) if precision in side else None


def fastest(side):
    """The precision with the fastest median round; None: nothing was measured."""
    return max(side, key=lambda p: median_of(side, p), default=None)


def noisy(rounds):
    return max(rounds) - min(rounds) > NOISY * statistics.median(rounds)


def ratios(ours, peer):
    """Ratio of each round, the median over its turns: those were side by side."""
    return [statistics.median(a / b for a, b in zip(mine, theirs)) for mine, theirs in zip(ours['turns'], peer['turns'])]


def floor_seconds(row, peaks, precision):
    """Least seconds of a run at the measured peaks: those of its FLOP or those of its bytes, the larger; None: no peak."""
    if not peaks.get(precision):
        return None
    return max(row['GFLOP'] * 1e9 / peaks[precision], row['MB_moved'] * 1e6 / peaks['copy'])


def distance(row, precision):
    """Measured time over the floor in the median round; None: not measured, or no peak."""
    if precision not in row['ours']:
        return None
    floors = [floor_seconds(row, peaks, precision) for peaks in row['peaks']]
    if None in floors:
        return None
    return statistics.median(row['batch'] / speed / floor for speed, floor in zip(rounds_of(row['ours'][precision]), floors))


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


def speed_text(side, precision):
    if precision not in side:
        return '-'
    return figure(median_of(side, precision)) + (' ~' if noisy(rounds_of(side[precision])) else '')


def ratio_text(ours, peer):
    if not ours or not peer:
        return '-'
    found = ratios(ours, peer)
    return f'{figure(statistics.median(found))}x ({figure(min(found))}-{figure(max(found))}){" ~" if noisy(found) else ""}'


def parts(key):
    mode, level = key.split(':')
    return MODE_NAMES.get(mode, mode), level.replace('faces', 'faces ')


def line_of(key, row):
    mode, level = parts(key)
    ours, peer = row['ours'], row['peer']
    best, theirs = fastest(ours), fastest(peer)
    cells = [level, mode, row['batch'], f'{row["GFLOP"] / row["batch"]:.2g}']
    cells += [speed_text(side, p) for side in (ours, peer) for p in ('fp32', 'bf16')]
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


def device_text(row):
    return f'{row["device"]}, {row["threads"]} thread{"s" if row["threads"] > 1 else ""}'


def peaks_text(rows):
    """The largest of each peak that was measured: the machine reached it."""
    units = {'fp32': 'GFLOP/s', 'bf16': 'GFLOP/s', 'copy': 'GB/s'}
    best = {n: max((p.get(n) or 0 for r in rows for p in r['peaks']), default=0) for n in units}
    return ', '.join(f'{n} {best[n] / 1e9:.0f} {unit}' for n, unit in units.items() if best[n])


def about(rows, newest):
    """What the rows of a table were measured on and with."""
    some = rows[newest]
    peer = next((f'PyTorch {r["torch"]} ({r["capability"]})' for r in rows.values() if r['torch']), 'no PyTorch')
    lines = [f'{device_text(some)}; {peer}; {some["settings"]}. Peaks: {peaks_text(rows.values())}.']
    old = [key for key, r in rows.items() if r['build'] != some['build']]
    if old:
        lines += ['', f'Measured with another build: {" ".join(old)}.']
    eager = [key for key, r in rows.items() if r['torch'] and not any('compiled' in t for t in r['tried'])]
    if eager:
        lines += ['', f'Without a compiled peer: {" ".join(eager)}.']
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
    lines = [f'{device_text(some)}; ' + (f'PyTorch {torch}' if torch else 'no PyTorch'), '',
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
