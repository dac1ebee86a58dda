#!/usr/bin/env python3
"""Golden values of flows, a pyramid and a training run, from an independent PyTorch implementation in float64.

    tests/golden/make_golden.py --peer peer_torch.py --out tests/golden

The peer supplies LevelFlow, bpd_loss and GlowAdamax. Everything is written in the conventions of this library:
feature maps NHWC, weights [out,k,k,in], actnorm y = (x + b) * exp(3 l), and one flat vector of parameters a level:
for each step: actnorm b[K], l[K]; conv1x1 w[K,K] (or LU: p[K], sign[K], l[K,K], u[K,K], logs[K]); coupling net: conv_in
w[W,1,1,in] b l, per block conv3x3 w b l and conv1x1 w b l, conv_out w b l; after all steps the last actnorm b, l.
Where a level is a single pixel, only the centre tap of its 3x3 kernels is kept: the others never see data.

level-*.safetensors     x [N,H,W,K], cond [N,H,W,3] (absent at the base), params, z, logp [N] (nats, log-determinant
                        included), bpd [N] = (-logp + D log 256) / (D log 2) with D = H*W*K; gradients of the mean bpd:
                        dx, dcond, grads; and the inverse: sample_z -> sample_x
level-ar-3x4            the same of two autoregressive transformers, forth and back, which the peer does not have: here, by torch's own
                        layer norm and attention
pyramid.safetensors     images [N,4,4,3] in [0,256) with the noise already in; for each level L = 0, 1, 2: low-L and
                        detail-L in pixel units, params-L, bpd-L [N] in bits per dimension of the picture; bpd: the sum
adamax.safetensors      x [20,N,H,W,K], cond, params before, loss [20] (mean bpd before each step), params_after and
                        ema_after; lr 1e-3, beta1 0.9, beta2 = decay = 1 - 1/782, eps 1e-8
muon.safetensors        the same by Muon: conv1x1 and kernels [out,in k k], except a net's last one, have momentum 0.95
                        (Nesterov's), five steps of Newton-Schulz, and the rate 1e-3 * 0.067 sqrt(max(rows, columns)); other parameters as in
                        adamax. torch.optim.Muon agrees, as far as its bfloat16 goes
"""
import argparse
import importlib.util
import math
import os

import torch
from safetensors.torch import save_file


