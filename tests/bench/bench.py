#!/usr/bin/env python3
"""bench.py - images per second of the official levels against the PyTorch peer: every precision of both sides, by turns.

    bench.py build/bench-level [--gradient] [--rows 'train:4 bpd:5'] [--minutes M] [--isa AVX2] [--compile]

A row is MODE:LEVEL. Modes: train, lean (training with --memory reversible), bpd, sample; with --gradient gradient, what a leapfrog of
wf-nuts evaluates for many chains, and few, for the fewest. Levels: 0 to 6 of ImageNet 64x64, and faces8, level 8 of faces 1024x1024.

A row has three rounds. In each, every precision of both sides is measured in turn for --time seconds, at least one run, by programs
that wait for their turn. The first round tries every setting of the peer; the fastest of each precision goes on. --compile tries
torch.compile as well: the first time it takes minutes a row, and what it compiled stays in build/inductor.

Rows are kept in bench.json beside the program. Rows that --rows names are measured again; without it, those that are missing or were
measured on another machine or by another build. With --minutes, no row begins that would not end in that time, and the exit code is
75 if rows are left; the same command goes on. Tables go between markers of tests/bench/README.md and of README.md, one set for each
class of machines: AMX, AVX512, AVX2. --isa emulates a class on a newer processor: both sides leave newer instructions out.

Environment: PEER, the peer's program (default ../shared/peers/peer_torch.py); PYTHON, a Python with PyTorch (default python3).
Standard library only.
"""
import argparse, hashlib, json, os, select, socket, subprocess, sys, tempfile, time

from bench_table import full_table, machine_class, replace_between, replace_file, shares, short_table

HERE = os.path.dirname(os.path.abspath(__file__))
ROUNDS = 3
PRECISIONS = 'fp32', 'bf16'
SETTINGS = {'plain': [], 'folded': ['--channels-last', '--fold']}
COMPILED = {'compiled': ['--channels-last', '--fold', '--compile']}
LEVELS = [str(l) for l in range(7)] + ['faces8']
MODES = {'train': LEVELS, 'lean': ['4', '5', '6', 'faces8'], 'bpd': LEVELS, 'sample': LEVELS}
GRADIENTS = {'gradient': LEVELS[:7], 'few': ['3', '4', '5', '6']}
LIMIT, COMPILE_LIMIT = 40, 900  # seconds for the first turn of a program; a peer that takes longer is not a setting
# Both sides leave newer instructions out: oneDNN in both, ATen and MKL in PyTorch. Our own loops follow from the build.
EMULATED = {'AVX2': {'ONEDNN_MAX_CPU_ISA': 'AVX2', 'ATEN_CPU_CAPABILITY': 'avx2', 'MKL_ENABLE_INSTRUCTIONS': 'AVX2'}}


