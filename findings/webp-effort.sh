#!/usr/bin/env bash
# libwebp 1.6.0 (inside Pillow 13.0.0, PyPI): does more effort make lossless files of small pictures smaller?
#
# Guess: files never grow on average with effort (method and quality as the levels of cwebp -z), whatever the pictures' size.
# Seen: on 120 tiles of 16x16 the highest effort is 12 % smaller than the middle one. On 34 of 32x32, the size of CIFAR-10 pictures,
# it is 1.3 % larger, and on 7 of 64x64 no smaller. So a comparison with "WebP at its best" on such sets has to try more than -z 9. The
# cwebp of Debian 12 (libwebp 1.2.4) behaves alike: on 100 CIFAR-10 originals -z 3 makes 172,352 bytes, -z 6 173,350, -z 9 176,918.
#
# The tiles are three photographs of scikit-image, reduced fourfold. Exits 0 while that is so, 1 when it has changed.
set -eu
export LC_ALL=C
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip --disable-pip-version-check -q install pillow==13.0.0 scikit-image==0.26.0
cat > efforts.py << 'PY'
import io
import os
import sys

import skimage
from PIL import Image, features

LEVELS = {"-z 0": (0, 0), "-z 3": (3, 30), "-z 6": (4, 75), "-z 9": (6, 100)}  # method, quality
folder = os.path.join(os.path.dirname(skimage.__file__), "data")


def tiles(side):
    for name in ("astronaut", "coffee", "chelsea"):
        photo = Image.open(f"{folder}/{name}.png").convert("RGB").reduce(4)
        for y in range(0, photo.height - side + 1, side):
            for x in range(0, photo.width - side + 1, side):
                yield photo.crop((x, y, x + side, y + side))


def size(pictures, level):
    total = 0
    for picture in pictures:
        file = io.BytesIO()
        picture.save(file, "WEBP", lossless=True, exact=True, method=LEVELS[level][0], quality=LEVELS[level][1])
        total += file.tell()
    return total


print("libwebp", features.version("webp"))
grows = {}
for side in (16, 32, 64):
    pictures = list(tiles(side))[:120]
    sizes = {level: size(pictures, level) for level in LEVELS}
    print(f"{len(pictures)} tiles of {side}x{side}:", sizes)
    grows[side] = sizes["-z 9"] / sizes["-z 6"] - 1
sys.exit(not (grows[16] < -0.1 and 0.01 < grows[32] < 0.02 and 0 < grows[64] < 0.01))
PY
env/bin/python efforts.py