def load_peer(path):
    spec = importlib.util.spec_from_file_location("peer", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class LU(torch.nn.Module):
    """conv1x1 weight P (strictly lower l + 1) (strictly upper u + diag(sign exp(logs))), (Pv)[i] = v[p[i]]"""

    def __init__(self, K):
        super().__init__()
        self.K = K
        self.p = torch.randperm(K)
        self.sign = torch.where(torch.rand(K) < 0.5, -1.0, 1.0)
        # unused triangles are filled too, so that a reader that uses them is found out
        self.l = torch.nn.Parameter(0.3 * torch.randn(K, K))
        self.u = torch.nn.Parameter(0.3 * torch.randn(K, K))
        self.logs = torch.nn.Parameter(0.2 * torch.randn(K))

    def weight(self):
        lower = torch.tril(self.l, -1) + torch.eye(self.K)
        upper = torch.triu(self.u, 1) + torch.diag(self.sign * torch.exp(self.logs))
        return (lower @ upper)[self.p]


def flatten(flow, size, of, lus=None):
    """The level's flat vector; of(parameter) is its value, gradient or average."""
    one_pixel = size == (1, 1)
    parts = []

    def conv(w, b, l, sign):
        w = of(w).permute(0, 2, 3, 1)  # [out,in,k,k] -> [out,k,k,in]
        if one_pixel and w.shape[1] == 3:
            w = w[:, 1:2, 1:2, :]
        parts.extend([w, sign * of(b), sign * of(l)])

    def conv_actnorm(c):  # the peer's actnorm is (x - mean) * exp(-3 logs)
        conv(c.w, c.an.mean, c.an.logs, -1)

    for i, step in enumerate(flow.steps):
        parts.extend([-of(step.an.mean), -of(step.an.logs)])
        if lus:
            lu = lus[i]
            constant = of is value  # p and sign have no gradient
            parts.extend([lu.p.double() if constant else torch.zeros(lu.K), lu.sign if constant else torch.zeros(lu.K)])
            parts.extend([of(lu.l), of(lu.u), of(lu.logs)])
        else:
            parts.append(of(step.k))
        conv_actnorm(step.net.cin)
        for a, b in zip(step.net.a, step.net.b):
            conv_actnorm(a)
            conv_actnorm(b)
        conv(step.net.cout.w, step.net.cout.b, step.net.cout.logs, 1)
    parts.extend([-of(flow.tail.mean), -of(flow.tail.logs)])
    return torch.cat([p.reshape(-1) for p in parts]).clone()


def value(p):
    return p.detach()


def gradient(p):
    return torch.zeros_like(p) if p.grad is None else p.grad


def nhwc(x):
    return x.detach().permute(0, 2, 3, 1).contiguous()


def nchw(x):
    return x.permute(0, 3, 1, 2).contiguous()


def perturb(flow):
    """Away from every special value: zero convolutions, identity actnorms, rotations."""
    for name, p in flow.named_parameters():
        if name.endswith("logs"):
            p.data = 0.08 * torch.randn_like(p)
        elif name.endswith("mean") or name.endswith("b"):
            p.data = 0.2 * torch.randn_like(p)
        elif name.endswith(".k"):
            p.data += 0.1 * torch.randn_like(p)
        else:
            p.data = 0.6 * torch.randn_like(p) / math.sqrt(p[0].numel())


def make_flow(peer, K, C, steps, width):
    flow = peer.LevelFlow(K, C, steps, width)
    perturb(flow)
    return flow


def use_lu(flow):
    """Gives every step's 1x1 convolution an LU-parametrized weight, computed once and differentiated through."""
    lus = [LU(step.k.shape[0]) for step in flow.steps]
    for step, lu in zip(flow.steps, lus):
        del step.k
        step.k = lu.weight()
    return lus


def level(peer, K, C, steps, width, size, lu=False, N=3):
    flow = make_flow(peer, K, C, steps, width)
    lus = use_lu(flow) if lu else None
    x = (0.7 * torch.randn(N, K, *size)).requires_grad_()
    cond = (torch.rand(N, C, *size) - 0.5).requires_grad_() if C else None
    z, logp = flow(x, cond)
    bpd = peer.bpd_loss(flow, x, cond)
    bpd.mean().backward()
    out = dict(x=nhwc(x), params=flatten(flow, size, value, lus), z=nhwc(z), logp=logp, bpd=bpd, dx=nhwc(x.grad),
               grads=flatten(flow, size, gradient, lus))
    if C:
        out.update(cond=nhwc(cond), dcond=nhwc(cond.grad))
    sample_z = torch.randn(N, K, *size)
    with torch.no_grad():
        sample_x = flow.inverse(sample_z, cond)[0]
    out.update(sample_z=nhwc(sample_z), sample_x=nhwc(sample_x))
    return out


class Autoregressive(torch.nn.Module):
    """y = (x + t) exp(s) of a pixel, (s, t) from a transformer that is shown the pixels before it, or behind"""

    def __init__(self, K, C, width, blocks, heads, size, back):
        super().__init__()
        self.K, self.heads, self.back = K, heads, back
        rows, columns = torch.arange(size[0]), torch.arange(size[1])
        waves = [wave(2 * math.pi * where.double() / 4 / 2 ** k) for k in range(6)
                 for where in (rows[:, None].expand(size), columns[None].expand(size)) for wave in (torch.sin, torch.cos)]
        self.positions = torch.stack(waves, -1).flatten(0, 1)
        sides = [(K + 24 + C, width)]
        for _ in range(blocks):
            sides += [(width, 3 * width), (width, width), (width, 4 * width), (4 * width, width)]
        self.convs = torch.nn.ParameterList()
        for inner, outer in sides + [(width, 2 * K)]:
            self.convs.append(torch.nn.Parameter(0.6 * torch.randn(outer, inner) / math.sqrt(inner)))
            self.convs.append(torch.nn.Parameter(0.2 * torch.randn(outer)))
            self.convs.append(torch.nn.Parameter(0.08 * torch.randn(outer)))

    def conv(self, i, x):
        w, b, l = self.convs[3 * i:3 * i + 3]
        return (x @ w.T + b) * torch.exp(3 * l)

    def attend(self, qkv):
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in qkv.chunk(3, -1))
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)

    def theta(self, x, cond):
        """of x and cond [N,P,.], by turning the pixels round where those behind come first"""
        N, P, K = x.shape
        beside = [self.positions.expand(N, P, -1), cond]
        if self.back:
            x, beside = x.flip(1), [b.flip(1) for b in beside]
        moved = torch.cat([torch.zeros(N, 1, K), x[:, :-1]], 1)
        h = self.conv(0, torch.cat([moved, *beside], -1))
        norm = torch.nn.LayerNorm(h.shape[-1], elementwise_affine=False)
        for i in range(1, len(self.convs) // 3 - 1, 4):
            h = h + self.conv(i + 1, self.attend(self.conv(i, norm(h))))
            h = h + self.conv(i + 3, torch.relu(self.conv(i + 2, norm(h))))
        theta = self.conv(len(self.convs) // 3 - 1, h)
        return (theta.flip(1) if self.back else theta).chunk(2, -1)

    def forward(self, x, cond):
        s, t = self.theta(x, cond)
        return (x + t) * torch.exp(s.clamp(-5, 5)), s.clamp(-5, 5).flatten(1).sum(1)

    def inverse(self, y, cond):
        x = torch.zeros_like(y)
        for _ in range(y.shape[1]):  # one more pixel is right each time
            s, t = self.theta(x, cond)
            x = y * torch.exp(-s.clamp(-5, 5)) - t
        return x


def autoregressive(K=3, C=3, size=(3, 4), N=3):
    flows = [Autoregressive(K, C, 8, 2, heads, size, back) for heads, back in ((2, False), (4, True))]
    x = (0.7 * torch.randn(N, size[0] * size[1], K)).requires_grad_()
    cond = (torch.rand(N, size[0] * size[1], C) - 0.5).requires_grad_()
    z, logdet = x, 0
    for flow in flows:
        z, of_this = flow(z, cond)
        logdet = logdet + of_this
    D = x[0].numel()
    logp = logdet - (0.5 * z ** 2 + 0.5 * math.log(2 * math.pi)).flatten(1).sum(1)
    bpd = (-logp + D * math.log(256)) / (D * math.log(2))
    bpd.mean().backward()
    sample_z = torch.randn(N, size[0] * size[1], K)
    with torch.no_grad():
        sample_x = flows[0].inverse(flows[1].inverse(sample_z, cond), cond)
    flat = lambda of: torch.cat([of(p).reshape(-1) for flow in flows for p in flow.convs])
    pictures = dict(x=x, cond=cond, z=z, dx=x.grad, dcond=cond.grad, sample_z=sample_z, sample_x=sample_x)
    return dict({k: v.detach().unflatten(1, size) for k, v in pictures.items()}, logp=logp, bpd=bpd,
                params=flat(value), grads=flat(gradient))


def haar(x):
    """[N,C,H,W] -> average [N,C,H/2,W/2], details [N,3C,H/2,W/2], channel 3*colour + band"""
    a, b = x[:, :, 0::2, 0::2], x[:, :, 0::2, 1::2]
    c, d = x[:, :, 1::2, 0::2], x[:, :, 1::2, 1::2]
    bands = torch.stack([(a - b + c - d) / 2, (a + b - c - d) / 2, (a - b - c + d) / 2], 2)
    return (a + b + c + d) / 4, bands.flatten(1, 2)


def pyramid(peer, levels=2, steps=2, width=8, bits=8, N=3):
    side, C = 2 ** levels, 3
    images = nchw(torch.randint(0, 2 ** bits, (N, side, side, C)) + torch.rand(N, side, side, C))
    out = dict(images=nhwc(images))
    D_image, scale = side * side * C, 2.0 ** -bits
    total, low = 0, images
    for l in range(levels, -1, -1):
        if l:
            low, detail = haar(low)
            data, cond = detail * scale, low * scale - 0.5
            out[f"detail-{l}"] = nhwc(detail)
        else:
            data, cond = low * scale - 0.5, None
        out[f"low-{l}"] = nhwc(low)
        flow = make_flow(peer, data.shape[1], C if l else 0, steps, width)
        D = data[0].numel()
        logp = flow(data, cond)[1]
        # each average halves the coefficients of all levels below; pixels are scaled into [0,1)
        bpd = -(logp + D * (levels - l) * math.log(0.5) - D * bits * math.log(2)) / (math.log(2) * D_image)
        out[f"params-{l}"] = flatten(flow, tuple(data.shape[2:]), value)
        out[f"bpd-{l}"] = bpd
        total = total + bpd
    out["bpd"] = total
    return out


class Muon:
    """Muon for w and k, the peer's Adamax for the rest"""

    def __init__(self, peer, flow, lr=1e-3, momentum=0.95, rms=0.067, decay=1 - 1 / 782):
        named = list(flow.named_parameters())
        inner = [name.split(".")[-1] in ("w", "k") and ".cout." not in name for name, p in named]
        self.matrices = [p for (name, p), own in zip(named, inner) if own]
        self.rest = peer.GlowAdamax([p for (name, p), own in zip(named, inner) if not own], lr=lr)
        self.rest.t = self.rest.t.double()
        self.m = [torch.zeros_like(p) for p in self.matrices]
        self.rate, self.momentum, self.decay = lr * rms, momentum, decay
        self.p = self.matrices + self.rest.p
        self.ema = [p.detach().clone() for p in self.p]

    @staticmethod
    def orthogonalize(u):
        O = u / u.norm().clamp(min=1e-7)
        for _ in range(5):
            A = O @ O.T
            O = 3.4445 * O + (-4.7750 * A + 2.0315 * A @ A) @ O
        return O

    @torch.no_grad()
    def step(self):
        self.rest.step()
        for p, m in zip(self.matrices, self.m):
            m.lerp_(p.grad, 1 - self.momentum)
            u = p.grad.lerp(m, self.momentum).flatten(1)
            p -= self.rate * math.sqrt(max(u.shape)) * self.orthogonalize(u).view_as(p)
        for p, e in zip(self.p, self.ema):
            e.lerp_(p, 1 - self.decay)


def check_muon():
    """Two steps of torch.optim.Muon, which multiplies in bfloat16."""
    p, grads, m = torch.zeros(12, 20), torch.randn(2, 12, 20), torch.zeros(12, 20)
    own = torch.zeros(12, 20)
    theirs = torch.nn.Parameter(p)
    opt = torch.optim.Muon([theirs], lr=0.1, weight_decay=0, momentum=0.95, nesterov=True, adjust_lr_fn="match_rms_adamw")
    for g in grads:
        theirs.grad = g.clone()
        opt.step()
        m.lerp_(g, 0.05)
        own -= 0.1 * 0.2 * math.sqrt(20) * Muon.orthogonalize(g.lerp(m, 0.95))
    off = ((theirs - own).abs().max() / own.abs().max()).item()
    assert off < 0.03, f"torch.optim.Muon is off by {off:.3g} of the largest"


def muon(peer):
    check_muon()
    return train(peer, lambda flow: Muon(peer, flow))


def glow_adamax(peer, flow):
    opt = peer.GlowAdamax(flow.parameters())
    opt.t = opt.t.double()  # the peer counts steps in single precision
    return opt


def train(peer, optimizer, K=9, C=3, steps=2, width=8, size=(2, 2), N=4, count=20):
    flow = make_flow(peer, K, C, steps, width)
    opt = optimizer(flow)
    x, cond = 0.7 * torch.randn(count, N, K, *size), torch.rand(count, N, C, *size) - 0.5
    out = dict(x=x.permute(0, 1, 3, 4, 2).contiguous(), cond=cond.permute(0, 1, 3, 4, 2).contiguous(),
               params=flatten(flow, size, value))
    losses = []
    for i in range(count):
        flow.zero_grad()
        loss = peer.bpd_loss(flow, x[i], cond[i]).mean()
        loss.backward()
        opt.step()
        losses.append(loss.detach())
    averages = dict(zip(opt.p, opt.ema))
    out.update(loss=torch.stack(losses), params_after=flatten(flow, size, value),
               ema_after=flatten(flow, size, lambda p: averages[p]))
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", default="../shared/peers/peer_torch.py")
    parser.add_argument("--out", default=os.path.dirname(os.path.abspath(__file__)))
    args = parser.parse_args()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)  # one order of summation: the files are the same bytes on every run
    torch.manual_seed(1)
    peer = load_peer(args.peer)
    base, detail = dict(K=3, C=0), dict(K=9, C=3)
    cases = {
        "level-base-1x1": lambda: level(peer, **base, steps=3, width=16, size=(1, 1)),
        "level-1x1": lambda: level(peer, **detail, steps=3, width=16, size=(1, 1)),
        "level-2x2": lambda: level(peer, **detail, steps=3, width=8, size=(2, 2)),
        "level-4x4": lambda: level(peer, **detail, steps=3, width=16, size=(4, 4)),
        "level-3x5": lambda: level(peer, **detail, steps=3, width=8, size=(3, 5)),
        "level-lu-2x2": lambda: level(peer, **detail, steps=2, width=8, size=(2, 2), lu=True),
        "pyramid": lambda: pyramid(peer),
        "adamax": lambda: train(peer, lambda flow: glow_adamax(peer, flow)),
        "level-ar-3x4": autoregressive,
        "muon": lambda: muon(peer),
    }
    for name, make in cases.items():
        tensors = {k: v.detach().clone().contiguous() for k, v in make().items()}
        save_file(tensors, os.path.join(args.out, name + ".safetensors"), metadata={"format": "wavelet-flow/golden"})


if __name__ == "__main__":
    main()
