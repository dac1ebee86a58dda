#!/usr/bin/env python3
"""bench.py - arithmetic and tables of tests/bench/bench_table.py on figures made up for it, and the end of a slow peer; no timing

    bench.py tests/bench
"""
import os, subprocess, sys, time

sys.path.insert(0, sys.argv[1])
import bench_table as t

OURS = {'fp32': {'turns': [[100, 50], [100, 100], [10, 100]], 'MB': 20}, 'bf16': {'turns': [[60, 60]] * 3, 'MB': 10}}
PEER = {'fp32': {'turns': [[50, 25], [50, 50], [50, 50]], 'MB': 500, 'setting': 'plain'},
        'bf16': {'turns': [[80, 80], [100, 100], [80, 80]], 'MB': 400, 'setting': 'folded'}}
ROW = {'batch': 10, 'GFLOP': 8.0, 'MB_moved': 100.0, 'device': 'A, AVX-512 BF16, oneDNN', 'torch': '2', 'capability': 'AVX512', 'threads': 2,
       'settings': 'OMP_NUM_THREADS=2', 'build': 'x', 'ours': OURS, 'peer': PEER, 'tried': {'fp32 plain': 50, 'fp32 compiled': None},
       'kernels': {'ours': {'own': 0.9, 'jit:x': 0.09, 'reorder': 0.01}, 'peer': {'brgconv:y': 1.0}},
       'peaks': [{'fp32': 100e9, 'bf16': None, 'copy': 1e12}] * 2 + [{'fp32': 100e9, 'bf16': None, 'copy': 0.5e9}]}
LINES = ['onednn_verbose,exec,cpu,convolution,jit:x,forward_training,f32,alg:a,mb1,20.5', 'noise',
         'onednn_verbose,exec,cpu,convolution,jit:x,backward_data,f32,alg:a,mb1,4.5',
         'onednn_verbose,create:cache_hit,cpu,convolution,jit:x,forward,f32,,mb1,99',
         'onednn_verbose,v1,primitive,exec,cpu,reorder,jit:uni,undef,f32,,,8x8,5',
         'onednn_verbose,v1,primitive,create:cache_miss,cpu,reorder,jit:uni,undef,f32,,,8x8,99', 'onednn_verbose,info,cpu,isa:x']


def near(a, b):
    return abs(a - b) < 1e-9 * abs(b)


assert t.rounds_of(OURS['fp32']) == [75, 100, 55]
assert t.median_of(OURS, 'fp32') == 75 and t.median_of(OURS, 'auto') is None
assert t.fastest(OURS) == 'fp32' and t.fastest(PEER) == 'bf16' and t.fastest({}) is None
assert t.noisy([100, 116, 100]) and not t.noisy([100, 114, 100])
# A turn is divided by the one beside it: the slow turn of both sides in round 1 leaves the ratio alone.
assert t.ratios(OURS['fp32'], PEER['fp32']) == [2.0, 2.0, 1.1]
assert near(t.floor_seconds(ROW, ROW['peaks'][0], 'fp32'), 0.08) and near(t.floor_seconds(ROW, ROW['peaks'][2], 'fp32'), 0.2)
assert t.floor_seconds(ROW, ROW['peaks'][0], 'bf16') is None
# 10/75 s over 0.08 s, 10/100 over 0.08, 10/55 over 0.2
assert near(t.distance(ROW, 'fp32'), 0.1 / 0.08) and t.distance(ROW, 'bf16') is None and t.distance(ROW, 'auto') is None
assert t.primitives(LINES) == {('convolution', 'jit:x'): 25.0, ('reorder', 'jit:uni'): 5.0}
found = t.shares(LINES, 0.1, 'own')
assert list(found) == ['own', 'jit:x', 'reorder'] and near(found['own'], 0.7) and near(found['jit:x'], 0.25), found
assert [t.machine_class(d) for d in ('X, AMX, a', 'X, AVX-512 VNNI, a', 'X, AVX2, loops for x86-64-v3')] == ['AMX', 'AVX512', 'AVX2']
assert [t.figure(x) for x in (None, 12345.6, 99.96, 9.996, 0.123)] == ['-', '12346', '100.0', '10.00', '0.12']

