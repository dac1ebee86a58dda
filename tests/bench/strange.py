#!/usr/bin/env python3
"""strange.py IN.jsonl OUT.jsonl... - how well the figures of wf-score --json tell strangers from pictures that belong

For each file of strangers: areas under the ROC curve with bootstrap 95 % intervals of total bits/dim (high is strange), of bits/dim less
those of PNG, of typicality, and of p (low is strange); the share of its pictures that is called out. Markdown. Standard library only.
"""
import bisect, json, os, random, sys

BOOTSTRAP = 1000
FIGURES = (('bpd', 1), ('corrected', 1), ('typicality', 1), ('p', -1))


def area(strange, usual):
    """Probability that a stranger has the higher figure; ties count half. Both are sorted."""
    return sum(bisect.bisect_left(usual, x) + bisect.bisect_right(usual, x) for x in strange) / (2 * len(strange) * len(usual))


def interval(strange, usual, rng):
    """2.5 % and 97.5 % points of the area over samples of both with replacement."""
    areas = sorted(area(sorted(rng.choices(strange, k=len(strange))), sorted(rng.choices(usual, k=len(usual)))) for _ in range(BOOTSTRAP))
    return areas[round(0.025 * BOOTSTRAP)], areas[round(0.975 * BOOTSTRAP) - 1]


def read(path):
    with open(path) as f:
        return [json.loads(line) for line in f]


def share_out(pictures):
    return sum(p['verdict'] == 'out' for p in pictures) / len(pictures)


def main():
    rng, usual = random.Random(1), read(sys.argv[1])
    print('| pictures | number | total bits/dim | less PNG | typicality | p | called out |\n|---|---|---|---|---|---|---|')
    for path in sys.argv[2:]:
        strange = read(path)
        cells = [os.path.splitext(os.path.basename(path))[0], str(len(strange))]
        for name, sign in FIGURES:
            high, low = (sorted(sign * p[name] for p in of) for of in (strange, usual))
            cells.append('%.3f (%.3f-%.3f)' % (area(high, low), *interval(high, low, rng)))
        print('| ' + ' | '.join(cells + ['%.3f' % share_out(strange)]) + ' |')
    print(f'\n{len(usual)} pictures that belong: {share_out(usual):.3f} called out')


if __name__ == '__main__':
    main()
