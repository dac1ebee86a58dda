#!/usr/bin/env python3
"""bench_peer.py - stands in for a Python with PyTorch in tests of bench.py

    bench_peer.py -c 'import torch'                     succeeds
    bench_peer.py peer_level.py --serve SOCKET          answers as tests/bench/peer_level.py does, with figures of its own

The compiled setting and bf16 without --fold end at once, as settings do that do not work. FAKE_SLOW=SECONDS: every turn takes so long.
"""
import os, select, shlex, socket, sys, time


def answer(connection):
    lines = connection.makefile('r')
    connection.sendall(b'%d\n' % os.getpid())
    options = shlex.split(lines.readline())
    bf16 = 'bf16' in options
    if bf16 and '--fold' not in options:
        return
    speed, turn = 300 if bf16 else 200 if '--fold' in options else 100, 0
    for line in lines:
        time.sleep(float(os.environ.get('FAKE_SLOW', 0)))
        if line == 'kernels\n':
            connection.sendall(f'onednn_verbose,v1,primitive,exec,cpu,convolution,jit:fake,forward,x,{16 / speed * 1e3}\n'.encode())
        turn += 1
        connection.sendall(b'{"batch": 64, "img_per_s": %d, "rss_MB": 700, "torch": "0.0", "capability": "FAKE"}\n' % speed)


def main():
    if sys.argv[1] == '-c':
        sys.exit(sys.argv[2] != 'import torch')
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[3])
    listener.listen()
    print('ready', flush=True)
    while sys.stdin not in select.select([sys.stdin, listener], [], [])[0]:
        connection, _ = listener.accept()
        if os.fork() == 0:
            answer(connection)
            os._exit(0)
        connection.close()


if __name__ == '__main__':
    main()
