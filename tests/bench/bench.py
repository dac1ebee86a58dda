#!/usr/bin/env python3
"""bench.py - images per second of the official ImageNet 64x64 levels against the PyTorch peer, alternating in one run.

    bench.py build/bench-level [--gradient] [--minutes 15] [--levels 0123456]

--gradient: instead, gradients per second of what wf-nuts evaluates at every leapfrog of each chain, against the peer's
autograd through its inverse. Environment: PEER, the peer's program (default ../shared/peers/peer_torch.py); PYTHON, a
Python with PyTorch (default python3). Writes build/bench.json, or bench-gradient.json, and the table between its
markers in tests/bench/README.md. A row compares our figure with the peer's fastest setting: in fp32, and at any precision. First
every row is measured against the peer's best setting that is not compiled, then its other settings, the most promising
first, until the time is up. Compiling takes it minutes; what it has compiled stays in build/inductor, so a second run
gets further. Standard library only.
"""
import argparse, json, os, statistics, subprocess, sys, time

GRADIENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'peer_gradient.py')
FOLD = ['--channels-last', '--fold']
LAYOUTS = FOLD, ['--fold'], ['--channels-last'], []
PRECISIONS = 'fp32', 'bf16'
LEAN = 'train, lean'  # activations rebuilt, not stored, where they are large: against the peer's one way of training
MODES = 'train', LEAN, 'bpd', 'sample'
MANY, FEW = 'gradient', 'gradient, few'


