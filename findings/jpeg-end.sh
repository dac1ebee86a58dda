#!/usr/bin/env bash
# Pillow 13.0.0, OpenCV 5.0.0.93, libvips 8.18.7 (pyvips 3.2.0), djpeg 2.1.5 (Debian 12, libjpeg-turbo-progs): a JPEG that lacks only
# its last marker, EOI, one that lacks a third of its samples, and a lossless one.
#
# Guess: without EOI all give the picture, whose samples are all there, as libjpeg only warns of it; with samples missing Pillow and
# OpenCV refuse; a lossless JPEG none reads; and OpenCV's imread and imdecode read the same files.
# Seen: Pillow and imdecode refuse both damaged files, the one without EOI, too. imread, libvips and djpeg give both, grey where
# samples are missing, and imread says nothing of it. A lossless JPEG all read but djpeg: the wheels have libjpeg-turbo 3.
# So whether OpenCV notices that a picture is cut off depends on who opens the file.
#
# Exits 0 while that is so, 1 when it has changed.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download -qq libjpeg-turbo-progs=1:2.1.5-2 libjpeg62-turbo=1:2.1.5-2
for deb in *.deb; do dpkg -x "$deb" root; done
python3 -m venv venv
venv/bin/pip -q install pillow==13.0.0 opencv-python-headless==5.0.0.93 numpy==2.4.6 pyvips==3.2.0 pyvips-binary==8.18.7 \
    imagecodecs==2026.3.6
cat > ends.py <<'END'
import io, os, subprocess
import cv2, imagecodecs, numpy as np, pyvips
from PIL import Image

y, x = np.mgrid[:24, :40]
a = np.stack([x * 6, y * 10, x + y], -1).astype("u1")
file = io.BytesIO()
Image.fromarray(a).save(file, "JPEG", quality=90)
whole = file.getvalue()
lossless = imagecodecs.jpeg8_encode(a, lossless=True, predictor=1)
lib = "root/usr/lib/x86_64-linux-gnu"


def pillow(name):
    try:
        return np.array(Image.open(name))
    except OSError:
        return None


def imread(name):
    b = cv2.imread(name)
    return b if b is None else b[:, :, ::-1]


def imdecode(name):
    b = cv2.imdecode(np.fromfile(name, "u1"), cv2.IMREAD_COLOR)
    return b if b is None else b[:, :, ::-1]


def vips(name):
    try:
        return pyvips.Image.new_from_file(name).numpy()
    except pyvips.Error:
        return None


def djpeg(name):
    done = subprocess.run(["root/usr/bin/djpeg", "-pnm", name], capture_output=True, env={**os.environ, "LD_LIBRARY_PATH": lib})
    return np.array(Image.open(io.BytesIO(done.stdout))) if done.stdout else None


plain = np.array(Image.open(io.BytesIO(whole)))
for what, data, want in ("end", whole[:-2], plain), ("third", whole[:-(len(whole) - 600) // 3], plain), ("lossless", lossless, a):
    open(what, "wb").write(data)
    for reader in pillow, imread, imdecode, vips, djpeg:
        seen = reader(what)
        print(what, reader.__name__, "refused" if seen is None else "every pixel" if np.array_equal(seen, want) else "other pixels")
END
venv/bin/python ends.py 2> /dev/null | tee seen
diff seen - <<'END'
end pillow refused
end imread every pixel
end imdecode refused
end vips every pixel
end djpeg every pixel
third pillow refused
third imread other pixels
third imdecode refused
third vips other pixels
third djpeg other pixels
lossless pillow every pixel
lossless imread every pixel
lossless imdecode every pixel
lossless vips every pixel
lossless djpeg refused
END