def batch_of(mode, level):
    """64, as the paper trains; fewer where a run would take many seconds. Gradients: what wf-nuts has its device compute at once for
    many chains, and for one (lib/mcmc/anneal.h)."""
    if level == 'faces8':
        return 16 if mode in ('train', 'lean') else 2
    pixels = 4 ** max(0, int(level) - 1)
    if mode == 'few':
        return min(64, max(1, 256 // pixels))
    if mode == 'gradient':
        return min(64, 4096 // pixels)
    return 16 if level == '6' else 64


def model_of(level):
    return ['--model', 'faces1024', '--level', level[5:]] if level.startswith('faces') else ['--level', level]


class Dropped(Exception):
    """A program ended or took too long; the text says which."""


class Server:
    """A program that measures when it is asked to, and waits meanwhile. `source` is read, `target` written, both without buffers."""

    def __init__(self, name, source, target, end, limit=LIMIT):
        self.name, self.source, self.target, self.end, self.limit = name, source, target, end, limit
        self.speeds, self.last, self.rest = [], {}, b''

    def line(self, until):
        while b'\n' not in self.rest:
            ready = select.select([self.source], [], [], max(0, until - time.monotonic()))[0]
            more = os.read(self.source.fileno(), 65536) if ready else None
            if not more:
                self.close()
                raise Dropped(f'{self.name}: ' + ('ended' if ready else f'took more than {self.limit} s'))
            self.rest += more
        line, self.rest = self.rest.split(b'\n', 1)
        return line.decode(errors='replace')

    def ask(self, what):
        """(what the program reports, the lines before)"""
        before, until = [], time.monotonic() + self.limit
        try:
            os.write(self.target.fileno(), what.encode() + b'\n')
        except OSError:
            pass  # line() says why
        while True:
            line = self.line(until)
            if line.startswith('{'):
                return json.loads(line), before
            before.append(line)

    def measure(self):
        self.last, _ = self.ask('again')
        self.speeds.append(self.last['img_per_s'])
        return self.speeds[-1]

    def kernels(self, own):
        last, lines = self.ask('kernels')
        return shares(lines, last['batch'] / last['img_per_s'], own)

    def close(self):
        if self.end:
            self.end()
        self.end = None

    def result(self, **more):
        return dict(speeds=self.speeds, MB=self.last['rss_MB'], **more)


def start(command, environment):
    """A Server on the standard input and output of a command."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, bufsize=0)

    def end():
        process.kill()
        process.wait()

    return Server(' '.join(command), process.stdout, process.stdin, end)


def connect(path, arguments, limit):
    """A Server on a connection to peer_level.py."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    server = Server(f'PyTorch {" ".join(arguments)}', connection, connection, connection.close, limit)
    os.write(connection.fileno(), (' '.join(arguments) + '\n').encode())
    return server


class Bench:
    def __init__(self, a):
        self.program, self.seconds, self.isa = a.program, a.time, a.isa
        self.threads = len(os.sched_getaffinity(0))
        self.environment = dict(os.environ, OMP_NUM_THREADS=str(self.threads), **EMULATED.get(a.isa, {}))
        self.environment['TORCHINDUCTOR_CACHE_DIR'] = os.path.abspath('build/inductor')
        self.settings = {**SETTINGS, **(COMPILED if a.compile else {})}
        with open(a.program, 'rb') as f:
            self.build = hashlib.sha1(f.read()).hexdigest()[:12]
        self.folder = tempfile.TemporaryDirectory()
        self.socket = os.path.join(self.folder.name, 'peer')
        self.present = self.start_peer(os.environ.get('PYTHON', 'python3'), os.environ.get('PEER', '../shared/peers/peer_torch.py'))
        self.peaks, self.device = self.measure_peaks()

    def start_peer(self, python, peer):
        """Starts peer_level.py, which ends with this program; false without PyTorch or the peer."""
        if not os.path.exists(peer) or subprocess.run([python, '-c', 'import torch'], capture_output=True).returncode:
            print(f'bench: PyTorch is left out: no torch in {python} (PYTHON), or no {peer} (PEER)', file=sys.stderr)
            return False
        self.server = start([python, os.path.join(HERE, 'peer_level.py'), '--serve', self.socket], self.environment)
        if self.server.line(time.monotonic() + 120) != 'ready':
            sys.exit(f'bench: {self.server.name} does not start')
        return True

    def measure_peaks(self):
        """({"fp32": FLOP/s, "bf16": FLOP/s, "copy": B/s}, device); a peak that bench-level or the processor lacks is None."""
        def rate(*jobs):
            found = []
            for job in jobs:
                done = subprocess.run([self.program, '-q', '--time', str(min(0.3, self.seconds)), job], capture_output=True, text=True,
                                      env=self.environment)
                if not done.returncode:
                    found.append(json.loads(done.stdout.splitlines()[-1]))
            return max((f.get('FLOP_per_s') or f['B_per_s'] for f in found), default=None), found

        copy, found = rate('copy')
        if not found:
            sys.exit(f'bench: {self.program} does not measure a copy: run make build/bench-level')
        peaks = {'fp32': rate('peak:fp32')[0], 'bf16': rate('peak:bf16', 'peak:amx')[0], 'copy': copy}
        return peaks, found[0]['device']

    def describe_settings(self):
        shown = EMULATED.get(self.isa, {}).keys() | {n for n in os.environ if n.startswith(('GOMP_', 'KMP_', 'ONEDNN_'))}
        shown |= {n for n in os.environ if n.startswith('OMP_')} | {'OMP_NUM_THREADS'}
        return ' '.join(f'{n}={self.environment[n]}' for n in sorted(shown))

    def ours(self, mode, level, precision):
        memory = {'lean': 'reversible', 'train': 'store'}.get(mode, 'auto')
        name = {'lean': 'train', 'few': 'gradient'}.get(mode, mode)
        return start([self.program, '-q', *model_of(level), '--time', str(self.seconds), '--turns',
                      f'{name}:{precision}:{batch_of(mode, level)}:{memory}'], self.environment)

    def peer(self, mode, level, precision, flags):
        name = {'lean': 'train', 'few': 'gradient'}.get(mode, mode)
        return connect(self.socket, ['--mode', name, *model_of(level), '--dtype', precision, '--batch', str(batch_of(mode, level)),
                                     '--threads', str(self.threads), '--time', str(self.seconds), *flags],
                       COMPILE_LIMIT if '--compile' in flags else LIMIT)

    def first_round(self, ours, peers):
        """Measures every program of both sides; (settings in use, what was tried)."""
        tried, best = {}, {}
        for precision in PRECISIONS:
            ours[precision].measure()
            for (p, setting), server in peers.items():
                if p != precision:
                    continue
                try:
                    server.measure()
                except Dropped as e:  # a setting that does not work on this machine is not one
                    print(f'bench: {e}', file=sys.stderr)
                tried[f'{p} {setting}'] = server.speeds[0] if server.speeds else None
            works = [(s.speeds[0], setting) for (p, setting), s in peers.items() if p == precision and s.speeds]
            if works:
                best[precision] = max(works)[1]
            for (p, setting), server in peers.items():
                if p == precision and setting != best.get(p):
                    server.close()
        return best, tried

    def row(self, key):
        mode, level = key.split(':')
        start = time.monotonic()
        ours = {p: self.ours(mode, level, p) for p in PRECISIONS}
        peers = {(p, s): self.peer(mode, level, p, flags) for p in PRECISIONS for s, flags in self.settings.items() if self.present}
        try:
            best, tried = self.first_round(ours, peers)
            for _ in range(1, ROUNDS):
                for p in PRECISIONS:
                    ours[p].measure()
                    if p in best:
                        peers[p, best[p]].measure()
            mine = max(ours.values(), key=lambda s: sorted(s.speeds)[ROUNDS // 2])
            kernels = {'ours': mine.kernels('own')}
            used = [peers[p, s] for p, s in best.items()]
            if used:
                theirs = max(used, key=lambda s: sorted(s.speeds)[ROUNDS // 2])
                kernels['peer'] = theirs.kernels("PyTorch's own")
            last = mine.last
            return dict(batch=batch_of(mode, level), GFLOP=last['GFLOP'], MB_moved=last['MB_moved'], device=last['device'],
                        torch=used[0].last['torch'] if used else None, capability=used[0].last['capability'] if used else None,
                        threads=self.threads, settings=self.describe_settings(), build=self.build, peaks=self.peaks,
                        ours={p: s.result() for p, s in ours.items()}, tried=tried, kernels=kernels,
                        peer={p: peers[p, s].result(setting=s) for p, s in best.items()},
                        measured=time.time(), taken=round(time.monotonic() - start, 1))
        finally:
            for server in [*ours.values(), *peers.values()]:
                server.close()


def parse_rows(text, known):
    keys = text.split()
    for key in keys:
        mode, _, level = key.partition(':')
        if level not in known.get(mode, []):
            sys.exit(f"bench: row '{key}': expected MODE:LEVEL, with " + '; '.join(f'{m}: {" ".join(l)}' for m, l in known.items()))
    return keys


def write_tables(a, rows, name, known):
    """The tables of the class that the newest row belongs to, on standard output and in the pages that have markers for it."""
    newest = max(rows, key=lambda k: rows[k]['measured'])
    of_class = machine_class(rows[newest]['device'])
    same = ('device', 'threads', 'torch', 'settings')
    shown = {f'{m}:{l}': rows[f'{m}:{l}'] for m, levels in known.items() for l in levels
             if all(rows.get(f'{m}:{l}', {}).get(s) == rows[newest][s] for s in same)}
    text = full_table(shown, newest)
    print(text)
    replace_between(a.readme, f'{name}-{of_class}', text)
    if a.short and name == 'bench':
        replace_between(a.short, f'bench-{of_class}', short_table(shown, newest))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('program')
    parser.add_argument('--gradient', action='store_true')
    parser.add_argument('--rows', default='')
    parser.add_argument('--minutes', type=float, default=1e9)
    parser.add_argument('--time', type=float, default=1, help='seconds of one measurement')
    parser.add_argument('--isa', choices=['', *EMULATED], default='')
    parser.add_argument('--compile', action='store_true')
    parser.add_argument('--readme', default='tests/bench/README.md')
    parser.add_argument('--short', default='README.md', help="page of the short table; '' for none")
    a = parser.parse_args()
    end = time.monotonic() + 60 * a.minutes
    known = GRADIENTS if a.gradient else MODES
    name = 'bench-gradient' if a.gradient else 'bench'
    asked = parse_rows(a.rows, known)
    path = os.path.join(os.path.dirname(a.program), f'{name}.json')
    rows = {}
    if os.path.exists(path):
        with open(path) as f:
            rows = json.load(f)
    bench = Bench(a)

    def measured(key):
        row = rows.get(key)
        return row and row['build'] == bench.build and row['device'] == bench.device and (row['torch'] or not bench.present)

    wanted = asked or [f'{m}:{l}' for m, levels in known.items() for l in levels if not measured(f'{m}:{l}')]
    left = len(wanted)
    for key in wanted:
        if time.monotonic() + rows.get(key, {}).get('taken', 60) > end:
            continue  # a later row may be short enough
        print(f'bench: {key}', file=sys.stderr)
        try:
            rows[key] = bench.row(key)
        except Dropped as e:
            sys.exit(f'bench: {e}')
        left -= 1
        replace_file(path, json.dumps(rows, indent=1) + '\n')
    if rows:
        write_tables(a, rows, name, known)
    if left:
        print(f'bench: the time is up; {left} rows are left: run the same command again', file=sys.stderr)
        sys.exit(75)


if __name__ == '__main__':
    main()