def batch_of(level, mode):
    """As the paper trains; whole pictures of the largest level, where 64 would take half of the time, fewer. Gradients:
    the rows that wf-nuts has its device compute for many chains, and for a single one (lib/mcmc/anneal.c)."""
    pixels = 4 ** max(0, level - 1)
    if mode == FEW:
        return min(64, max(1, 256 // pixels))
    if mode == MANY:
        return min(64, 4096 // pixels)
    return 16 if level == 6 and mode in ('bpd', 'sample') else 64


def modes_of(level, modes):
    return [m for m in modes
            if (m != LEAN or level >= 4) and (m != FEW or batch_of(level, FEW) < batch_of(level, MANY))]


def peer_mode(mode):
    return 'train' if mode == LEAN else mode


def job(level, mode, precision):
    """What bench-level calls a measurement."""
    memory = {LEAN: 'reversible', 'train': 'store'}.get(mode, 'auto')
    return f"{mode.split(',')[0]}:{precision}:{batch_of(level, mode)}:{memory}"


def json_line(command, end, env=None):
    """The JSON line that a command prints last. subprocess.TimeoutExpired: it has not ended by `end`; RuntimeError."""
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=max(0, end - time.monotonic()))
    if done.returncode:
        raise RuntimeError(f'{" ".join(command)} exits {done.returncode}: {done.stderr.strip()[-300:]}')
    return json.loads(done.stdout.strip().splitlines()[-1])


class Ours:
    def __init__(self, program, end):
        self.program, self.end, self.speed, self.memory, self.device = program, end, {}, {}, ''

    def run(self, level, mode, precision):
        r = json_line([self.program, '-l', str(level), '--time', '1', job(level, mode, precision)], self.end)
        key = level, mode, precision
        self.speed.setdefault(key, []).append(r['img_per_s'])
        self.memory[key] = r['rss_MB']
        self.device = r['device']

    def best(self, level, mode, precisions):
        """(images per second, MB) of the fastest precision; None: not measured"""
        keys = [(level, mode, p) for p in precisions if (level, mode, p) in self.speed]
        return max(((statistics.median(self.speed[k]), self.memory[k]) for k in keys), default=None)


class Peer:
    def __init__(self, end):
        self.python = os.environ.get('PYTHON', 'python3')
        self.program = os.environ.get('PEER', '../shared/peers/peer_torch.py')
        self.env = dict(os.environ, TORCHINDUCTOR_CACHE_DIR=os.path.abspath('build/inductor'))
        self.end, self.results, self.version = end, {}, ''
        self.present = os.path.exists(self.program) and not subprocess.run(
            [self.python, '-c', 'import torch'], capture_output=True).returncode

    def run(self, level, mode, precision, flags):
        try:
            program = [GRADIENT] if mode in (MANY, FEW) else [self.program, '--mode', mode]
            r = json_line([self.python] + program + flags +
                          ['--level', str(level), '--dtype', precision, '--batch', str(batch_of(level, mode)),
                           '--threads', str(len(os.sched_getaffinity(0))), '--seconds', '1'], self.end, self.env)
        except RuntimeError as e:  # a setting that does not work on this machine is no setting
            print(f'bench: {e}', file=sys.stderr)
            return
        self.results.setdefault((level, mode), []).append((r['img_per_s'], r['rss_MB'], precision, ' '.join(flags)))
        self.version = r['torch']

    def measured(self, level, mode):
        return self.results.get((level, peer_mode(mode)), [])

    def best(self, level, mode, precisions):
        """(images per second, MB, precision, flags) of the fastest setting; None: not measured"""
        return max((r for r in self.measured(level, mode) if r[2] in precisions), default=None)


def further(rows):
    """The peer's settings of rows (mode, level) beyond the first, (level, mode, precision, flags): the best come first; some
    come twice."""
    if rows[0][0] == MANY:  # a layout costs seconds, compiling minutes
        yield from ((level, mode, 'fp32', flags) for flags in LAYOUTS for mode, level in rows)
    for mode, level in rows:  # small levels are all overhead, large ones all arithmetic
        yield level, mode, 'fp32' if level < 4 else 'bf16', FOLD + ['--compile']
    for layout in LAYOUTS:
        for flags in layout + ['--compile'], layout:
            yield from ((level, mode, p, flags) for p in PRECISIONS for mode, level in rows)


def measure(ours, peer, levels, modes):
    first = PRECISIONS if modes == MODES else ['fp32']
    for precision in first:
        for level in levels:
            for mode in modes_of(level, modes):
                print(f'bench: level {level} {mode}, {precision}', file=sys.stderr)
                ours.run(level, mode, precision)
                if peer.present and mode != LEAN:
                    peer.run(level, mode, precision, FOLD)
    rows = [(mode, level) for mode in modes if mode != LEAN for level in levels if mode in modes_of(level, modes)]
    done = {(level, mode, p, *FOLD) for mode, level in rows for p in first}
    for level, mode, precision, flags in further(rows) if peer.present else []:
        if (level, mode, precision, *flags) in done:
            continue
        done.add((level, mode, precision, *flags))
        print(f'bench: level {level} {mode}, the peer with {precision} {" ".join(flags)}', file=sys.stderr)
        ours.run(level, mode, precision)
        peer.run(level, mode, precision, flags)


def rows(ours, peer, levels, modes):
    for mode in modes:
        for level in [l for l in levels if mode in modes_of(l, modes)]:
            for name, precisions in ('fp32', ['fp32']), ('any', PRECISIONS):
                mine, theirs = ours.best(level, mode, precisions), peer.best(level, mode, precisions)
                if mine is None:  # the time was up before
                    continue
                speed, memory = mine
                yield dict(name=f'imagenet64 level {level} {mode}', level=level, mode=mode, precision=name,
                           batch=batch_of(level, mode), ours=speed, peer=theirs and theirs[0],
                           ratio=theirs and round(speed / theirs[0], 2), ours_MB=memory, peer_MB=theirs and theirs[1],
                           peer_setting=theirs and f'{theirs[2]} {theirs[3]}'.strip(),
                           peer_compiled=any('--compile' in r[3] for r in peer.measured(level, mode)))


ABOUT = ('Images per second, `make bench`; "any": the fastest precision of each; "c": the compiled peer was measured too; '
         'lean: `--memory reversible`. Level 6 is evaluated and sampled in batches of 16: 64 would take half of the time.')
ABOUT_GRADIENT = ('Gradients per second, `make bench-nuts`; "any": the fastest precision of each; "c": the compiled peer was '
                  'measured too. Batches: of as many chains as `wf-nuts` computes at once, and, few, of the fewest.')


def table(ours, peer, all_rows, about):
    """Markdown: one line per level and mode, both precisions beside one another."""
    def figure(speed):
        return f'{speed:.0f}' if speed >= 10 else f'{speed:.1f}'

    def cell(row):
        if row['peer'] is None:
            return f'{figure(row["ours"])} | - | - | {row["ours_MB"]} / -'
        return f'{figure(row["ours"])} | {figure(row["peer"])} | {row["ratio"]:.1f}x | {row["ours_MB"]} / {row["peer_MB"]}'

    who = f'PyTorch {peer.version}' if peer.present else 'peer absent'
    lines = [f'{ours.device}, {len(os.sched_getaffinity(0))} cores; {who}. {about}', '',
             '| level | mode | batch | ours fp32 | peer fp32 | ratio | MB | ours any | peer any | ratio | MB |',
             '|---|---|---|---|---|---|---|---|---|---|---|']
    for fp32, best in zip(all_rows[0::2], all_rows[1::2]):
        mode = fp32['mode'] + (' c' if fp32['peer_compiled'] else '')
        lines.append(f'| {fp32["level"]} | {mode} | {fp32["batch"]} | {cell(fp32)} | {cell(best)} |')
    return '\n'.join(lines)


def replace_file(path, text):
    with open(path + '.part', 'w') as f:
        f.write(text)
    os.replace(path + '.part', path)


def replace_between(path, name, text):
    """Puts text between the markers <!-- name --> and <!-- /name --> of a file."""
    first, last = f'<!-- {name} -->', f'<!-- /{name} -->'
    with open(path) as f:
        before, rest = f.read().split(first)
    replace_file(path, before + first + '\n' + text + '\n' + last + rest.split(last)[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('program')
    parser.add_argument('--gradient', action='store_true')
    parser.add_argument('--minutes', type=float, default=15)
    parser.add_argument('--levels', default='0123456')
    parser.add_argument('--readme', default='tests/bench/README.md')
    a = parser.parse_args()
    end = time.monotonic() + 60 * a.minutes
    levels = [int(l) for l in a.levels]
    name, modes, about = ('bench-gradient', (MANY, FEW), ABOUT_GRADIENT) if a.gradient else ('bench', MODES, ABOUT)
    ours, peer = Ours(a.program, end), Peer(end)
    if not peer.present:
        print(f'bench: peer absent: no PyTorch in {peer.python}, or no {peer.program}', file=sys.stderr)
    try:
        measure(ours, peer, levels, modes)
    except subprocess.TimeoutExpired:
        print('bench: the time is up', file=sys.stderr)
    all_rows = list(rows(ours, peer, levels, modes))
    replace_file(f'build/{name}.json', json.dumps(all_rows, indent=1) + '\n')
    text = table(ours, peer, all_rows, about)
    print(text)
    replace_between(a.readme, name, text)


if __name__ == '__main__':
    main()
