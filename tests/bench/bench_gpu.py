#!/usr/bin/env python3
"""bench_gpu.py - images per second of the official models on a GPU against the PyTorch peer, side by side in one run.

    bench_gpu.py build/bench-level [--minutes 9.5] [--only imagenet64:5,faces1024:8] [--peer-device cuda]

Every level of ImageNet 64x64 and of faces 1024x1024; training, bits/dim, sampling and, of ours alone, what a leapfrog of
wf-nuts costs; fp32, tf32 and bf16. Level by level ours and the peer take turns; then the peer is compiled, which takes it minutes, for as long as there is time,
levels that the goals name first. Distances: the share of the matrix product's rate measured in the same run, and how
many times the floor a run takes (the larger of its FLOP over that rate and its bytes over the measured copy's).
Writes build/bench-gpu.json after every level, and the table between its markers in tests/bench/README.md. Environment: PEER and
PYTHON as in bench.py. Standard library only.
"""
import argparse, json, os, subprocess, sys, time

import bench

MODELS = {  # levels: (steps, width, side of training patches); the arithmetic here, the flows themselves in lib/model/model.c
    'imagenet64': [(8, 128, 1)] * 2 + [(16, 128, 2), (16, 128, 4), (16, 128, 8), (16, 256, 8), (16, 256, 16)],
    'faces1024': [(8, 64, 1)] * 2 + [(16, 64, 2), (16, 128, 4), (16, 128, 8), (16, 128, 16), (16, 128, 16)] + [(16, 128, 32)] * 4,
}
PEER_NAMES = {'imagenet64': 'imagenet64', 'faces1024': 'celeba1024'}
MODES = 'train', 'bpd', 'sample', 'gradient'
PRECISIONS = 'fp32', 'tf32', 'bf16'
PLAIN, TUNED = [], ['--channels-last', '--fold', '--graph']
COMPILED = TUNED + ['--compile']
FIRST = [('imagenet64', 5, 'train'), ('faces1024', 7, 'train'), ('imagenet64', 6, 'train'), ('imagenet64', 2, 'train'),
         ('faces1024', 10, 'bpd'), ('faces1024', 10, 'sample'), ('imagenet64', 4, 'train'), ('imagenet64', 0, 'train')]
PUBLISHED_STEPS = 5e6


def side(level):
    return 2 ** max(0, level - 1)


