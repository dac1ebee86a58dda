#!/usr/bin/env python3
"""bench.py - images per second of the official ImageNet 64x64 levels against the PyTorch peer, alternating in one run.

    bench.py build/bench-level [--minutes 15] [--levels 0123456]

Environment: PEER, the peer's program (default ../shared/peers/peer_torch.py); PYTHON, a Python with PyTorch (default
python3). Writes build/bench.json and the table between the bench markers of README.md. A row compares our figure with the
peer's fastest setting: in fp32, and at any precision. Compiling the peer takes it minutes per level, and is left out where
the time would not do; what it has compiled stays in build/inductor, so a second run measures more. Standard library only.
"""
import argparse, json, os, statistics, subprocess, sys, time

MARKERS = '<!-- bench -->', '<!-- /bench -->'
BATCH = {6: 16}  # of 64 elsewhere
FOLD = ['--channels-last', '--fold']
PLAIN = [('fp32', []), ('fp32', FOLD), ('bf16', FOLD)]
COMPILED = [('fp32', FOLD + ['--compile']), ('bf16', FOLD + ['--compile'])]
PRIORITY = [5, 4, 6, 3, 2, 1, 0]  # which levels are compiled first
LEAN = 'train, lean'  # activations rebuilt instead of stored, where they are large: against the peer's one way of training
MODES = 'train', LEAN, 'bpd', 'sample'
COLD, WARM = 180, 45  # seconds that one compiled run of the peer needs, about


def json_line(command, env=None):
    """The JSON line that a command prints last."""
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    if done.returncode:
        sys.exit(f'bench: {" ".join(command)} exits {done.returncode}: {done.stderr.strip()[-300:]}')
    return json.loads(done.stdout.strip().splitlines()[-1])


class Ours:
    def __init__(self, program):
        self.program, self.speed, self.memory = program, {}, {}

    def run(self, level, mode, precision):
        r = json_line([self.program, '-l', str(level), '--mode', mode.split(',')[0], '--precision', precision,
                       '--memory', 'reversible' if mode == LEAN else 'store',
                       '--batch', str(BATCH.get(level, 64)), '--time', '2'])
        key = level, mode, precision
        self.speed.setdefault(key, []).append(r['img_per_s'])
        self.memory[key] = r['rss_MB']
        self.device = r['device']

    def best(self, level, mode, precisions):
        """(images per second, MB) of the fastest precision"""
        return max((statistics.median(self.speed[level, mode, p]), self.memory[level, mode, p]) for p in precisions)


class Peer:
    def __init__(self):
        self.python = os.environ.get('PYTHON', 'python3')
        self.program = os.environ.get('PEER', '../shared/peers/peer_torch.py')
        self.cache = os.path.abspath('build/inductor')
        self.results = {}
        self.present = os.path.exists(self.program) and not subprocess.run(
            [self.python, '-c', 'import torch'], capture_output=True).returncode

    def run(self, level, mode, precision, flags):
        r = json_line([self.python, self.program, '--level', str(level), '--mode', mode, '--dtype', precision,
                       '--batch', str(BATCH.get(level, 64)), '--threads', str(len(os.sched_getaffinity(0))),
                       '--seconds', '1'] + flags, dict(os.environ, TORCHINDUCTOR_CACHE_DIR=self.cache))
        self.results.setdefault((level, mode), []).append((r['img_per_s'], r['rss_MB'], precision, ' '.join(flags)))
        self.version = r['torch']

    def mark(self, level, mode, precision):
        return os.path.join(self.cache, f'level-{level}-{mode}-{precision}')

    def cost(self, *key):
        return WARM if os.path.exists(self.mark(*key)) else COLD

    def run_compiled(self, level, mode, precision, flags):
        self.run(level, mode, precision, flags)
        os.makedirs(self.cache, exist_ok=True)
        open(self.mark(level, mode, precision), 'w').close()

    def best(self, level, mode, precisions):
        mine = self.results.get((level, mode.split(',')[0]), [])
        return max((r for r in mine if r[2] in precisions), default=None)


