"""foreign.py - streams and stores as wf-stream(5) describes them, written and read without a line of the programs'

    foreign.py write-stream OUT         three pictures of 8x8 and RGB
    foreign.py write-store FOLDER       thirteen pictures of 136x72 and RGB, with indices that have gaps
    foreign.py read-stream IN PIXELS    checks the end record, and that the pixels (raw bytes) come back
    foreign.py read-store FOLDER PIXELS the same of a store
    foreign.py pixels-of WHAT           the raw bytes of the pictures that write-stream or write-store made

Needs numpy, lmdb and xxhash; safetensors, where present, parses the records. Prints what is wrong and exits with 1.
"""
import json, os, struct, sys
import lmdb, numpy as np, xxhash

try:
    from safetensors.numpy import load
except ImportError:
    load = None

FORMAT = 'wavelet-flow/1'
TILE = 64


def pictures(what):
    N, H, W, bits = (3, 8, 8, 8) if what == 'stream' else (13, 136, 72, 8)
    random = np.random.default_rng(7)
    smooth = random.integers(0, 200, (N, H // 8, W // 8, 3)).repeat(8, 1).repeat(8, 2)
    return (smooth + random.integers(0, 50, (N, H, W, 3))).astype(np.uint8)


def split(pixels, levels):
    """[(low, detail)] for levels 0 to `levels`, by Haar; detail is None at level 0."""
    x, out = pixels.astype(np.float32), []
    for _ in range(levels):
        p, q, r, s = x[:, ::2, ::2], x[:, ::2, 1::2], x[:, 1::2, ::2], x[:, 1::2, 1::2]
        bands = [p - q + r - s, p + q - r - s, p - q - r + s]
        detail = np.stack(bands, -1).reshape(*p.shape[:3], -1) / 2
        x = (p + q + r + s) / 4
        out.insert(0, (x, detail))
    return [(x, None)] + out


def join(low, detail):
    """I(L) from the pair of level L."""
    N, h, w, C = low.shape
    a, b, c = np.moveaxis(detail.reshape(N, h, w, C, 3) / 2, -1, 0)
    out = np.empty((N, 2 * h, 2 * w, C), np.float32)
    out[:, ::2, ::2], out[:, ::2, 1::2] = low + a + b + c, low - a + b - c
    out[:, 1::2, ::2], out[:, 1::2, 1::2] = low + a - b - c, low - a - b + c
    return out


def metadata(pixels, levels):
    return {'format': FORMAT, 'wavelet': 'haar', 'levels': str(levels), 'top': str(levels),
            'shape': 'x'.join(map(str, pixels.shape[1:])), 'bits': '8', 'provenance': '[]'}


def expect(what, have, want):
    if have != want:
        sys.exit(f'{what}: {have}, want {want}')


# -- streams -----------------------------------------------------------------------------------------------------------


def record(tensors, meta):
    header, data = {'__metadata__': meta}, b''
    for name, values in tensors.items():
        kind = {'uint64': 'U64', 'float32': 'F32'}[values.dtype.name]
        end = len(data) + values.nbytes
        header[name] = {'dtype': kind, 'shape': list(values.shape), 'data_offsets': [len(data), end]}
        data += values.tobytes()
    text = json.dumps(header).encode()
    return struct.pack('<Q', len(text)) + text + data


def write_stream(path):
    pixels, levels, bytes_, count = pictures('stream'), 3, b'', 0
    for first, N in (0, 2), (2, 1):  # two batches
        for level, (low, detail) in enumerate(split(pixels[first:first + N], levels)):
            tensors = {'index': np.arange(first, first + N, dtype=np.uint64), 'low': low}
            if detail is not None:
                tensors['detail'] = detail
            bytes_ += record(tensors, {**metadata(pixels, levels), 'level': str(level)})
            count += 1
    end = {'format': FORMAT, 'end': str(count), 'hash': xxhash.xxh3_64_hexdigest(bytes_)}
    with open(path, 'wb') as file:
        file.write(bytes_ + record({}, end))


def parse(header, data):
    kinds = {'U64': '<u8', 'F32': '<f4'}
    return {name: np.frombuffer(data[slice(*t['data_offsets'])], kinds[t['dtype']]).reshape(t['shape'])
            for name, t in header.items()}


def read_stream(path, pixels):
    with open(path, 'rb') as file:
        bytes_ = file.read()
    at, count, out = 0, 0, {}
    while True:
        length, = struct.unpack_from('<Q', bytes_, at)
        header = json.loads(bytes_[at + 8:at + 8 + length])
        meta = header.pop('__metadata__')
        if 'end' in meta:
            break
        end = at + 8 + length + max(t['data_offsets'][1] for t in header.values())
        tensors = load(bytes_[at:end]) if load else parse(header, bytes_[at + 8 + length:end])
        levels = int(meta['levels'])
        if int(meta['level']) == levels:
            for i, picture in zip(tensors['index'], join(tensors['low'], tensors['detail'])):
                out[int(i)] = picture
        at, count = end, count + 1
    expect('records', meta['end'], str(count))
    expect('hash', meta['hash'], xxhash.xxh3_64_hexdigest(bytes_[:at]))
    expect('length of the stream', len(bytes_), at + 8 + length)
    check_pixels(out, pixels)


def check_pixels(out, pixels):
    expect('indices', sorted(out), list(range(len(out))))
    have = np.rint(np.stack([out[i] for i in range(len(out))])).astype(np.uint8)
    expect('pixels are the same', have.tobytes() == pixels, True)


# -- stores ------------------------------------------------------------------------------------------------------------


def tiles(h, w):
    """(number, rows, columns) of each tile of a level."""
    places = [(y, x) for y in range(0, h, TILE) for x in range(0, w, TILE)]
    return [(i, slice(y, min(h, y + TILE)), slice(x, min(w, x + TILE))) for i, (y, x) in enumerate(places)]


def seed_of(index, level, number):
    return xxhash.xxh3_64_intdigest(struct.pack('<QQ', index, level + 256 * number))


def encode(level, index, low, detail):
    """The value of one picture, and the sum of its tiles' checksums."""
    halves = all(np.array_equal(x.astype(np.float16).astype(np.float32), x) for x in (low, detail) if x is not None)
    kind = np.float16 if halves else np.float32
    value, total = struct.pack('<B7x', 1 if halves else 2), 0
    for number, rows, columns in tiles(*low.shape[:2]):
        part = b''.join(x[rows, columns].astype(kind).tobytes() for x in (low, detail) if x is not None)
        checksum = xxhash.xxh3_64_intdigest(part if number else value + part, seed_of(index, level, number))
        value += part + struct.pack('<Q', checksum)
        total += checksum
    return value, total


def state_hash(state):
    fields = 'wavelet', 'levels', 'top', 'shape', 'bits', 'mask', 'count', 'content'
    return xxhash.xxh3_64_hexdigest(' '.join(state[field] for field in fields).encode())


def write_store(folder):
    pixels, levels, content = pictures('store'), 3, 0
    environment = lmdb.open(folder, map_size=1 << 28, max_dbs=17)
    pyramid = split(pixels, levels)
    with environment.begin(write=True) as txn:
        for level, (low, detail) in enumerate(pyramid):
            database = environment.open_db(b'level-%02d' % level, txn)
            for i in range(len(pixels)):
                value, checksum = encode(level, 10 * i, low[i], None if detail is None else detail[i])
                content += checksum
                txn.put(struct.pack('>Q', 10 * i), value, db=database)
        state = {**metadata(pixels, levels), 'mask': str(2 ** (levels + 1) - 1), 'count': str(len(pixels)),
                 'content': '%016x' % (content % 2 ** 64)}
        state['hash'] = state_hash(state)
        text = json.dumps(state).encode()
        value = struct.pack('<Q', xxhash.xxh3_64_intdigest(text)) + text
        txn.put(b'state', value)
        txn.put(b'sealed', value)
    environment.close()


def decode(level, index, value, shape):
    h, w, C = shape
    kind = {1: np.dtype('<f2'), 2: np.dtype('<f4')}[value[0]]
    out = np.empty((h, w, 4 * C if level else C), np.float32)
    at, total = 8, 0
    for number, rows, columns in tiles(h, w):
        begin = at if number else 0
        part = out[rows, columns]
        for channels in (slice(0, C), slice(C, 4 * C)) if level else (slice(0, C),):
            n = part[..., channels].size
            part[..., channels] = np.frombuffer(value, kind, n, at).reshape(part[..., channels].shape)
            at += n * kind.itemsize
        checksum = xxhash.xxh3_64_intdigest(value[begin:at], seed_of(index, level, number))
        expect(f'checksum of level {level}, picture {index}, tile {number}', struct.unpack_from('<Q', value, at)[0],
               checksum)
        at, total = at + 8, total + checksum
    expect('length of a value', len(value), at)
    return out, total


def read_store(folder, pixels):
    environment = lmdb.open(folder, readonly=True, lock=False, max_dbs=17)
    content, out = 0, {}
    with environment.begin() as txn:
        value = txn.get(b'sealed')
        expect('checksum of the state', struct.unpack('<Q', value[:8])[0], xxhash.xxh3_64_intdigest(value[8:]))
        state = json.loads(value[8:])
        levels, mask = int(state['levels']), int(state['mask'])
        H, W, C = map(int, state['shape'].split('x'))
        for level in (level for level in range(levels + 1) if mask >> level & 1):
            halvings = levels - level + 1 if level else levels
            shape = H >> halvings, W >> halvings, C
            for key, value in txn.cursor(environment.open_db(b'level-%02d' % level, txn, create=False)):
                index, = struct.unpack('>Q', key)
                both, checksum = decode(level, index, value, shape)
                content += checksum
                if level == levels:
                    out[index] = join(both[None, ..., :C], both[None, ..., C:])[0]
    expect('content', state['content'], '%016x' % (content % 2 ** 64))
    expect('hash', state['hash'], state_hash(state))
    expect('count', state['count'], str(len(out)))
    check_pixels(out, pixels)


def main():
    command, path = sys.argv[1:3]
    if command == 'pixels-of':
        os.write(1, pictures(path).tobytes())
    elif command.startswith('write'):
        (write_stream if command == 'write-stream' else write_store)(path)
    else:
        with open(sys.argv[3], 'rb') as file:
            (read_stream if command == 'read-stream' else read_store)(path, file.read())


if __name__ == '__main__':
    main()
