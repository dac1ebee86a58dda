#!/usr/bin/env python3
"""Golden coefficients of every row of lib/pyramid/wavelet.h, from PyWavelets, and with --taps the rows themselves.
Needs PyWavelets, safetensors and, for --taps, mpmath.

    tests/golden/make_wavelets.py tests/golden/wavelets.safetensors
    tests/golden/make_wavelets.py --taps db11

image [20,12]: numbers in [0,1); for each row NAME, of two halvings of it with mode "periodization", in the units and channels
of this library: low-NAME [5,3] after both (an average: each halving divides by 2), detail-1-NAME [5,3,3] and
detail-2-NAME [10,6,3]. Of one halving of sound [20], the first column, sound-low-NAME [10] and sound-detail-NAME [10]; of volume
[4,6,10], the same numbers in order, volume-low-NAME [2,3,5] and volume-detail-NAME [2,3,5,7]. PyWavelets names bands by the lines they show, this library by the axis along which they are high: its
horizontal is cV there.
"""
import argparse
import os
import re

import numpy
import pywt
from safetensors.numpy import save_file

HEADER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib", "pyramid", "wavelet.h")


def detail(bands, halvings):
    horizontal, vertical, diagonal = bands
    return numpy.stack([vertical, horizontal, diagonal], axis=-1) / 2 ** (halvings - 1)


def halved(signal, name):
    """Average and details of one halving, band by band: bit k of band + 1 says whether axis k, counted from the last, is high."""
    parts, axes = pywt.dwtn(signal, name, mode="periodization"), signal.ndim
    keys = ["".join("d" if band >> (axes - 1 - k) & 1 else "a" for k in range(axes)) for band in range(2**axes)]
    return parts[keys[0]] / 2 ** (axes / 2), numpy.stack([parts[key] for key in keys[1:]], axis=-1)


def golden():
    i, j = numpy.arange(20)[:, None], numpy.arange(12)[None, :]
    image = (37 * i * i + 101 * j + 53 * i * j + 11 * j * j) % 256 / 256.0
    tensors = {"image": image}
    for name in re.findall(r"X\((\w+),", open(HEADER).read().split("#define WF_WAVELETS(X)")[1]):
        once, bands2 = pywt.dwt2(image, name, mode="periodization")
        twice, bands1 = pywt.dwt2(once, name, mode="periodization")
        tensors["low-" + name] = twice / 4
        tensors["detail-1-" + name] = detail(bands1, 2)
        tensors["detail-2-" + name] = detail(bands2, 1)
        for what, signal in ("sound", image[:, 0]), ("volume", image.reshape(4, 6, 10)):
            tensors[f"{what}-low-{name}"], tensors[f"{what}-detail-{name}"] = halved(signal, name)
    return {name: numpy.ascontiguousarray(values) for name, values in tensors.items()}


def taps(name):
    """The low-pass of PyWavelets, refined by Newton's method until its defining equations hold to 45 digits."""
    from mpmath import matrix, mp, mpf, nint, qr_solve, sqrt

    mp.dps = 60
    h = [mpf(t) for t in pywt.Wavelet(name).rec_lo]
    n = len(h)
    coiflet = name.startswith("coif")
    wavelet_moments, scaling_moments = (n // 3, n // 3) if coiflet else (n // 2, 1)
    center = nint(sum(k * t for k, t in enumerate(h)) / sqrt(2))

    def power(k, m):
        return ((k - center) / n) ** m

    linear = [([(-1) ** k * power(k, m) for k in range(n)], 0) for m in range(wavelet_moments)]
    linear += [([power(k, m) for k in range(n)], sqrt(2) if m == 0 else 0) for m in range(scaling_moments)]
    change = [1]
    while max(abs(c) for c in change) > mpf(10) ** -45:
        rows, errors = [list(row) for row, _ in linear], [value - sum(map(mp.fmul, row, h)) for row, value in linear]
        for shift in range(0, n, 2):
            row = [mpf(0)] * n
            for k in range(n - shift):
                row[k] += h[k + shift]
                row[k + shift] += h[k]
            rows.append(row)
            errors.append((shift == 0) - sum(h[k] * h[k + shift] for k in range(n - shift)))
        change, _ = qr_solve(matrix(rows), matrix(errors))
        h = [t + c for t, c in zip(h, change)]
    return ", ".join(mp.nstr(t, 20, strip_zeros=False, min_fixed=-30, max_fixed=30) for t in h)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--taps", metavar="NAME")
    arguments.add_argument("file", nargs="?")
    options = arguments.parse_args()
    if options.taps:
        print(f"X({options.taps}, {taps(options.taps)})")
    if options.file:
        save_file(golden(), options.file, metadata={"format": "wavelet-flow/golden"})


main()
