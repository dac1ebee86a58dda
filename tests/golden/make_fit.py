#!/usr/bin/env python3
"""Golden pictures made smaller by OpenCV (INTER_AREA) and Pillow (ImageOps.fit with BOX), for `wf-dwt --fit`.
Needs numpy, safetensors, opencv-python-headless (5.0.0) and Pillow (13.0.0).

    tests/golden/make_fit.py tests/golden/fit.safetensors

Tensors are [H,W,3], named SOFTWARE-hxw-HxW: made of the picture [h,w,3] with samples (37 i i + 101 j + 53 i j + 11 j j + 77 c) mod
256. OpenCV is given the part that --fit keeps, whole pixels in all cases here. Pillow's BOX counts whole pixels by their centres,
so that it averages areas only at whole factors.
"""
import sys

import cv2
import numpy
from PIL import Image, ImageOps
from safetensors.numpy import save_file

OPENCV = [(64, 64, 24, 24), (60, 82, 16, 16), (65, 39, 20, 12), (52, 70, 8, 8), (41, 77, 29, 29), (25, 25, 24, 24)]
PILLOW = [(64, 64, 16, 16), (48, 80, 16, 16), (60, 36, 12, 12), (90, 33, 22, 11)]


def picture(h, w):
    i, j, c = numpy.ogrid[:h, :w, :3]
    return ((37 * i * i + 101 * j + 53 * i * j + 11 * j * j + 77 * c) % 256).astype(numpy.uint8)


tensors = {}
for h, w, H, W in OPENCV:
    rows, columns = min(h * W, w * H) / W, min(h * W, w * H) / H
    if rows % 1 or columns % 1 or (h - rows) % 2 or (w - columns) % 2:
        sys.exit(f"{h}x{w} to {H}x{W} keeps {rows}x{columns}, want whole pixels and the same rest on both sides")
    top, left = int(h - rows) // 2, int(w - columns) // 2
    part = picture(h, w)[top : h - top, left : w - left]
    tensors[f"opencv-{h}x{w}-{H}x{W}"] = cv2.resize(part, (W, H), interpolation=cv2.INTER_AREA)
for h, w, H, W in PILLOW:
    tensors[f"pillow-{h}x{w}-{H}x{W}"] = numpy.asarray(ImageOps.fit(Image.fromarray(picture(h, w)), (W, H), Image.BOX))
save_file({k: v.astype(numpy.float32) for k, v in tensors.items()}, sys.argv[1])
