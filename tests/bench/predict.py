#!/usr/bin/env python3
"""predict.py - the time of a training step of R ranks that share out a batch, and its efficiency, from measured inputs.

    build/bench-level -l 6 --groups train:fp32:1 train:fp32:2 train:fp32:4 train:fp32:8 > level-6.json
    tests/bench/predict.py level-6.json 8:8 64:1 64:8 512:8 --net 25:0.5:4 --net 200:2:1

A row is RANKS:PICTURES, the pictures of one rank; the batch is their product. Efficiency: pictures a second of a rank, over those of one
rank alone with the largest measured batch. So it falls with the network, and because small batches are slower.

Inputs are lines of bench-level: a step's seconds, those of its forward pass, and when each group of gradients is ready, for
several batches. Between two batches times are taken as linear, beyond them too.

A step is simulated event by event, as lib/ranks/sums.c makes it. Groups are joined to buckets, and a bucket goes when it has --bucket
bytes or the next group does not fit. It is exchanged twice: each rank gets its part of the bucket from all others and sums it in the
order of the ranks, then all get the sums. The second exchanges begin in the order of the buckets. A rank has one link, on which
exchanges queue. One takes

    seconds on the link = (R - 1) / R * bytes / bandwidth + (R - 1) * overhead,    and the latency after it

MPI advances an exchange only inside its calls: during the pass there is one every --look microseconds, by a thread, and after it the
rank does nothing but call. Parts above --eager KiB are first agreed on between sender and receiver: they flow after CALLS calls. Copies
into buckets, sums, and what MPI and the kernel copy take the processor's time: a bucket's bytes over COPY, half of it for each
exchange. The simulation has no ranks that are slower than others, and no other traffic.
"""
import argparse, collections, json, math, sys

Step = collections.namedtuple('Step', 'begin groups end')  # seconds without network; groups: (bytes, seconds when ready)
Net = collections.namedtuple('Net', 'bandwidth latency overhead copy eager calls look bucket')  # seconds and bytes


def refuse(what):
    print(f'predict.py: {what}', file=sys.stderr)
    sys.exit(65)


def read_steps(path):
    """{batch: Step} of a file of bench-level's lines."""
    steps = {}
    try:
        with open(path) as lines:
            rows = [json.loads(line) for line in lines]
        for row in rows:
            steps[row['batch']] = Step(row['forward_s'], [(4 * n, ready) for n, ready in row['groups']], row['step_s'])
    except OSError as e:
        refuse(f'{path}: {e.strerror}')
    except (ValueError, KeyError, TypeError):
        refuse(f'{path}: expected lines of bench-level --groups')
    if not steps or len({tuple(size for size, _ in s.groups) for s in steps.values()}) != 1:
        refuse(f'{path}: expected lines of one level, one or more')
    return steps


def line_through(known, batch):
    """The value at `batch` of what is known at others: {batch: seconds}. From one point: proportional."""
    points = sorted(known.items())
    if batch in known or len(points) == 1:
        return known.get(batch, points[0][1] * batch / points[0][0])
    after = next((i for i, (n, _) in enumerate(points) if n > batch), len(points) - 1)
    (n0, y0), (n1, y1) = points[max(after, 1) - 1:max(after, 1) + 1]
    return y0 + (y1 - y0) * (batch - n0) / (n1 - n0)


def step_of(steps, batch, speed):
    """A step of `batch` pictures on one rank that is `speed` times as fast as the measured one."""
    def at(value):
        return line_through({n: value(s) for n, s in steps.items()}, batch) / speed
    groups = next(iter(steps.values())).groups
    return Step(at(lambda s: s.begin), [(size, at(lambda s, i=i: s.groups[i][1])) for i, (size, _) in enumerate(groups)],
                at(lambda s: s.end))


