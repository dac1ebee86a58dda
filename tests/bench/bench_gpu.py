#!/usr/bin/env python3
"""bench_gpu.py - images per second of the official models on a card against the PyTorch peer: the peer's part, and the table.

    bench_gpu.py peer --rows imagenet64:5,faces1024:7 --settings tuned --until 90 FILE    on the machine with the card
    bench_gpu.py table FOLDER                                                             anywhere, from its results
    bench_gpu.py rows                                                                     all rows that differ in work

tests/gpu/on-device.sh runs ours and then the peer in one go. `peer` measures training of each row (MODEL:LEVEL) at each setting
of the peer, each in at most --each seconds, and appends a JSON line to FILE as each ends: plain (eager fp32), tuned
(channels-last, folded, as a CUDA graph; tf32 and bf16), compiled (the same, bf16, by torch.compile). `table` reads bench.jsonl
and peer.jsonl in FOLDER and prints Markdown. Distances: the share of the matrix product's rate measured in the same run, and how
many times the floor a run takes (the larger of its FLOP over that rate and its bytes over the measured copy's). Environment:
PEER, the peer's program. Standard library only.
"""
import argparse, json, os, select, subprocess, sys, time

MODELS = {  # levels: (steps, width, side of training patches); the arithmetic here, the flows themselves in lib/model/model.c
    'imagenet64': [(8, 128, 1)] * 2 + [(16, 128, 2), (16, 128, 4), (16, 128, 8), (16, 256, 8), (16, 256, 16)],
    'faces1024': [(8, 64, 1)] * 2 + [(16, 64, 2), (16, 128, 4), (16, 128, 8), (16, 128, 16), (16, 128, 16)] + [(16, 128, 32)] * 4,
}
PEER_NAMES = {'imagenet64': 'imagenet64', 'faces1024': 'celeba1024'}
MODES = 'train', 'bpd', 'sample', 'gradient'
PRECISIONS = 'fp32', 'tf32', 'bf16'
PLAIN, TUNED = [], ['--channels-last', '--fold', '--graph']
COMPILED = TUNED + ['--compile']
SETTINGS = {'plain': [('fp32', PLAIN)], 'tuned': [('bf16', TUNED), ('tf32', TUNED)], 'compiled': [('bf16', COMPILED)]}
FIRST = [('imagenet64', 5), ('faces1024', 7), ('imagenet64', 6), ('imagenet64', 0), ('imagenet64', 3)]  # of the goals
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
        self.program, self.device, self.process = os.environ.get('PEER', 'peer_torch.py'), device, None

    def start(self):
        self.process = subprocess.Popen([sys.executable, '-u', '-c', SERVER, self.program], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0)

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        self.process = None

    def answer(self, seconds):
        """The next JSON object that the process prints. If it ends or is late, it is killed: then an error, with its last words."""
        text, end = b'', time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            ready = left > 0 and select.select([self.process.stdout], [], [], left)[0]
            part = os.read(self.process.stdout.fileno(), 65536) if ready else b''
            if not part:
                self.stop()
                words = text.decode(errors='replace').strip().split('\n')[-1][:300]
                return {'error': (f'ended: {words}' if ready else f'no answer in {seconds:.0f} s')}
            text += part
            for line in text.split(b'\n')[:-1]:
                if line.startswith(b'{'):
                    return json.loads(line)

    def ask(self, arguments, seconds):
        if self.process and self.process.poll() is not None:
            self.stop()
        if not self.process:
            self.start()
        self.process.stdin.write((' '.join(arguments) + '\n').encode())
        return self.answer(seconds)

    def run(self, model, level, precision, flags, seconds):
        found = self.ask(['--config', PEER_NAMES[model], '--level', str(level), '--mode', 'train', '--dtype', precision,
                          '--batch', str(batch_of(model, level, 'train')), '--device', self.device, '--seconds', '0.3'] + flags,
                         seconds)
        kept = {k: found[k] for k in ('img_per_s', 'torch', 'error') if k in found}
        return dict(model=model, level=level, mode='train', precision=precision, flags=flags, **kept)


def all_rows():
    every = [(m, l) for m in MODELS for l in range(len(MODELS[m])) if same_work(m, l, 'train') == l]
    return dict.fromkeys(FIRST + every)


def measure_peer(a):
    """Appends a line for each setting. Fails if none was measured."""
    end, peer, measured, error = time.monotonic() + a.until, Peer(a.device), 0, ''
    wanted = [(row.split(':'), setting) for name in a.settings.split(',') for row in a.rows.split(',') for setting in SETTINGS[name]]
    with open(a.place, 'a') as lines:
        for (model, level), (precision, flags) in wanted:
            left = min(a.each, end - time.monotonic())
            if left < 3:
                print(f'bench: the time is up before {model} level {level}, {precision} {" ".join(flags)}')
                break
            line = peer.run(model, int(level), precision, flags, left)
            lines.write(json.dumps(line) + '\n')
            lines.flush()
            measured += 'img_per_s' in line
            error = f'; {model} {level} {precision}: {line["error"]}' if 'error' in line else error
    peer.stop()
    print(f'bench: the peer was measured at {measured} of {len(wanted)} settings{error}')
    return measured == 0


