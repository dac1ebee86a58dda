#!/usr/bin/env python3
"""bench_jobs.py - seconds and peak memory of whole jobs, how they grow with twice the pictures, and other programs beside them

    bench_jobs.py bin build [--scale 1]

Jobs: pictures of 64x64 to a store; bits/dim of 3,000 pictures of 32x32 under the model of data/leaves; 256 samples of it as one picture;
what wf-info says of it; and the start of each program. tests/bench/peer_jobs.py does the first three with Pillow, NumPy and PyWavelets,
and with PyTorch, where PYTHON (default python3) has them. Three rounds of all by turns; the table has medians. "Growth": figures with
twice the pictures over those with as many as the table says, 2.00x and 1.00x being linear time and flat memory. Writes bench-jobs.json
beside the programs' build and the table between its markers in tests/bench/README.md. --scale: fewer pictures. Standard library only.
"""
import argparse, json, os, resource, shlex, statistics, subprocess, sys, tempfile, time

from bench_table import device_text, figure, replace_between, replace_file

HERE = os.path.dirname(os.path.abspath(__file__))
ROUNDS, STARTS = 3, 10  # starts of a program in a round
PROGRAMS = ('wf-dwt', 'wf-idwt', 'wf-train', 'wf-train-level', 'wf-bpd', 'wf-score', 'wf-sample', 'wf-nuts', 'wf-coverage', 'wf-encode', 'wf-decode',
            'wf-pack', 'wf-unpack', 'wf-nearest', 'wf-view', 'wf-info', 'wf-export')


def run(command, folder, environment):
    """(seconds, peak MB of its largest process) of a shell command; RuntimeError with its last words."""
    with open(os.path.join(folder, 'errors'), 'w') as errors:
        start = time.monotonic()
        process = subprocess.Popen(['bash', '-o', 'pipefail', '-c', command], cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if status:
        with open(errors.name) as f:
            raise RuntimeError(f'{command}: exits {process.returncode}: {" ".join(f.read().split())[-300:]}')
    return seconds, usage.ru_maxrss / 1024


def make_pictures(build, folder, environment, small, large):
    """small.store, small-N.npy of `small` and twice as many pictures of 32x32, and folders pictures-N of PNG files of 64x64."""
    for n in small, 2 * small:
        run(f"{build}/deadleaves -n {n} -s 32 --seed 3 | wf-dwt -q -o small-{n}.store && wf-idwt -q small-{n}.store > small-{n}.pam",
            folder, environment)
        with open(os.path.join(folder, f'small-{n}.pam'), 'rb') as pam, open(os.path.join(folder, f'small-{n}.npy'), 'wb') as npy:
            header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({n}, 32, 32, 3), }}"
            npy.write(b'\x93NUMPY\x01\x00' + (118).to_bytes(2, 'little') + header.ljust(117).encode() + b'\n')
            for picture in pam.read().split(b'ENDHDR\n')[1:]:
                npy.write(picture[:32 * 32 * 3])
    for n in large, 2 * large:
        run(f'{build}/deadleaves -n {n} -s 64 --seed 4 | wf-dwt -q | wf-idwt -q -o pictures-{n}', folder, environment)


def jobs(model, python, scale):
    """(name, pictures or None, our command, another program's or None); {n} and {side} are replaced."""
    peer = f'{shlex.quote(python)} {shlex.quote(os.path.join(HERE, "peer_jobs.py"))}'
    store, bpd, samples = (max(8, round(n * scale)) for n in (4000, 3000, 256))
    return [('pictures to a store', store, 'rm -rf out.store && wf-dwt -q -o out.store pictures-{n}', f'{peer} store pictures-{{n}} out.npz'),
            ('bits/dim', bpd, f'wf-bpd -q -m {model} -s small-{{n}}.store', f'{peer} bpd {model} small-{{n}}.npy'),
            ('samples to a grid', samples, f'wf-sample -q -m {model} -n {{n}} | wf-idwt -q --grid grid.png', f'{peer} samples {model} {{n}} grid.png'),
            ('info of a model', None, f'wf-info {model}', None)
            ] + [(f'{STARTS} starts of {name}', None, f'for i in {{{{1..{STARTS}}}}}; do {name} --version; done', None) for name in PROGRAMS]


