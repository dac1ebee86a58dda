#!/usr/bin/env bash
# Pillow 13.0.0: files of several JPEGs (MPO) that it writes.
#
# Guess: an MPO of any number of pictures, written by Pillow, lists their sizes and places (CIPA DC-007, 5.2.3), and Pillow reads all.
# Seen: of the third picture the listed size is wrong, by the size of those before the second; of the fourth and fifth the places are
# wrong, too. Pillow itself then reads the first three: at the fourth it says "not a JPEG file".
# So a reader of a stream cannot pass over the further pictures by their listed sizes.
#
# Exits 0 while that is so, 1 when it has changed.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q install pillow==13.0.0
cat > mpo.py <<'END'
import io, struct
from PIL import Image

pictures = [Image.new("RGB", (16 + 8 * i, 8), (60 * i, 0, 0)) for i in range(5)]
file = io.BytesIO()
pictures[0].save(file, "MPO", save_all=True, append_images=pictures[1:])
b = file.getvalue()
starts = [i for i in range(len(b)) if b[i:i + 3] == b"\xff\xd8\xff"] + [len(b)]
table = b.index(b"MPF\0") + 4
rows = table + struct.unpack("<I", b[table + 42:table + 46])[0]  # where the third entry of the directory says
read = Image.open(io.BytesIO(b))
for i in range(5):
    size, place = struct.unpack("<II", b[rows + 16 * i + 4:rows + 16 * i + 12])
    place += table if i else 0
    try:
        read.seek(i)
        read.load()
        seen = "read"
    except (SyntaxError, ValueError):
        seen = "lost"
    print(i + 1, "size", "right" if size == starts[i + 1] - starts[i] else "wrong",
          "place", "right" if place == starts[i] else "wrong", seen)
END
venv/bin/python mpo.py | tee seen
diff seen - <<'END'
1 size right place right read
2 size right place right read
3 size wrong place right read
4 size wrong place wrong lost
5 size wrong place wrong lost
END
