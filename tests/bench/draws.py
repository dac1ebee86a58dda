#!/usr/bin/env python3
"""draws.py - annealed draws per second of a trained model, level by level, on one picture of each lower level

    draws.py bin MODEL [--chains 16] [--draws 100] [--adapt 50]

wf-nuts draws each level by itself on one low-pass picture that wf-sample drew: its chains then have one density, so that an
effective size is that of all of them together. Writes the table between the draws markers of tests/bench/README.md: effective
sizes are the smallest of the log density and eight coordinates; seconds are all, adaptation included. Standard library
only.
"""
import argparse, json, os, subprocess, tempfile

from bench_table import replace_between


def levels_of(programs, model):
    """Level numbers of the model."""
    info = subprocess.run([f'{programs}/wf-info', '--json', model], check=True, capture_output=True, text=True)
    return range(json.loads(info.stdout)['levels'] + 1)


def run_level(a, level):
    """What wf-nuts reports of one level."""
    with tempfile.TemporaryDirectory() as folder:
        low, report = os.path.join(folder, 'low.wf'), os.path.join(folder, 'report.json')
        nuts = [f'{a.programs}/wf-nuts', '-q', '-m', a.model, '-l', str(level), '--chains', str(a.chains),
                '--draws', str(a.draws), '--adapt', str(a.adapt), '--report', report]
        if level == 0:
            subprocess.run(nuts + ['-n', '1'], check=True, stdout=subprocess.DEVNULL)
        else:
            with open(low, 'wb') as f:
                subprocess.run([f'{a.programs}/wf-sample', '-q', '-m', a.model, '-n', '1', '-l', str(level - 1)],
                               check=True, stdout=f)
            with open(low, 'rb') as f:
                subprocess.run(nuts, check=True, stdin=f, stdout=subprocess.DEVNULL)
        with open(report) as f:
            return json.loads(f.readline())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('programs')
    parser.add_argument('model')
    parser.add_argument('--chains', type=int, default=16)
    parser.add_argument('--draws', type=int, default=100)
    parser.add_argument('--adapt', type=int, default=50)
    parser.add_argument('--readme', default='tests/bench/README.md')
    a = parser.parse_args()
    lines = ['| level | chains | draws | gradients a draw | gradients/s | draws/s | ESS | ESS/s | R-hat | divergent |',
             '|---|---|---|---|---|---|---|---|---|---|']
    for level in levels_of(a.programs, a.model):
        r = run_level(a, level)
        iterations = r['draws'] + r['chains'] * a.adapt
        lines.append(f'| {level} | {r["chains"]} | {r["draws"]} | {r["gradients"] / iterations:.1f} '
                     f'| {r["gradients"] / r["seconds"]:.0f} | {r["draws"] / r["seconds"]:.1f} | {r["ess_bulk"]:.0f} '
                     f'| {r["ess_bulk"] / r["seconds"]:.1f} | {r["rhat"]:.3f} | {r["divergences"]} |')
        print(lines[-1], flush=True)
    replace_between(a.readme, 'draws', '\n'.join(lines))


if __name__ == '__main__':
    main()
