#!/usr/bin/env python3
"""peer_level.py - one level of the PyTorch peer, measured once for each line of standard input

    peer_level.py --mode train --level 4 --batch 64 [--model faces1024] [--dtype bf16] [--channels-last] [--fold] [--compile]

Modes: train (forward, backward, Adamax and moving average, on the patches of the official training), bpd and sample (whole
pictures), and gradient, which a chain of annealed samples asks for at every leapfrog (lib/mcmc/anneal.h): the log density
g log N(z) + (g-1) log|det dz/dx| at latents z, g = 1/T^2, and its gradient by z. The constant part of the log-determinant is left
out there. Only training has gradients by weights; elsewhere --fold folds every actnorm into its convolution beforehand.

The line 'again' asks for a measurement of at least one run, and one JSON line; 'kernels' for a single run, in which oneDNN lists
what it executes; 'first' for the very first run, which others have behind them. Model and inputs are made at the first line.
Loading PyTorch takes seconds, so that

    peer_level.py --serve SOCKET

loads it once, prints 'ready', and forks a process for each connection to a Unix socket. The first line of a connection holds the
options above; lines and answers go on as on standard input and output. It ends with its own standard input.

Environment: PEER, the peer's program (default ../shared/peers/peer_torch.py).
"""
import argparse, importlib.util, json, math, os, select, shlex, signal, socket, sys, time
import torch

T = 0.97
CONFIGS = {'imagenet64': 'imagenet64', 'faces1024': 'celeba1024'}  # the peer's names


def load_peer():
    spec = importlib.util.spec_from_file_location('peer', os.environ.get('PEER', '../shared/peers/peer_torch.py'))
    peer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(peer)
    return peer


def make_flow(peer, a, layout):
    """(flow, x, low-pass pictures) of the level, on noise: actnorms by data, last convolutions not zero."""
    config = peer.CONFIGS[CONFIGS[a.model]]
    channels, given, side = (9, 3, 2 ** (a.level - 1)) if a.level else (3, 0, 1)
    if a.mode == 'train':
        side = max(1, side // config['crop'][a.level])
    flow = peer.LevelFlow(channels, given, config['steps'][a.level], config['width'][a.level]).to(**layout)
    x = torch.randn(a.batch, channels, side, side).mul_(0.3).contiguous(**layout)
    low = torch.rand(a.batch, given, side, side).sub_(0.5).contiguous(**layout) if given else None
    norms = [m for m in flow.modules() if isinstance(m, peer.ActNorm)]
    for m in norms:
        m.init = True
    with torch.no_grad():
        flow(x[:8], low if low is None else low[:8])
    for m in norms:
        m.init = False
    for m in flow.modules():
        if isinstance(m, peer.ZeroConv):
            m.w.data.normal_(0, 1e-3)
    return flow, x, low


def fold(module, peer):
    for name, child in module.named_children():
        if not isinstance(child, peer.ConvAN):
            fold(child, peer)
            continue
        scale = torch.exp(-3 * child.an.logs)
        conv = torch.nn.Conv2d(child.w.shape[1], child.w.shape[0], child.k, padding=child.k // 2)
        conv.weight.data = (child.w * scale.reshape(-1, 1, 1, 1)).contiguous(
            memory_format=torch.channels_last if child.w.is_contiguous(memory_format=torch.channels_last) else
            torch.contiguous_format)
        conv.bias.data = (-child.an.mean * scale).reshape(-1)
        setattr(module, name, conv.requires_grad_(False))


def make_run(a):
    """The function that is measured."""
    peer = load_peer()
    layout = {'memory_format': torch.channels_last} if a.channels_last else {}
    compiled = torch.compile if a.compile else lambda f: f
    flow, x, low = make_flow(peer, a, layout)

    def mixed():
        return torch.autocast('cpu', dtype=torch.bfloat16, enabled=a.dtype == 'bf16')

    if a.mode == 'train':
        peer.FOLD = a.fold
        optimizer, loss = peer.GlowAdamax(flow.parameters()), compiled(peer.bpd_loss)

        def train():
            for p in flow.parameters():
                p.grad = None
            with mixed():
                mean = loss(flow, x, low).mean()
            mean.backward()
            optimizer.step()
            return mean.item()

        return train

    flow.requires_grad_(False)
    if a.fold:
        fold(flow, peer)
    if a.mode == 'gradient':
        g = 1 / T ** 2

        def log_density(z):
            with mixed():
                logdet = flow.inverse(z, low)[1]  # log|det dx/dz|
            normal = (-0.5 * z * z - 0.5 * math.log(2 * math.pi)).sum((1, 2, 3))
            return g * normal - (g - 1) * logdet

        density = compiled(log_density)

        def gradient():
            at = x.detach().requires_grad_()
            value = density(at)
            return value.detach(), torch.autograd.grad(value.sum(), at)[0]

        return gradient

    work = compiled(lambda v: peer.bpd_loss(flow, v, low) if a.mode == 'bpd' else flow.inverse(v, low)[0])

    def evaluate():
        with torch.no_grad(), mixed():
            return work(x)

    return evaluate


def median_seconds(run, seconds):
    times, start = [], time.perf_counter()
    while not times or time.perf_counter() - start < seconds:
        before = time.perf_counter()
        run()
        times.append(time.perf_counter() - before)
    return sorted(times)[len(times) // 2]


def list_kernels(run):
    with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON):
        before = time.perf_counter()
        run()
        return time.perf_counter() - before


def peak_MB():
    with open('/proc/self/status') as f:
        return next(int(line.split()[1]) for line in f if line.startswith('VmHWM')) // 1024


def serve(path):
    """Returns the arguments of a connection in a process of its own, whose standard input and output are the connection. The first line
    that it writes is its number."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print('ready', flush=True)
    while True:
        if sys.stdin in select.select([sys.stdin, listener], [], [])[0]:
            sys.exit()
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            os.dup2(connection.fileno(), 0)
            os.dup2(connection.fileno(), 1)
            connection.close()
            print(os.getpid(), flush=True)
            return shlex.split(sys.stdin.readline())
        connection.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--mode', choices=['train', 'bpd', 'sample', 'gradient'], required=True)
    parser.add_argument('--model', choices=CONFIGS, default='imagenet64')
    parser.add_argument('--level', type=int, default=4)
    parser.add_argument('--batch', type=int, default=64)
    parser.add_argument('--dtype', default='fp32', choices=['fp32', 'bf16'])
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--time', type=float, default=4)
    parser.add_argument('--channels-last', action='store_true')
    parser.add_argument('--fold', action='store_true')
    parser.add_argument('--compile', action='store_true')
    a = parser.parse_args(serve(sys.argv[2]) if sys.argv[1:2] == ['--serve'] else None)
    torch.set_num_threads(a.threads)
    torch.manual_seed(1)
    run = None
    for line in sys.stdin:
        if not run:
            run = make_run(a)
            seconds = median_seconds(run, 0)
        if line != 'first\n':
            seconds = list_kernels(run) if line == 'kernels\n' else median_seconds(run, a.time)
        print(json.dumps({'mode': a.mode, 'level': a.level, 'batch': a.batch, 'precision': a.dtype,
                          'img_per_s': float(f'{a.batch / seconds:.5g}'), 'rss_MB': peak_MB(), 'torch': torch.__version__,
                          'capability': torch.backends.cpu.get_cpu_capability()}), flush=True)


if __name__ == '__main__':
    main()
