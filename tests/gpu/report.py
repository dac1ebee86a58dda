#!/usr/bin/env python3
"""report.py FOLDER - the files that tests/gpu/on-device.sh wrote to FOLDER, into the repository (make device-report):
tests/gpu/results.txt (the steps, and what failed in them), the table of tests/bench/README.md, and the outcomes in
kernels/cuda/README.md that the figures give.
--root: another folder in place of the repository. Standard library only."""
import argparse, os, re, shutil, sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'bench'))
import bench_gpu
from bench_table import replace_between

UNMEASURED = 'not measured: no device'


def milliseconds(r, model, level, precision):
    images = r.speed((model, level, 'train'), precision)
    return images and 1e3 * bench_gpu.batch_of(model, level, 'train') / images


def graph_outcome(r):
    """Milliseconds of a step at the levels that launches bound, ours and eager PyTorch's"""
    parts = []
    for level in 0, 3:
        ours, plain = milliseconds(r, 'imagenet64', level, 'fp32'), r.best_peer(('imagenet64', level, 'train'), lambda p, f: not f)
        if ours:
            eager = f' ({1e3 * 64 / plain[0]:.3g} eager)' if plain else ''
            parts.append(f'level {level} {ours:.3g} ms a step{eager}')
    return 'measured: ' + ', '.join(parts) if parts else None


def bf16_outcome(r):
    parts = []
    for model, level in ('imagenet64', 5), ('imagenet64', 6), ('faces1024', 7):
        bf16, tf32 = (r.speed((model, level, 'train'), p) for p in ('bf16', 'tf32'))
        if bf16 and tf32:
            parts.append(f'{model} {level} {bf16 / tf32:.2f}x')
    return 'measured, training, over tf32: ' + ', '.join(parts) if parts else None


# What a failure begins with in the files of the steps: tests of ours, and compute-sanitizer's reports. Steps that end with PLANTED
# must have such reports.
FAILURE = re.compile('FAIL|wf-[a-z-]*: |========= (?!COMPUTE-SANITIZER$|ERROR SUMMARY: 0 |RACECHECK SUMMARY: 0 )[A-Z]')
PLANTED = 'finds a planted fault'
MOST = 40  # of one file


def failures(folder):
    """Lines of failures, with the step that each belongs to"""
    for name in 'log.txt', 'ops.txt', 'sanitize.txt', 'programs.txt':
        path, step, found = os.path.join(folder, name), '', []
        if os.path.exists(path):
            with open(path, errors='replace') as f:
                for line in f.read().split('\n'):
                    step = line[3:] if line.startswith('== ') else step
                    if FAILURE.match(line) and not step.endswith(PLANTED):
                        found.append(f'{step}: {line}')
        yield from found[:MOST]
        if found[MOST:]:
            yield f'{name}: {len(found) - MOST} more'


def write_results(path, steps, r, folder):
    shutil.copyfile(steps, path)
    told = [*failures(folder), *r.errors]
    if told:
        with open(path, 'a') as f:
            f.write('\n'.join(['', 'What failed:', *told, '']))


# Ideas whose outcome the figures give, by the beginning of their row.
OUTCOMES = {'the whole step as one CUDA graph': graph_outcome, 'bf16 convolutions': bf16_outcome}


def fill_outcomes(path, r):
    """Returns how many rows of the table of ideas were filled in."""
    filled, lines = 0, []
    with open(path) as f:
        for line in f.read().split('\n'):
            outcome = next((of(r) for idea, of in OUTCOMES.items() if line.startswith(f'| {idea}')), None)
            if outcome:
                line, n = re.subn(f'({UNMEASURED}|measured[^|;]*)(?= \\|$)', lambda _: outcome, line)
                filled += n
            lines.append(line)
    with open(path, 'w') as f:
        f.write('\n'.join(lines))
    return filled


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder')
    parser.add_argument('--root', default=os.path.join(HERE, '..', '..'))
    a = parser.parse_args()
    steps = os.path.join(a.folder, 'table.txt')
    if not os.path.exists(steps):
        print(f'device-report: no {steps}: FROM names the folder that tests/gpu/on-device.sh wrote to', file=sys.stderr)
        sys.exit(66)
    r, filled = bench_gpu.Results(a.folder), 0
    write_results(os.path.join(a.root, 'tests/gpu/results.txt'), steps, r, a.folder)
    if r.ours:
        replace_between(os.path.join(a.root, 'tests/bench/README.md'), 'bench-gpu', bench_gpu.table(r))
        filled = fill_outcomes(os.path.join(a.root, 'kernels/cuda/README.md'), r)
    print(f'device-report: tests/gpu/results.txt; {len(r.keys())} rows in tests/bench/README.md, {filled} outcomes in '
          'kernels/cuda/README.md; the status in both READMEs is for a person to write')


if __name__ == '__main__':
    main()