def measure(listed, folder, environment):
    """{name: {"pictures": N, "ours": [[seconds, MB] of each round], "ours, twice": the same, "peer": ..}}"""
    found = {}
    for name, pictures, ours, peer in listed:
        commands = {'ours': ours.format(n=pictures)}
        if peer:
            commands['peer'] = peer.format(n=pictures)
        if pictures:
            commands['ours, twice'] = ours.format(n=2 * pictures)
        found[name] = {'pictures': pictures, **{who: [] for who in commands}}
        for _ in range(ROUNDS):
            for who, command in list(commands.items()):
                try:
                    found[name][who].append(run(command, folder, environment))
                except RuntimeError as e:
                    if who != 'peer':
                        sys.exit(f'bench: {e}')
                    print(f'bench: left out: {e}', file=sys.stderr)
                    del commands[who], found[name][who]
    return found


def median(rounds, at):
    return statistics.median(r[at] for r in rounds)


def memory_text(megabytes, own):
    """A process begins with the peak of the one that started it: smaller ones are not seen."""
    return f'{megabytes:.0f}' if megabytes > own + 1 else '-'


def table(found, about, own):
    """Markdown of what measure found. own: peak MB of the program that measured."""
    lines = [about, '', '| job | pictures | seconds | MB | growth, seconds | growth, MB | Python, seconds | ratio | Python, MB |',
             '|---|---|---|---|---|---|---|---|---|']
    for name, job in found.items():
        seconds, memory = median(job['ours'], 0), median(job['ours'], 1)
        cells = [name, job['pictures'] or '-', figure(seconds), memory_text(memory, own)]
        twice, peer = job.get('ours, twice'), job.get('peer')
        cells += [f'{median(twice, 0) / seconds:.2f}x', f'{median(twice, 1) / memory:.2f}x'] if twice else ['-', '-']
        cells += [figure(median(peer, 0)), figure(median(peer, 0) / seconds) + 'x', f'{median(peer, 1):.0f}'] if peer else ['-', '-', '-']
        lines.append('| ' + ' | '.join(str(c) for c in cells) + ' |')
    return '\n'.join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('programs')
    parser.add_argument('build')
    parser.add_argument('--scale', type=float, default=1)
    parser.add_argument('--threads', type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument('--readme', default='tests/bench/README.md')
    parser.add_argument('--out', default=None, help='default: bench-jobs.json in the folder of the build')
    a = parser.parse_args()
    programs, build = os.path.abspath(a.programs), os.path.abspath(a.build)
    environment = dict(os.environ, PATH=f'{programs}:{os.environ["PATH"]}', OMP_NUM_THREADS=str(a.threads))
    info = subprocess.run([f'{programs}/wf-info', '--json'], check=True, capture_output=True, text=True, env=environment).stdout
    device = json.loads(info)['backends'][0]['device']
    listed = jobs(os.path.join(os.path.dirname(os.path.dirname(HERE)), 'data/leaves'), os.environ.get('PYTHON', 'python3'), a.scale)
    with tempfile.TemporaryDirectory() as folder:
        make_pictures(build, folder, environment, listed[1][1], listed[0][1])
        found = measure(listed, folder, environment)
    replace_file(a.out or os.path.join(a.build, 'bench-jobs.json'), json.dumps(found, indent=1) + '\n')
    text = table(found, device_text({'device': device, 'threads': a.threads}) + '.', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print(text)
    replace_between(a.readme, 'bench-jobs', text)


if __name__ == '__main__':
    main()
