#!/usr/bin/env python3
"""peer_jobs.py - whole jobs of bench_jobs.py, as one would write them in Python: Pillow, NumPy and PyWavelets; PyTorch

    peer_jobs.py store FOLDER OUT.npz       Haar coefficients of all levels of a folder's pictures, as integers
    peer_jobs.py bpd MODEL PICTURES.npy     bits/dim of pictures [N,H,W,C] under a model, with uniform noise
    peer_jobs.py samples MODEL N OUT.png    N samples as one picture

The model is a folder of wf-train-level or wf-export; ../../tools/wavelet_flow.py reads it. PyTorch's own random numbers are used.
"""
import math, os, sys

import numpy as np

BATCH = 100  # what memory does not grow with


def store(folder, out):
    import pywt
    from PIL import Image
    levels = []
    for name in sorted(os.listdir(folder)):
        with Image.open(os.path.join(folder, name)) as picture:
            x = np.asarray(picture, np.float64)
        coefficients = pywt.wavedec2(x, 'haar', axes=(0, 1))
        for level, c in enumerate(coefficients):  # Haar coefficients times powers of two are whole numbers
            scale = 2 ** (len(coefficients) - max(1, level))
            c = np.rint(scale * (c if level == 0 else np.stack(c, -1))).astype(np.int32)
            levels.append([]) if level == len(levels) else None
            levels[level].append(c)
    np.savez(out, **{f'level{i}': np.stack(c) for i, c in enumerate(levels)})


def load(model):
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../tools'))
    import torch
    import wavelet_flow
    return torch, wavelet_flow.load(model)


def bpd(model, pictures):
    torch, model = load(model)
    images = np.load(pictures, mmap_mode='r')
    total = 0.0
    with torch.inference_mode():
        for first in range(0, len(images), BATCH):
            x = torch.from_numpy(images[first:first + BATCH].astype(np.float32))
            total += float(model.bits_per_dim(x + torch.rand_like(x) - 0.5, noise=False).sum())
    print(f'{total / len(images):.4f}')


def samples(model, n, out):
    from PIL import Image
    torch, model = load(model)
    n, columns = int(n), math.ceil(math.sqrt(int(n)))
    H, W, C = model.meta.shape
    grid = np.zeros((math.ceil(n / columns) * H, columns * W, C), np.uint8)
    with torch.inference_mode():
        for first in range(0, n, BATCH):
            count = min(BATCH, n - first)
            latents = [torch.randn(count, *model.meta.detail_shape(l)) for l in range(model.meta.levels + 1)]
            for i, x in enumerate(model.decode(latents).round().clamp(0, 255).byte().numpy(), first):
                row, column = divmod(i, columns)
                grid[row * H:(row + 1) * H, column * W:(column + 1) * W] = x
    Image.fromarray(grid).save(out)


if __name__ == '__main__':
    {'store': store, 'bpd': bpd, 'samples': samples}[sys.argv[1]](*sys.argv[2:])
