#!/usr/bin/env bash
# Pillow 13.0.0, OpenCV 5.0.0.93, libvips 8.18.7 (pyvips 3.2.0): which pictures they turn upright.
#
# Guess: a picture whose orientation is noted in a standard place is turned alike by Pillow's exif_transpose, OpenCV's imread and
# libvips' autorot, which all say that they apply EXIF.
# Seen: all three agree on a plain EXIF tag in JPEG and PNG. Beyond it they differ:
#     a JPEG or PNG with the orientation in XMP alone     Pillow turns it, OpenCV and libvips do not
#     a PNG with EXIF in text ("Raw profile type exif")   Pillow turns it, OpenCV and libvips do not
#     a PNG with eXIf behind the pixels, as allowed       Pillow and OpenCV turn it, libvips does not
#     EXIF that begins with "Exif\0\0" in PNG's eXIf      Pillow turns it, OpenCV and libvips do not
# So two programs that "apply EXIF" read different pixels, and a data set prepared by one is not that of another.
#
# Exits 0 while that is so, 1 when it has changed.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q install pillow==13.0.0 opencv-python-headless==5.0.0.93 numpy==2.4.6 pyvips==3.2.0 pyvips-binary==8.18.7
cat > turned.py <<'END'
import io, struct, warnings, zlib
import cv2, pyvips
from PIL import Image, ImageOps, PngImagePlugin

warnings.simplefilter("ignore")
picture = Image.new("RGB", (16, 8))
EXIF = b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHH", 0x112, 3, 1, 6, 0) + bytes(4)
XMP = ('<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="r"><rdf:Description '
       'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>')


def encoded(kind, **more):
    file = io.BytesIO()
    picture.save(file, kind, **more)
    return file.getvalue()


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def marker(data):
    return b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data


def text(key, value, **more):
    info = PngImagePlugin.PngInfo()
    (info.add_text if more else info.add_itxt)(key, value, **more)
    return encoded("PNG", pnginfo=info)


jpeg, png = encoded("JPEG"), encoded("PNG")
named = b"Exif\0\0" + EXIF
files = {
    "exif.jpg": jpeg[:2] + marker(named) + jpeg[2:],
    "exif.png": png[:33] + chunk(b"eXIf", EXIF) + png[33:],
    "xmp.jpg": jpeg[:2] + marker(b"http://ns.adobe.com/xap/1.0/\0" + XMP.encode()) + jpeg[2:],
    "xmp.png": text("XML:com.adobe.xmp", XMP),
    "text.png": text("Raw profile type exif", "\nexif\n%8d\n%s\n" % (len(named), named.hex()), zip=True),
    "behind.png": png[:-12] + chunk(b"eXIf", EXIF) + png[-12:],
    "named.png": png[:33] + chunk(b"eXIf", named) + png[33:],
}
for name, data in files.items():
    open(name, "wb").write(data)
    widths = (ImageOps.exif_transpose(Image.open(name)).width, cv2.imread(name).shape[1],
              pyvips.Image.new_from_file(name).autorot().width)
    print(name, "".join("yes " if w == 8 else "no " for w in widths).strip())
END
venv/bin/python turned.py 2> /dev/null | tee seen
diff seen - <<'END'
exif.jpg yes yes yes
exif.png yes yes yes
xmp.jpg yes no no
xmp.png yes no no
text.png yes no no
behind.png yes yes no
named.png yes no no
END
