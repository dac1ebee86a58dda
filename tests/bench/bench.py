#!/usr/bin/env python3
"""bench.py - images per second of the official levels against the PyTorch peer: every precision of both sides, by turns.

    bench.py build/bench-level [--gradient] [--rows 'train:4 bpd:5'] [--minutes M] [--isa AVX2]
    bench.py build/bench-level --compile [--gradient] [--rows ...] [--minutes M] [--isa AVX2]

A row is MODE:LEVEL. Modes: train, reversible (training with --memory reversible), bpd, sample; with --gradient gradient, what
a leapfrog of wf-nuts evaluates for many chains, and few, for the fewest. Levels: 0 to 6 of ImageNet 64x64, and faces8, level 8
of faces 1024x1024.

A row has three rounds. In each, every precision of both sides is measured for --time seconds, by programs that wait for their
turn. Where runs are short, a round has four turns, so that both sides see the same moods of the machine. Before, every setting
of the peer is tried; the fastest of each precision goes on. torch.compile takes minutes a row: --compile does it once, without
measuring. What it compiled stays in TORCHINDUCTOR_CACHE_DIR, by default inductor beside the program, and rows that it names
there are measured compiled, too.

Rows are kept in bench.json beside the program. Rows that --rows names are measured again; without it, those that are missing or were
measured on another machine or by another build. With --minutes, no row begins that would not end in that time, and the exit code is
75 if rows are left; the same command goes on. Tables go between markers of tests/bench/README.md and of README.md, one set for each
class of machines: AMX, AVX512, AVX2. --isa emulates a class on a newer processor: both sides leave newer instructions out.

Environment: PEER, the peer's program (default ../shared/peers/peer_torch.py); PYTHON, a Python with PyTorch (default python3).
Standard library only.
"""
import argparse, hashlib, json, os, select, signal, socket, subprocess, sys, tempfile, time

from bench_table import fastest, full_table, machine_class, replace_between, replace_file, shares, short_table

HERE = os.path.dirname(os.path.abspath(__file__))
ROUNDS, TURNS = 3, 4  # turns of a round where a run takes at most the time of a turn
PRECISIONS = 'fp32', 'bf16'
SETTINGS = {'plain': [], 'folded': ['--channels-last', '--fold'], 'compiled': ['--channels-last', '--fold', '--compile']}
LEVELS = [str(l) for l in range(7)] + ['faces8']
MODES = {'train': LEVELS, 'reversible': ['4', '5', '6', 'faces8'], 'bpd': LEVELS, 'sample': LEVELS}
GRADIENTS = {'gradient': LEVELS[:7], 'few': ['3', '4', '5', '6']}
LIMIT, COMPILE_LIMIT = 40, 900  # seconds of a turn
# The most that the processor was seen to multiply: by loops in registers, or in a product of matrices.
PEAKS = {'fp32': ['peak:fp32', 'matrix:fp32:1024'], 'bf16': ['peak:bf16', 'peak:amx', 'matrix:bf16:1024'], 'copy': ['copy']}
# Both sides leave newer instructions out: oneDNN in both, ATen and MKL in PyTorch. Our own loops follow from the build.
EMULATED = {'AVX2': {'ONEDNN_MAX_CPU_ISA': 'AVX2', 'ATEN_CPU_CAPABILITY': 'avx2', 'MKL_ENABLE_INSTRUCTIONS': 'AVX2'}}