def batch_of(model, level, mode):
    """64 as published, fewer where whole pictures are large: as many pixels as 64 pictures of 64x64."""
    return 64 if mode == 'train' else min(64, max(1, 4 ** 9 // side(level) ** 2))


def same_work(model, level, mode):
    """The first level that does the very same work: trained on patches of the same side with the same flow."""
    levels = MODELS[model]
    if mode != 'train':
        return level
    return next(l for l in range(level + 1) if levels[l] == levels[level] and (l == 0) == (level == 0))


def work(model, level, mode):
    """(FLOP, bytes) of one run: the convolutions of the coupling nets; of bytes only what no fusion saves, parameters and
    what the optimizer keeps of them (44 each in a training step), and the state in and out."""
    steps, width, patch = MODELS[model][level]
    pixels = batch_of(model, level, mode) * (patch if mode == 'train' else side(level)) ** 2
    taken, out, channels = (7, 10, 9) if level else (1, 4, 3)
    taps = 9 if side(level) > 1 else 1
    weights = steps * (taken * width + 3 * (taps + 1) * width ** 2 + taps * width * out + channels ** 2)
    training = mode == 'train'
    return 2 * pixels * weights * {'train': 3, 'gradient': 2}.get(mode, 1), weights * (44 if training else 4) + 8 * pixels * channels


class Ours:
    def __init__(self, program, backend):
        self.command, self.speed, self.device = [program, '--backend', backend], {}, ''

    def lines(self, arguments, end):
        done = subprocess.run(self.command + arguments, capture_output=True, text=True, timeout=max(1, end - time.monotonic()))
        if done.returncode:
            print(f'bench: {" ".join(arguments)} exits {done.returncode}: {done.stderr.strip()[-300:]}', file=sys.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def peaks(self, size, end):
        """({precision: FLOP/s of a matrix product}, bytes/s of a copy)"""
        lines = self.lines(['--time', '0.5'] + [f'matrix:{p}:{size}' for p in PRECISIONS] + ['copy'], end)
        self.device = lines[0]['device']
        return {l['precision']: l['FLOP_per_s'] for l in lines if 'FLOP_per_s' in l}, lines[-1]['B_per_s']

    def run(self, model, level, end):
        jobs = [f'{mode}:{p}:{batch_of(model, level, mode)}:store' for mode in MODES
                if same_work(model, level, mode) == level for p in PRECISIONS]
        for line in self.lines(['--model', model, '-l', str(level), '--time', '0.3'] + jobs, end):
            self.speed[model, level, line['mode'], line['precision']] = line['img_per_s']


SERVER = '''
import importlib.util, json, shlex, sys, torch
spec = importlib.util.spec_from_file_location('peer', sys.argv[1])
peer = importlib.util.module_from_spec(spec)
spec.loader.exec_module(peer)
for line in sys.stdin:
    sys.argv = ['peer'] + shlex.split(line)
    try:
        peer.main()
    except BaseException as e:
        print(json.dumps({'error': f'{type(e).__name__}: {e}'[:300]}), flush=True)
    torch._dynamo.reset()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
'''


class Peer:
    """One Python process that measures one setting after another: starting PyTorch takes longer than most of them."""

    def __init__(self, device):
        self.python, self.device = os.environ.get('PYTHON', 'python3'), device
        self.program = os.environ.get('PEER', '../shared/peers/peer_torch.py')
        self.results, self.version, self.process = {}, '', None
        self.present = os.path.exists(self.program) and not subprocess.run(
            [self.python, '-c', 'import torch'], capture_output=True).returncode

    def ask(self, arguments):
        if not self.process or self.process.poll() is not None:
            environment = dict(os.environ, TORCHINDUCTOR_CACHE_DIR=os.path.abspath('build/inductor'))
            self.process = subprocess.Popen([self.python, '-c', SERVER, self.program], stdin=subprocess.PIPE, text=True,
                                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
        self.process.stdin.write(' '.join(arguments) + '\n')
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith('{'):
                return json.loads(line)
        return {'error': 'the peer died'}

    def run(self, model, level, mode, precision, flags):
        if not self.present or mode == 'gradient' or same_work(model, level, mode) != level:
            return
        r = self.ask(['--config', PEER_NAMES[model], '--level', str(level), '--mode', mode, '--dtype', precision,
                      '--batch', str(batch_of(model, level, mode)), '--device', self.device, '--seconds', '0.3'] + flags)
        if 'error' in r:
            print(f'bench: the peer, {model} {level} {mode} {precision} {" ".join(flags)}: {r["error"]}', file=sys.stderr)
            return
        self.results.setdefault((model, level, mode), []).append((r['img_per_s'], precision, flags))
        self.version = r['torch']

    def best(self, key, wanted=lambda precision, flags: True):
        """(images per second, precision, flags) of the fastest setting that is wanted, or None"""
        return max((r for r in self.results.get(key, []) if wanted(r[1], r[2])), key=lambda r: r[0], default=None)


def row(ours, peer, peaks, copy, model, level, mode):
    key = model, same_work(model, level, mode), mode
    speed = {p: ours.speed.get((*key, p)) for p in PRECISIONS}
    flop, moved = work(model, level, mode)
    batch = batch_of(model, level, mode)
    plain, best = peer.best(key, lambda p, flags: p == 'fp32' and not flags), peer.best(key)
    fastest = max((s for s in speed.values() if s), default=None)
    floor = {p: max(flop / peaks[p], moved / copy) for p in peaks}
    return dict(model=model, level=level, mode=mode, batch=batch, ours=speed, peer_plain=plain and plain[0],
                peer=best and best[0], peer_setting=best and f'{best[1]} {" ".join(best[2])}'.strip(),
                peer_compiled=any('--compile' in r[2] for r in peer.results.get(key, [])),
                ratio_plain=plain and fastest and round(fastest / plain[0], 2),
                ratio=best and fastest and round(fastest / best[0], 2),
                peak_share={p: speed[p] and round(flop * speed[p] / batch / peaks[p], 3) for p in peaks},
                times_floor={p: speed[p] and round(batch / speed[p] / floor[p], 2) for p in peaks})


def hours(rows, model, precision):
    """Of training every level for the published number of steps, one after the other; None: not all were measured."""
    speeds = [r['ours'][precision] for r in rows if r['model'] == model and r['mode'] == 'train']
    if len(speeds) < len(MODELS[model]) or not all(speeds):
        return None
    return sum(PUBLISHED_STEPS * 64 / s / 3600 for s in speeds)


def figure(x, form='{:.3g}'):
    return '-' if x is None else form.format(x)


def table(ours, peer, peaks, copy, rows):
    who = f'PyTorch {peer.version}' if peer.version else 'peer absent'
    peak = ', '.join(f'{p} {v / 1e12:.0f}' for p, v in peaks.items())
    lines = [f'{ours.device}; {who}. Images per second, `make bench-gpu`. Measured in the same run: matrix product {peak} '
             f'TFLOP/s, copy {copy / 1e12:.2f} TB/s. "peak": FLOP of bf16 over the matrix product\'s; "floor": time over the '
             'larger of FLOP and bytes at those rates; "plain": the peer in eager fp32; "best": its fastest setting, "c" when '
             'the compiled one was measured too.', '']
    for model in MODELS:
        for precision in PRECISIONS:
            h = hours(rows, model, precision)
            if h:
                lines.append(f'{model}, {PUBLISHED_STEPS:.0f} steps of every level in {precision}: {h:.1f} hours.')
    lines += ['', '| model | level | mode | batch | fp32 | tf32 | bf16 | peak | floor | plain | ratio | best | ratio |',
              '|---|---|---|---|---|---|---|---|---|---|---|---|---|']
    for r in rows:
        lines.append(f'| {r["model"]} | {r["level"]} | {r["mode"]}{" c" if r["peer_compiled"] else ""} | {r["batch"]} | ' +
                     ' | '.join(figure(r['ours'][p]) for p in PRECISIONS) +
                     f' | {figure(r["peak_share"].get("bf16"), "{:.0%}")} | {figure(r["times_floor"].get("bf16"))}x | '
                     f'{figure(r["peer_plain"])} | {figure(r["ratio_plain"])}x | {figure(r["peer"])} | '
                     f'{figure(r["ratio"])}x |')
    return '\n'.join(lines).replace('-x', '-')


def measure(ours, peer, wanted, end, save):
    """Level by level; False when the time was up."""
    for model, level in wanted:
        print(f'bench: {model} level {level}', file=sys.stderr)
        ours.run(model, level, end)
        for mode in MODES:
            peer.run(model, level, mode, 'fp32', PLAIN)
            for precision in PRECISIONS:
                peer.run(model, level, mode, precision, TUNED)
        save()
        if time.monotonic() > end:
            return False
    rest = [(m, l, mode) for mode in MODES for m, l in wanted]
    for model, level, mode in dict.fromkeys([f for f in FIRST if f[:2] in wanted] + rest):
        if time.monotonic() > end - 60:  # what has been compiled stays in build/inductor for the next run
            return False
        print(f'bench: {model} level {level} {mode}, the peer compiled', file=sys.stderr)
        ours.run(model, level, end)
        peer.run(model, level, mode, 'bf16', COMPILED)
        save()
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('program')
    parser.add_argument('--minutes', type=float, default=9.5)
    parser.add_argument('--only', default=','.join(f'{m}:{l}' for m in MODELS for l in range(len(MODELS[m]))))
    parser.add_argument('--backend', default='cuda')
    parser.add_argument('--peer-device', default='cuda')
    parser.add_argument('--matrix', type=int, default=8192, help='side of the product that gives the peak')
    parser.add_argument('--readme', default='tests/bench/README.md')
    a = parser.parse_args()
    end = time.monotonic() + 60 * a.minutes
    wanted = [(m, int(l)) for m, l in (name.split(':') for name in a.only.split(','))]
    ours, peer = Ours(a.program, a.backend), Peer(a.peer_device)
    if not peer.present:
        print(f'bench: peer absent: no PyTorch in {peer.python}, or no {peer.program}', file=sys.stderr)
    peaks, copy = ours.peaks(a.matrix, end)

    def rows():
        return [row(ours, peer, peaks, copy, m, l, mode) for m, l in wanted for mode in MODES]

    def save():
        found = dict(device=ours.device, torch=peer.version, matrix_FLOP_per_s=peaks, copy_B_per_s=copy, rows=rows())
        bench.replace_file('build/bench-gpu.json', json.dumps(found, indent=1) + '\n')

    try:
        if not measure(ours, peer, wanted, end, save):
            print('bench: the time is up', file=sys.stderr)
    except subprocess.TimeoutExpired:
        print('bench: the time is up', file=sys.stderr)
    save()
    if peer.process:
        peer.process.kill()
    text = table(ours, peer, peaks, copy, rows())
    print(text)
    bench.replace_between(a.readme, 'bench-gpu', text)


if __name__ == '__main__':
    main()