rows = {'train:4': ROW, 'reversible:faces8': dict(ROW, peer={}, tried={}, torch=None, build='y', kernels={'ours': {'own': 1.0}})}
full = t.full_table(rows, 'train:4').split('\n')
assert full[0] == ('A, AVX-512 BF16, oneDNN, 2 threads; PyTorch 2 (AVX512); OMP_NUM_THREADS=2. Peaks: fp32 100 GFLOP/s, copy 1000 GB/s.'), full[0]
assert 'Measured with another build: reversible:faces8.' in full and not any('Without a compiled' in line for line in full)
assert '| 4 | train | 10 | 0.8 | 75.0 ~ | 60.0 | 50.0 ~ | 80.0 ~ | 2.00x (1.10-2.00) ~ | 0.94x (0.69-1.00) ~ | 1.25x | - | 20 / 400 |' in full, full
assert '| faces 8 | train, reversible | 10 | 0.8 | 75.0 ~ | 60.0 | - | - | - | - | 1.25x | - | 20 / - |' in full, full
assert '| 4 | train | fp32: own 90%, jit:x 9% | bf16 folded: brgconv:y 100% |' in full and '| faces 8 | train, reversible | fp32: own 100% | - |' in full
short = t.short_table(rows, 'train:4').split('\n')
assert short[-1] == '| 4 | train | 75.0 (fp32) | 80.0 (bf16) | 0.94x (0.69-1.00) ~ |' and len(short) == 5, short
eager = t.full_table({'bpd:0': dict(ROW, tried={'fp32 plain': 1})}, 'bpd:0')
assert 'Without a compiled peer: bpd:0.' in eager

with open('page.md', 'w') as f:
    f.write('a\n<!-- x -->\nold\n<!-- /x -->\nb\n')
t.replace_between('page.md', 'x', 'new')
with open('page.md') as f:
    assert f.read() == 'a\n<!-- x -->\nnew\n<!-- /x -->\nb\n'
try:
    t.replace_between('page.md', 'y', 'new')
    sys.exit('replace_between takes a page without markers')
except ValueError as e:
    assert 'page.md' in str(e) and '<!-- y -->' in str(e)
assert not os.path.exists('page.md.part')

import bench_jobs as j

JOBS = {'bits/dim': {'pictures': 30, 'ours': [[2, 40], [1, 50], [9, 60]], 'ours, twice': [[4, 55]] * 3, 'peer': [[3, 500]] * 3},
        'info': {'pictures': None, 'ours': [[0.01, 17]] * 3}}
lines = j.table(JOBS, 'about', 16.5).split('\n')
assert lines[0] == 'about' and lines[4:] == ['| bits/dim | 30 | 2.00 | 50 | 2.00x | 1.10x | 3.00 | 1.50x | 500 |',
                                             '| info | - | 0.01 | - | - | - | - | - | - |'], lines

import bench as b

# A peer that takes too long is ended: it would disturb what is measured next.
peer = subprocess.Popen([sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'bench_peer.py'), 'peer_level.py', '--serve',
                         'socket'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(os.environ, FAKE_SLOW='60'))
assert peer.stdout.readline() == b'ready\n'
slow = b.connect('socket', ['--dtype', 'fp32'], 5)
with open(f'/proc/{peer.pid}/task/{peer.pid}/children') as f:
    child = int(f.read())
slow.limit = 0.2
try:
    slow.measure()
    sys.exit('a peer that takes too long is waited for')
except b.Dropped as e:
    assert 'took more than' in str(e)


def runs(process):
    with open(f'/proc/{process}/stat') as f:
        return f.read().rpartition(') ')[2][0] != 'Z'


end = time.monotonic() + 10
while runs(child) and time.monotonic() < end:
    time.sleep(0.05)
assert not runs(child), 'a peer that took too long goes on'
peer.kill()
