#!/usr/bin/env python3
"""Golden values of exact probabilities of whole-number coefficients, from PyTorch in float64.

    tests/golden/make_lattice.py tests/golden/lattice.safetensors

The chain is  cond:channels=2:width=3:blocks=1, lattice:components=2:width=3:blocks=1:phases=2  over 3-bit pictures after
one halving. Ranges come from a list of all 8^4 blocks.

    x [N,H,W,9] (channel 3 colour + band), cond [N,H,W,3], params, logp [N] (nats), z; and the gradients of the sum of
    logp: dcond, grads, 0 for the word's own b and l
"""
import itertools
import math
import sys

import torch
from safetensors.torch import save_file

BITS, N, H, W, C, COMPONENTS, WIDTH, FEATURES = 3, 2, 2, 3, 3, 2, 3, 2
UNIT = 2.0 ** -(BITS + 1)  # of a detail


def sums(block):
    a, b, c, d = block
    return a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d


def list_ranges():
    """Smallest and largest value of each band given S and the bands before."""
    ranges = {}
    for block in itertools.product(range(2 ** BITS), repeat=4):
        s = sums(block)
        for band in range(3):
            low, high = ranges.get(s[:band + 1], (99, -99))
            ranges[s[:band + 1]] = min(low, s[band + 1]), max(high, s[band + 1])
    return ranges


class Conv:
    """y = (conv(x) + b) exp(3 l), w [out,k,k,in]"""

    def __init__(self, inner, outer, k):
        self.w = 0.5 * torch.randn(outer, k, k, inner) / math.sqrt(inner)
        self.b, self.l = 0.3 * torch.randn(outer), 0.1 * torch.randn(outer)
        self.parts = [p.requires_grad_() for p in (self.w, self.b, self.l)]

    def __call__(self, x):  # NHWC
        y = torch.nn.functional.conv2d(x.permute(0, 3, 1, 2), self.w.permute(0, 3, 1, 2), padding=self.w.shape[1] // 2)
        return (y.permute(0, 2, 3, 1) + self.b) * torch.exp(3 * self.l)


class Net:
    """1x1; h = relu(h + 1x1(relu(3x3(h)))); 3x3"""

    def __init__(self, inner, outer):
        self.convs = [Conv(inner, WIDTH, 1), Conv(WIDTH, WIDTH, 3), Conv(WIDTH, WIDTH, 1), Conv(WIDTH, outer, 3)]
        self.parts = [p for c in self.convs for p in c.parts]

    def __call__(self, x):
        first, a, b, last = self.convs
        h = torch.relu(first(x))
        return last(torch.relu(h + b(torch.relu(a(h)))))


def draw():
    """Whole numbers [N,H,W,C,4]: S, H, V, D of random blocks, some of them black or white."""
    mean = 7 * torch.rand(N, H, W, C, 1)
    blocks = (mean + 2 * torch.randn(N, H, W, C, 4)).round().clamp(0, 2 ** BITS - 1).long()
    return torch.tensor([[sums(b) for b in row] for row in blocks.view(-1, C, 4).tolist()]).view(N, H, W, C, 4)


def edges(numbers, band, ranges):
    """Lower and upper edge of each cell in x: [N,H,W,C], infinite at the ends of the range; and the cell's width."""
    step = 4 if band == 2 else 2
    low, high = numbers[..., band + 1].double() - step / 2, numbers[..., band + 1].double() + step / 2
    for place in itertools.product(range(N), range(H), range(W), range(C)):
        first, last = ranges[tuple(numbers[place][:band + 1].tolist())]
        value = numbers[place][band + 1].item()
        low[place] = -math.inf if value == first else low[place]
        high[place] = math.inf if value == last else high[place]
    return low * UNIT, high * UNIT, step * UNIT


def mixture(parameters, T, low, high):
    """Probabilities of the cells and below and above them. parameters [N,H,W,m,C]; T, low, high [N,H,W,C]."""
    p, mean, s, ties = parameters.split([COMPONENTS] * 3 + [C - 1], 3)
    place = (2 * torch.arange(COMPONENTS) + 1 - COMPONENTS) / COMPONENTS
    shift = torch.stack([sum(ties[..., d, c] * T[..., d] for d in range(c)) + 0 * T[..., 0] for c in range(C)], -1)
    mean = mean + place[:, None] + shift[..., None, :]
    share, e = torch.softmax(p, 3), torch.exp(1 - s.clamp(-7, 7))
    # infinite edges times e have no gradient by e
    F = lambda T: torch.where(T.isinf()[..., None, :], (T > 0).double()[..., None, :],
                              torch.sigmoid((T.nan_to_num(0, 0, 0)[..., None, :] - mean) * e))
    below, above = (share * F(low)).sum(3), (share * (1 - F(high))).sum(3)
    return (share * (F(high) - F(low))).sum(3), below, above


def main():
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    torch.manual_seed(3)
    ranges, numbers = list_ranges(), draw()
    cond = (numbers[..., 0] * 2.0 ** -(BITS + 2) + 2.0 ** -(BITS + 1) - 0.5).requires_grad_()
    x = numbers[..., 1:] * UNIT  # [N,H,W,C,3]
    encoder = Net(C, FEATURES)
    b, l = 0.1 * torch.randn(3, C), 0.2 * torch.randn(3, C)
    odd = (torch.arange(H)[:, None] + torch.arange(W)) % 2 == 1
    features = torch.cat([cond, encoder(cond)], -1)
    nets, z, logp = [], torch.zeros_like(x), torch.zeros(N)
    bands = x.transpose(-1, -2)  # [N,H,W,3,C]
    for band in range(3):
        low, high, width = edges(numbers, band, ranges)
        norm = lambda v: (v + b[band]) * torch.exp(3 * l[band])
        for phase in range(2):
            seen = [bands[..., i, :] for i in range(band)]
            if phase:
                seen.append(torch.where(odd[..., None], 0.0, bands[..., band, :]))
            nets.append(Net(C * (band + phase) + C + FEATURES, C * (3 * COMPONENTS + C - 1)))
            parameters = nets[-1](torch.cat([*seen, features], -1)).view(N, H, W, -1, C)
            P, below, above = mixture(parameters, norm(bands[..., band, :]), norm(low), norm(high))
            own = (odd if phase else ~odd)[..., None]
            logp = logp + torch.where(own, torch.log(P / width), 0.0).sum((1, 2, 3))
            tail = torch.minimum(below, above) + P / 2
            latent = torch.special.ndtri(tail) * torch.where(below < above, 1.0, -1.0)
            z[..., band] = torch.where(own, latent, z[..., band])
    logp.sum().backward()
    nothing = [torch.zeros(9), torch.zeros(9)]
    parts = lambda own, of: torch.cat([of(p).reshape(-1) for p in encoder.parts] + [v.reshape(-1) for v in own] +
                                      [of(p).reshape(-1) for n in nets for p in n.parts])
    out = dict(x=x.flatten(3), cond=cond, params=parts([b, l], torch.Tensor.detach), logp=logp, z=z.flatten(3),
               dcond=cond.grad, grads=parts(nothing, lambda p: p.grad))
    save_file({k: v.detach().clone().contiguous() for k, v in out.items()}, sys.argv[1],
              metadata={"format": "wavelet-flow/golden"})


if __name__ == "__main__":
    main()
