#!/usr/bin/env python3
"""peer_gradient.py - autograd through the inverse of one level of the PyTorch peer, as one JSON line

    peer_gradient.py --level 4 --batch 64 [--dtype bf16] [--channels-last] [--fold] [--compile]

What a chain of annealed samples asks for at every leapfrog (lib/mcmc/anneal.h): the log density g log N(z) + (g-1) log|det dz/dx|
at latents z of whole pictures, g = 1/T^2, and its gradient by z. Weights want no gradient; the constant part of the
log-determinant is left out. Environment: PEER, the peer's program (default ../shared/peers/peer_torch.py).
"""
import argparse, importlib.util, json, math, os, time
import torch

T = 0.97


def load_peer():
    spec = importlib.util.spec_from_file_location('peer', os.environ.get('PEER', '../shared/peers/peer_torch.py'))
    peer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(peer)
    return peer


def make_flow(peer, level, batch, layout):
    """(flow without gradients by its weights, z, low-pass pictures) at the shape of a whole level, on noise."""
    config = peer.CONFIGS['imagenet64']
    channels, given, side = (9, 3, 2 ** (level - 1)) if level else (3, 0, 1)
    flow = peer.LevelFlow(channels, given, config['steps'][level], config['width'][level]).to(**layout)
    z = torch.randn(batch, channels, side, side).contiguous(**layout)
    low = torch.rand(batch, given, side, side).sub_(0.5).contiguous(**layout) if given else None
    norms = [m for m in flow.modules() if isinstance(m, peer.ActNorm)]
    for m in norms:
        m.init = True
    with torch.no_grad():
        flow(0.3 * z, low)
    for m in norms:
        m.init = False
    for m in flow.modules():
        if isinstance(m, peer.ZeroConv):
            m.w.data.normal_(0, 1e-3)
    return flow.requires_grad_(False), z, low


def fold(module, peer):
    """Weights are constant here: every actnorm of a coupling net goes into its convolution once and for all."""
    for name, child in module.named_children():
        if not isinstance(child, peer.ConvAN):
            fold(child, peer)
            continue
        scale = torch.exp(-3 * child.an.logs)
        conv = torch.nn.Conv2d(child.w.shape[1], child.w.shape[0], child.k, padding=child.k // 2)
        conv.weight.data = child.w * scale.reshape(-1, 1, 1, 1)
        conv.bias.data = (-child.an.mean * scale).reshape(-1)
        setattr(module, name, conv.requires_grad_(False))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--level', type=int, default=4)
    parser.add_argument('--batch', type=int, default=64)
    parser.add_argument('--dtype', default='fp32', choices=['fp32', 'bf16'])
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--seconds', type=float, default=4)
    parser.add_argument('--channels-last', action='store_true')
    parser.add_argument('--fold', action='store_true')
    parser.add_argument('--compile', action='store_true')
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(1)
    peer, g = load_peer(), 1 / T ** 2
    flow, z, low = make_flow(peer, a.level, a.batch, {'memory_format': torch.channels_last} if a.channels_last else {})
    if a.fold:
        fold(flow, peer)

    def log_density(z):
        with torch.autocast('cpu', dtype=torch.bfloat16, enabled=a.dtype == 'bf16'):
            logdet = flow.inverse(z, low)[1]  # log|det dx/dz|
        normal = (-0.5 * z * z - 0.5 * math.log(2 * math.pi)).sum((1, 2, 3))
        return g * normal - (g - 1) * logdet

    density = torch.compile(log_density) if a.compile else log_density

    def run():
        at = z.detach().requires_grad_()
        value = density(at)
        return value.detach(), torch.autograd.grad(value.sum(), at)[0]

    run()
    times, start = [], time.perf_counter()
    while len(times) < 2 or time.perf_counter() - start < a.seconds:
        before = time.perf_counter()
        run()
        times.append(time.perf_counter() - before)
    print(json.dumps({'level': a.level, 'mode': 'gradient', 'batch': a.batch, 'dtype': a.dtype, 'rss_MB': round(peer.rss_mb()),
                      'img_per_s': round(a.batch / sorted(times)[len(times) // 2], 1), 'torch': torch.__version__}))


if __name__ == '__main__':
    main()
