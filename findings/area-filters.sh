#!/usr/bin/env bash
# Pillow 13.0.0, OpenCV 5.0.0.93, libvips 8.18.7 (pyvips 3.2.0): their filters that average over areas.
#
# Guess: Pillow's BOX, OpenCV's INTER_AREA and libvips' shrink ("by block averaging") give the mean of the area that a target pixel
# covers, at any ratio, but for rounding.
# Seen: at whole ratios all three do. At others only INTER_AREA does. Pillow and libvips are off by tens of 255 levels on noise, as
# they take whole source pixels: a pixel on the edge of two areas counts for one of them, or for both.
# So "area" in three libraries is three different data sets, unless sizes divide.
#
# Exits 0 while that is so, 1 when it has changed.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q install pillow==13.0.0 opencv-python-headless==5.0.0.93 numpy==2.4.6 pyvips==3.2.0 pyvips-binary==8.18.7
cat > areas.py <<'END'
import cv2, numpy as np, pyvips
from PIL import Image


def weights(n, N):
    """Part of target pixel i, one of N, that pixel k of n fills."""
    low, high = np.arange(N)[:, None] * n / N, (np.arange(N)[:, None] + 1) * n / N
    k = np.arange(n)[None]
    return np.clip(np.minimum(high, k + 1) - np.maximum(low, k), 0, None) * N / n


random = np.random.default_rng(1)
for h, w, H, W in (64, 48, 16, 16), (96, 96, 32, 32), (33, 40, 16, 16), (100, 75, 32, 32), (37, 50, 8, 8):
    a = random.integers(0, 256, (h, w, 3)).astype("u1")
    mean = np.einsum("ik,klc,jl->ijc", weights(h, H), a.astype(float), weights(w, W))
    results = {"Pillow": np.array(Image.fromarray(a).resize((W, H), Image.BOX)),
               "OpenCV": cv2.resize(a, (W, H), interpolation=cv2.INTER_AREA),
               "libvips": pyvips.Image.new_from_array(a).shrink(w / W, h / H).numpy()[:H, :W]}
    off = {name: np.abs(result - mean).max() for name, result in results.items()}
    print(f"{h}x{w} to {H}x{W}:", *(f"{name} {'mean' if d <= 1.5 else 'off by tens' if d >= 10 else 'off'}" for name, d in off.items()))
END
venv/bin/python areas.py 2> /dev/null | tee seen
diff seen - <<'END'
64x48 to 16x16: Pillow mean OpenCV mean libvips mean
96x96 to 32x32: Pillow mean OpenCV mean libvips mean
33x40 to 16x16: Pillow off by tens OpenCV mean libvips off by tens
100x75 to 32x32: Pillow off by tens OpenCV mean libvips off by tens
37x50 to 8x8: Pillow off by tens OpenCV mean libvips off by tens
END