def batch_of(mode, level):
    """64, as the paper trains; fewer where a run would take many seconds. Gradients: what wf-nuts has its device compute at once for
    many chains, and for one (lib/mcmc/anneal.h)."""
    if level == 'faces8':
        return 8 if mode in ('train', 'reversible') else 2
    pixels = 4 ** max(0, int(level) - 1)
    if mode == 'few':
        return min(64, max(1, 256 // pixels))
    if mode == 'gradient':
        return min(64, 4096 // pixels)
    return {'5': 32, '6': 8}.get(level, 64)


def model_of(level):
    return ['--model', 'faces1024', '--level', level[5:]] if level.startswith('faces') else ['--level', level]


class Dropped(Exception):
    """A program ended or took too long; the text says which."""


class Server:
    """A program that measures when it is asked to, and waits meanwhile. `source` is read, `target` written, both without buffers."""

    def __init__(self, name, source, target, end, limit=LIMIT):
        self.name, self.source, self.target, self.end, self.limit = name, source, target, end, limit
        self.turns, self.last, self.rest = [], {}, b''

    def line(self, until):
        while b'\n' not in self.rest:
            ready = select.select([self.source], [], [], max(0, until - time.monotonic()))[0]
            more = os.read(self.source.fileno(), 65536) if ready else None
            if not more:
                self.close()
                raise Dropped(f'{self.name}: ' + ('ended' if ready else f'took more than {self.limit:.0f} s'))
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

    def measure(self, what='again'):
        """Images per second of one turn."""
        self.last, _ = self.ask(what)
        return self.last['img_per_s']

    def kernels(self, own):
        last, lines = self.ask('kernels')
        return shares(lines, last['batch'] / last['img_per_s'], own)

    def close(self):
        if self.end:
            self.end()
        self.end = None

    def result(self, **more):
        return dict(turns=self.turns, MB=self.last['rss_MB'], **more)


def start(command, environment, errors=None):
    """A Server on the standard input and output of a command."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment, bufsize=0)

    def end():
        process.kill()
        process.wait()

    return Server(' '.join(command), process.stdout, process.stdin, end)


def connect(path, arguments, limit):
    """A Server on a connection to peer_level.py."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    server = Server(f'PyTorch {" ".join(arguments)}', connection, connection, connection.close, limit)
    process = int(server.line(time.monotonic() + limit))

    def end():
        """A program that took too long would go on beside the next ones."""
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            pass
        connection.close()

    server.end = end
    os.write(connection.fileno(), (' '.join(arguments) + '\n').encode())
    return server


class Bench:
    def __init__(self, a):
        self.program, self.seconds, self.isa = a.program, a.time, a.isa
        self.threads = a.threads
        self.environment = dict(os.environ, OMP_NUM_THREADS=str(self.threads), **EMULATED.get(a.isa, {}))
        self.compiled = os.environ.get('TORCHINDUCTOR_CACHE_DIR', os.path.join(os.path.abspath(os.path.dirname(a.program)), 'inductor'))
        self.environment['TORCHINDUCTOR_CACHE_DIR'] = self.compiled
        with open(a.program, 'rb') as f:
            self.build = hashlib.sha1(f.read()).hexdigest()[:12]
        self.folder = tempfile.TemporaryDirectory()
        self.socket = os.path.join(self.folder.name, 'peer')
        self.log = open(os.path.join(self.folder.name, 'log'), 'w')
        self.present = self.start_peer(os.environ.get('PYTHON', 'python3'), os.environ.get('PEER', '../shared/peers/peer_torch.py'))
        self.device = (self.ours_alone('bpd:fp32:1') or sys.exit(f'bench: {a.program} does not run'))['device']

    def start_peer(self, python, peer):
        """Starts peer_level.py, which ends with this program; false without PyTorch or the peer."""
        if not os.path.exists(peer) or subprocess.run([python, '-c', 'import torch'], capture_output=True).returncode:
            print(f'bench: PyTorch is left out: no torch in {python} (PYTHON), or no {peer} (PEER)', file=sys.stderr)
            return False
        self.server = start([python, os.path.join(HERE, 'peer_level.py'), '--serve', self.socket], self.environment, self.log)
        if self.server.line(time.monotonic() + 120) != 'ready':
            sys.exit(f'bench: {self.server.name} does not start')
        return True

    def ours_alone(self, job):
        """What bench-level reports of a job by itself; None: it lacks it, or the processor does."""
        done = subprocess.run([self.program, '-q', '-l', '0', '--time', str(min(0.1, self.seconds)), job], capture_output=True, text=True,
                              env=self.environment)
        return None if done.returncode else json.loads(done.stdout.splitlines()[-1])

    def measure_peaks(self):
        """{"fp32": FLOP/s, "bf16": FLOP/s, "copy": B/s}; None for a peak that the processor lacks."""
        peaks = {}
        for name, jobs in PEAKS.items():
            found = [self.ours_alone(job) for job in jobs if not (self.isa and job == 'peak:amx')]  # no emulation hides tiles
            peaks[name] = max((f.get('FLOP_per_s') or f['B_per_s'] for f in found if f), default=None)
        return peaks

    def describe_settings(self):
        shown = EMULATED.get(self.isa, {}).keys() | {n for n in os.environ if n.startswith(('GOMP_', 'KMP_', 'ONEDNN_'))}
        shown |= {n for n in os.environ if n.startswith('OMP_')} | {'OMP_NUM_THREADS'}
        return ' '.join(f'{n}={self.environment[n]}' for n in sorted(shown))

    def ours(self, mode, level, precision):
        memory = {'reversible': 'reversible', 'train': 'store'}.get(mode, 'auto')
        name = {'reversible': 'train', 'few': 'gradient'}.get(mode, mode)
        return start([self.program, '-q', *model_of(level), '--time', str(self.seconds / TURNS), '--turns',
                      f'{name}:{precision}:{batch_of(mode, level)}:{memory}'], self.environment)

    def peer(self, key, precision, setting, limit=LIMIT):
        mode, level = key.split(':')
        name = {'reversible': 'train', 'few': 'gradient'}.get(mode, mode)
        return connect(self.socket, ['--mode', name, *model_of(level), '--dtype', precision, '--batch', str(batch_of(mode, level)),
                                     '--threads', str(self.threads), '--time', str(self.seconds / TURNS), *SETTINGS[setting]], limit)

    def mark(self, key, precision):
        """Name of the file that says that torch.compile has done its work for a row."""
        return os.path.join(self.compiled, f'{key}:{precision}'.replace('reversible:', 'train:'))

    def peers(self, key):
        """The peer's programs for a row, {(precision, setting): Server}."""
        return {(p, s): self.peer(key, p, s) for p in PRECISIONS for s in SETTINGS
                if self.present and (s != 'compiled' or os.path.exists(self.mark(key, p)))}

    def compile(self, key):
        for precision in [p for p in PRECISIONS if not os.path.exists(self.mark(key, p))]:
            server = self.peer(key, precision, 'compiled', COMPILE_LIMIT)
            try:
                server.measure()
            finally:
                server.close()
            with open(self.mark(key, precision), 'w'):
                pass

    def explain(self, dropped):
        self.log.flush()
        with open(self.log.name) as f:
            errors = f.read().strip().splitlines()[-1:]
        print(f'bench: {dropped}', *errors, sep=': ', file=sys.stderr)

    def choose(self, peers, quick):
        """({precision: Server} of the fastest settings, {"PRECISION SETTING": most images/s}); ends the others. Where a run takes long, the
        first run of a setting has to do."""
        speeds, longest = {name: [] for name in peers}, 0
        for _ in range(ROUNDS if quick else 1):
            for name, server in peers.items():
                start = time.monotonic()
                try:
                    if server.end:
                        speeds[name].append(server.measure('again' if quick or name[1] == 'compiled' else 'first'))
                        longest = max(longest, time.monotonic() - start)
                except Dropped as e:  # a setting that does not work on this machine is not one
                    self.explain(e)
                for later in peers.values():  # nor is one that takes many times as long as another
                    later.limit = min(LIMIT, 5 + 4 * longest) if longest else LIMIT
        tried = {' '.join(name): max(found, default=None) for name, found in speeds.items()}
        used = {}
        for precision in PRECISIONS:
            works = {s: server for (p, s), server in peers.items() if p == precision and server.end}
            best = max(works, key=lambda s: tried[f'{precision} {s}'], default=None)
            for setting, server in works.items():
                if setting == best:
                    used[precision] = server
                else:
                    server.close()
        return used, tried

    def row(self, key):
        mode, level = key.split(':')
        start, batch = time.monotonic(), batch_of(mode, level)
        ours = {p: self.ours(mode, level, p) for p in PRECISIONS}
        peers = self.peers(key)
        try:
            quick = all(batch / server.measure() <= self.seconds / TURNS for server in ours.values())
            used, tried = self.choose(peers, quick)
            peaks, turns = [], [side[p] for p in PRECISIONS for side in (ours, used) if p in side]
            for _ in range(ROUNDS):
                peaks.append(self.measure_peaks())
                for server in turns:
                    server.turns.append([])
                for _ in range(TURNS if quick else 1):
                    for server in turns:
                        server.turns[-1].append(server.measure())
            result = {'ours': {p: s.result() for p, s in ours.items()},
                      'peer': {p: s.result(setting=next(n for (q, n), t in peers.items() if t is s)) for p, s in used.items()}}
            kernels = {name: side[fastest(result[name])].kernels(own) for name, side, own in
                       (('ours', ours, 'own'), ('peer', used, "PyTorch's own")) if side}
            mine, theirs = ours['fp32'].last, next((s.last for s in used.values()), {})
            return dict(batch=batch, GFLOP=mine['GFLOP'], MB_moved=mine['MB_moved'], device=mine['device'], torch=theirs.get('torch'),
                        capability=theirs.get('capability'), threads=self.threads, settings=self.describe_settings(),
                        build=self.build, peaks=peaks, **result, tried=tried, kernels=kernels, measured=time.time(),
                        taken=round(time.monotonic() - start, 1))
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
    parser.add_argument('--threads', type=int, default=len(os.sched_getaffinity(0)), help='of both sides; default: all cores')
    parser.add_argument('--isa', choices=['', *EMULATED], default='')
    parser.add_argument('--compile', action='store_true', help='let torch.compile do its work, and measure nothing')
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
        same = row and row['batch'] == batch_of(*key.split(':')) and row['build'] == bench.build and row['device'] == bench.device and row['threads'] == bench.threads
        return same and (row['torch'] or not bench.present)

    def compiled(key):
        return all(os.path.exists(bench.mark(key, p)) for p in PRECISIONS)

    done = compiled if a.compile else measured
    wanted = asked or [f'{m}:{l}' for m, levels in known.items() for l in levels if not done(f'{m}:{l}')]
    left, failed = len(wanted), False
    for key in wanted:
        if time.monotonic() + (0 if a.compile else rows.get(key, {}).get('taken', 45)) > end:
            continue  # a later row may be short enough
        print(f'bench: {key}', file=sys.stderr)
        try:
            if a.compile:
                bench.compile(key)
            else:
                rows[key] = bench.row(key)
        except Dropped as e:
            bench.explain(e)
            if not a.compile:
                sys.exit(1)
            failed = True
        left -= 1
        if not a.compile:
            replace_file(path, json.dumps(rows, indent=1) + '\n')
    if rows and not a.compile:
        write_tables(a, rows, name, known)
    if failed:
        sys.exit(1)
    if left:
        print(f'bench: the time is up; {left} rows are left: run the same command again', file=sys.stderr)
        sys.exit(75)


if __name__ == '__main__':
    main()