def modes_of(level):
    return [m for m in MODES if m != LEAN or level >= 4]


def measure(ours, peer, levels, end):
    for level in levels:
        for mode in modes_of(level):
            print(f'bench: level {level} {mode}', file=sys.stderr)
            for precision, flags in PLAIN if mode == 'train' else PLAIN[1:]:
                ours.run(level, mode, precision)
                if peer.present and mode != LEAN:
                    peer.run(level, mode, precision, flags)
    for level in [l for l in PRIORITY if l in levels and peer.present]:
        for precision, flags in COMPILED:
            if time.monotonic() + peer.cost(level, 'train', precision) < end:
                print(f'bench: level {level} train, the peer compiled, {precision}', file=sys.stderr)
                ours.run(level, 'train', precision)
                peer.run_compiled(level, 'train', precision, flags)


def rows(ours, peer, levels):
    for mode in MODES:
        for level in [l for l in levels if mode in modes_of(l)]:
            for name, precisions in ('fp32', ['fp32']), ('any', ['fp32', 'bf16']):
                speed, memory = ours.best(level, mode, precisions)
                theirs = peer.best(level, mode, precisions)
                yield dict(name=f'imagenet64 level {level} {mode}', level=level, mode=mode, precision=name,
                           batch=BATCH.get(level, 64), ours=speed, peer=theirs and theirs[0],
                           ratio=theirs and round(speed / theirs[0], 2), ours_MB=memory, peer_MB=theirs and theirs[1],
                           peer_setting=theirs and f'{theirs[2]} {theirs[3]}'.strip(),
                           peer_compiled=any('--compile' in r[3] for r in peer.results.get((level, mode.split(',')[0]), [])))


def table(ours, peer, all_rows):
    """Markdown: one line per level and mode, both precisions beside one another."""
    def cell(row):
        if row['peer'] is None:
            return f'{row["ours"]:.0f} | - | - | {row["ours_MB"]} / -'
        return f'{row["ours"]:.0f} | {row["peer"]:.0f} | {row["ratio"]:.1f}x | {row["ours_MB"]} / {row["peer_MB"]}'

    who = f'PyTorch {peer.version}' if peer.present else 'peer absent'
    lines = [f'{ours.device}, {len(os.sched_getaffinity(0))} cores; {who}. Images per second, `make bench`; "any": the '
             'fastest precision of each; "c": the compiled peer was measured too; lean: `--memory reversible`.', '',
             '| level | mode | ours fp32 | peer fp32 | ratio | MB | ours any | peer any | ratio | MB |',
             '|---|---|---|---|---|---|---|---|---|---|']
    for fp32, best in zip(all_rows[0::2], all_rows[1::2]):
        mode = fp32['mode'] + (' c' if fp32['peer_compiled'] else '')
        lines.append(f'| {fp32["level"]} | {mode} | {cell(fp32)} | {cell(best)} |')
    return '\n'.join(lines)


def replace_file(path, text):
    with open(path + '.part', 'w') as f:
        f.write(text)
    os.replace(path + '.part', path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('program')
    parser.add_argument('--minutes', type=float, default=15)
    parser.add_argument('--levels', default='0123456')
    parser.add_argument('--readme', default='README.md')
    a = parser.parse_args()
    end = time.monotonic() + 60 * a.minutes
    levels = [int(l) for l in a.levels]
    ours, peer = Ours(a.program), Peer()
    if not peer.present:
        print(f'bench: peer absent: no PyTorch in {peer.python}, or no {peer.program}', file=sys.stderr)
    measure(ours, peer, levels, end)
    all_rows = list(rows(ours, peer, levels))
    replace_file('build/bench.json', json.dumps(all_rows, indent=1) + '\n')
    text = table(ours, peer, all_rows)
    print(text)
    with open(a.readme) as f:
        before, rest = f.read().split(MARKERS[0])
    after = rest.split(MARKERS[1])[1]
    replace_file(a.readme, before + MARKERS[0] + '\n' + text + '\n' + MARKERS[1] + after)


if __name__ == '__main__':
    main()
