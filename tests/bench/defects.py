#!/usr/bin/env python3
"""defects.py plant KIND SEED FOLDER < PPM: writes the pictures of a stream into a folder, each with a spoiled square of 6x6, and
where.txt with the squares' rows and columns. KIND: noise (of deviation 12 added), shuffled (the square's pixels in another order),
foreign (that square of the next picture), flat (the square's mean).

defects.py find FOLDER MAPS: prints the share of pictures whose square of most bits, in the maps of wf-score --map, lies within 3 rows and
columns of the spoiled one. Standard library only.
"""
import array, os, random, sys

SIDE = 6


def read_pictures(stream):
    """Gives (height, width, bytes) of each PPM that wf-idwt or deadleaves writes."""
    while stream.readline().strip() == b'P6':
        width, height = map(int, stream.readline().split())
        stream.readline()
        yield height, width, stream.read(height * width * 3)


def spoil(square, foreign, kind, rng):
    """square, foreign: lists of 36 pixels of three samples."""
    if kind == 'noise':
        return [[min(255, max(0, round(v + rng.gauss(0, 12)))) for v in pixel] for pixel in square]
    if kind == 'shuffled':
        return rng.sample(square, len(square))
    if kind == 'foreign':
        return foreign
    return [[round(sum(p[c] for p in square) / len(square)) for c in range(3)]] * len(square)


def plant(kind, seed, folder):
    rng, pictures = random.Random(int(seed)), list(read_pictures(sys.stdin.buffer))
    os.makedirs(folder)
    with open(os.path.join(folder, 'where.txt'), 'w') as where:
        for i, (height, width, data) in enumerate(pictures):
            y, x, spoiled = rng.randrange(height - SIDE), rng.randrange(width - SIDE), bytearray(data)
            places = [3 * ((y + r) * width + x + c) for r in range(SIDE) for c in range(SIDE)]
            other = pictures[(i + 1) % len(pictures)][2]
            square, foreign = ([list(d[p:p + 3]) for p in places] for d in (data, other))
            for p, pixel in zip(places, spoil(square, foreign, kind, rng)):
                spoiled[p:p + 3] = bytes(pixel)
            print(y, x, file=where)
            with open(os.path.join(folder, '%04d.ppm' % i), 'wb') as f:
                f.write(b'P6 %d %d 255\n' % (width, height) + spoiled)


def worst_square(path):
    """Row and column of the square with the largest sum."""
    with open(path, 'rb') as f:
        head = f.read(128).decode('latin-1')
        values = array.array('f', f.read())
    height, width = map(int, head[head.index('(') + 1:head.index(')')].split(','))
    return max((sum(sum(values[(y + r) * width + x:(y + r) * width + x + SIDE]) for r in range(SIDE)), y, x)
               for y in range(height - SIDE + 1) for x in range(width - SIDE + 1))[1:]


def find(folder, maps):
    hits = count = 0
    for i, line in enumerate(open(os.path.join(folder, 'where.txt'))):
        found = worst_square(os.path.join(maps, '%04d.map.npy' % i))
        hits += all(abs(a - int(b)) <= 3 for a, b in zip(found, line.split()))
        count += 1
    print('%.2f' % (hits / count))


if __name__ == '__main__':
    {'plant': plant, 'find': find}[sys.argv[1]](*sys.argv[2:])