class Rank:
    """One rank during a step; all do the same."""
    def __init__(self, ranks, net):
        self.ranks, self.net, self.now, self.calls = ranks, net, 0.0, 0
        self.free = self.busy = 0.0  # when its link is free again; seconds that it is busy
        self.buckets = []            # those on their way, in order: [bytes, its exchange 1 or 2, calls before, its end or None]

    def exchange(self, bucket):
        bucket[1:] = bucket[1] + 1, self.calls, None
        self.now += bucket[0] / 2 / self.net.copy
        if bucket[0] / self.ranks <= self.net.eager:
            self.flow(bucket)

    def flow(self, bucket):
        others, net = self.ranks - 1, self.net
        taken = others / self.ranks * bucket[0] / net.bandwidth + others * net.overhead
        self.free = max(self.free, self.now) + taken
        self.busy += taken
        bucket[3] = self.free + net.latency

    def send(self, size):
        if size:
            self.buckets.append([size, 0, 0, None])
            self.exchange(self.buckets[-1])

    def compute(self, seconds):
        """Computes for so long, beside the thread that calls."""
        while seconds > 0:
            part = min(seconds, self.net.look) if self.buckets else seconds
            self.now += part
            seconds -= part
            self.calls += 1
            self.poll(self.net.calls)

    def poll(self, calls):
        """Goes on with the exchanges that have ended, and with those that began `calls` calls ago."""
        for i, bucket in enumerate(self.buckets):
            if bucket[3] is None and self.calls - bucket[2] >= calls:
                self.flow(bucket)
            if bucket[3] is not None and bucket[3] <= self.now:
                if bucket[1] == 2:
                    bucket[1] = 3
                elif i == 0 or self.buckets[i - 1][1] > 1:
                    self.exchange(bucket)
        self.buckets = [b for b in self.buckets if b[1] < 3]

    def finish(self):
        while self.buckets:
            self.poll(0)
            if all(b[3] is not None for b in self.buckets):
                self.now = min((b[3] for b in self.buckets if b[3] > self.now), default=self.now)


def simulate(step, ranks, net):
    """Seconds of a step, and those that its link is busy."""
    if ranks == 1:
        return step.end, 0.0
    rank, before, filled, room = Rank(ranks, net), 0.0, 0, 0
    for size, ready in step.groups:
        rank.compute(ready - before)
        before = ready
        if filled and filled + size > room:
            rank.send(filled)
            filled = 0
        room = room if filled else max(size, net.bucket)
        filled += size
        if filled >= net.bucket:
            rank.send(filled)
            filled = 0
    rank.compute(step.end - before)
    rank.send(filled)
    rank.finish()
    # densities, clock and flags: a small message of each to each
    return rank.now + net.latency + (ranks - 1) * net.overhead, rank.busy


def pair(text):
    ranks, each = (int(x) for x in text.split(':'))
    if ranks < 1 or each < 1:
        raise ValueError
    return ranks, each


def network(text):
    gbit, copy, calls = text.split(':')
    if not (float(gbit) > 0 and float(copy) > 0 and int(calls) >= 0):
        raise ValueError
    return float(gbit), float(copy), int(calls)


def parse():
    p = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0], epilog=__doc__.split('\n\n', 1)[1],
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('steps', help='lines of bench-level --groups, a batch each')
    p.add_argument('rows', nargs='+', type=pair, metavar='RANKS:PICTURES')
    p.add_argument('--net', action='append', type=network, metavar='GBIT:COPY:CALLS', help='Gb/s of a rank; GB/s of '
                   'gradients that it copies and sums; calls until large parts flow. Default: 25:0.5:4, 200:2:1')
    p.add_argument('--payload', type=float, default=0.94, help='part of GBIT that is payload; default: %(default)s, of TCP')
    p.add_argument('--latency', type=float, default=20, help='of a message, microseconds; default: %(default)s')
    p.add_argument('--overhead', type=float, default=2, help='of each message, microseconds; default: %(default)s')
    p.add_argument('--eager', type=float, default=64, help='KiB that a rank sends to another unasked; default: %(default)s')
    p.add_argument('--look', type=float, default=500, help='microseconds between two calls of MPI; default: %(default)s')
    p.add_argument('--bucket', type=float, default=1, help='MiB; default: %(default)s')
    p.add_argument('--speed', type=float, default=1, help='speed of a rank over the measured one; default: %(default)s')
    p.add_argument('--no-overlap', action='store_true', help='exchange everything after the backward pass')
    return p.parse_args()


def main():
    o = parse()
    steps = read_steps(o.steps)
    nets = [Net(gbit * o.payload * 1e9 / 8, o.latency * 1e-6, o.overhead * 1e-6, copy * 1e9, o.eager * 1024, calls,
                o.look * 1e-6, math.inf if o.no_overlap else o.bucket * 2**20) for gbit, copy, calls in o.net or [(25, 0.5, 4), (200, 2, 1)]]
    best = max(steps) / steps[max(steps)].end * o.speed  # pictures a second
    names = [f'{8e-9 * n.bandwidth / o.payload:g} Gb/s' for n in nets]
    print('| ranks | pictures of a rank | batch | step alone, s |' + ''.join(f' {n}: step, s | link busy | efficiency |' for n in names))
    print('|---|---|---|---|' + '---|---|---|' * len(nets))
    for ranks, each in o.rows:
        alone = step_of(steps, each, o.speed)
        print(f'| {ranks} | {each} | {ranks * each} | {alone.end:.3g} |', end='')
        for net in nets:
            seconds, busy = simulate(alone, ranks, net)
            print(f' {seconds:.3g} | {busy / seconds:.0%} | {each / seconds / best:.0%} |', end='')
        print()


if __name__ == '__main__':
    main()