class Results:
    """The files of tests/gpu/on-device.sh. Ours are the lines of bench-level, each after one that names its model."""

    def __init__(self, folder):
        self.device = self.torch = ''
        self.peaks, self.copy, self.ours, self.peers, self.errors = {}, None, {}, {}, []
        model = None
        for line in self.lines(folder, 'bench.jsonl'):
            model = line.get('model', model)
            self.device = line.get('device', self.device)
            if line.get('mode') == 'matrix':
                self.peaks[line['precision']] = line['FLOP_per_s']
            elif line.get('mode') == 'copy':
                self.copy = line['B_per_s']
            elif 'img_per_s' in line:
                self.ours[model, line['level'], line['mode'], line['precision']] = line['img_per_s'], line['batch']
        for line in self.lines(folder, 'peer.jsonl'):
            if 'img_per_s' in line:
                self.torch = line['torch']
                key = line['model'], line['level'], line['mode']
                self.peers.setdefault(key, []).append((line['img_per_s'], line['precision'], line['flags']))
            elif 'error' in line:
                self.errors.append(' '.join(['peer:', line['model'], str(line['level']), line['precision'], *line['flags'],
                                             line['error']]))

    @staticmethod
    def lines(folder, name):
        """The JSON lines of a file; text between them, and a last line that was cut off, are left out"""
        path = os.path.join(folder, name)
        if not os.path.exists(path):
            return
        with open(path) as f:
            for line in f:
                try:
                    if line.startswith('{'):
                        yield json.loads(line)
                except ValueError:
                    pass

    def keys(self):
        return sorted({key[:3] for key in self.ours}, key=lambda key: (list(MODELS).index(key[0]), MODES.index(key[2]), key[1]))

    def speed(self, key, precision):
        return self.ours.get((*key, precision), (None, 0))[0]

    def best_peer(self, key, wanted=lambda precision, flags: True):
        """(images per second, precision, flags) of the fastest setting that is wanted, or None"""
        return max((r for r in self.peers.get(key, []) if wanted(r[1], r[2])), key=lambda r: r[0], default=None)


def ratio(a, b):
    return a and b and a / b


def row(r, key):
    """The cells of one row of the table, and its share of the peak and its distance from the floor at bf16."""
    speed = {p: r.speed(key, p) for p in PRECISIONS}
    batch = next(batch for k, (_, batch) in r.ours.items() if k[:3] == key)
    flop, moved = work(*key)
    flop *= batch / batch_of(*key)
    plain = r.best_peer(key, lambda p, flags: p == 'fp32' and not flags)
    best = r.best_peer(key)
    fastest = max((s for s in speed.values() if s), default=None)
    peak, bf16 = r.peaks.get('bf16'), speed['bf16']
    floor = peak and r.copy and max(flop / peak, moved / r.copy)
    compiled = any('--compile' in f for _, _, f in r.peers.get(key, []))
    return [*key[:2], key[2] + (' c' if compiled else ''), batch, *(figure(speed[p]) for p in PRECISIONS),
            figure(ratio(bf16, peak) and flop * bf16 / batch / peak, '{:.0%}'),
            figure(floor and bf16 and batch / bf16 / floor, '{:.3g}x'), figure(plain and plain[0]),
            figure(ratio(fastest, plain and plain[0]), '{:.1f}x'), figure(best and best[0]),
            figure(ratio(fastest, best and best[0]), '{:.2f}x')]


def figure(x, form='{:.3g}'):
    return form.format(x) if x else '-'


def hours(r, model, precision):
    """Of training every level for the published number of steps, one after the other; None: not all were measured."""
    keys = [(model, same_work(model, level, 'train'), 'train') for level in range(len(MODELS[model]))]
    speeds = [r.speed(key, precision) for key in keys]
    return sum(PUBLISHED_STEPS * 64 / s / 3600 for s in speeds) if all(speeds) else None


def table(r):
    who = f'PyTorch {r.torch}' if r.torch else 'peer absent'
    peak = ', '.join(f'{p} {v / 1e12:.0f}' for p, v in r.peaks.items())
    lines = [f'{r.device}; {who}. Images per second, `make bench-gpu`. Measured in the same run: matrix product {peak or "-"} '
             f'TFLOP/s, copy {figure(r.copy and r.copy / 1e12, "{:.2f}")} TB/s. "peak": FLOP of bf16 over the matrix product\'s; '
             '"floor": time over the larger of FLOP and bytes at those rates; "plain": the peer in eager fp32; "best": its fastest '
             'setting, "c" when the compiled one was measured too.', '']
    found = [(model, precision, hours(r, model, precision)) for model in MODELS for precision in PRECISIONS]
    lines += [f'{m}, {PUBLISHED_STEPS:.0f} steps of every level in {p}: {h:.1f} hours.\n' for m, p, h in found if h]
    lines += ['| model | level | mode | batch | fp32 | tf32 | bf16 | peak | floor | plain | ratio | best | ratio |',
              '|---|---|---|---|---|---|---|---|---|---|---|---|---|']
    lines += ['| ' + ' | '.join(map(str, row(r, key))) + ' |' for key in r.keys()]
    return '\n'.join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('what', choices=['peer', 'table', 'rows'])
    parser.add_argument('place', nargs='?', help='peer: the file to append to; table: the folder of results')
    parser.add_argument('--rows', default=','.join(f'{m}:{l}' for m, l in all_rows()))
    parser.add_argument('--settings', default='plain,tuned')
    parser.add_argument('--device', default='cuda')
    parser.add_argument('--until', type=float, default=90, help='seconds for all')
    parser.add_argument('--each', type=float, default=30, help='seconds for one setting')
    a = parser.parse_intermixed_args()
    if a.what == 'rows':
        print(*a.rows.split(','))
        return
    if not a.place:
        parser.error(f'{a.what} needs a file or folder')
    if a.what == 'peer':
        sys.exit(measure_peer(a))
    print(table(Results(a.place)))


if __name__ == '__main__':
    main()
