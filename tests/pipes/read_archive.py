#!/usr/bin/env python3
"""Unpacks an archive of wf-pack: read_archive.py MODEL FILE.wfp DIR

Writes NAME.pam, a binary PAM, for each picture of FILE.wfp below DIR, with the model in folder MODEL. At a wrong
checksum it prints one line on standard error and exits with 1; the pictures before that place are written.

Written from wf-archive(5) alone, without a look at the programs: a check that the page is complete, and that wf-pack
and wf-unpack do what it says. It unpacks a thousand numbers a second, and needs numpy and xxhash.
"""
import json
import os
import struct
import sys

import numpy as np
import xxhash

TOTAL = 1 << 24
BEGIN, END = bytes.fromhex("895746500D0A1A0A"), bytes.fromhex("0D0A5746501A0A89")


class Damage(Exception):
    pass


def need(right, what):
    if not right:
        raise Damage(what)


def u32(b, at=0):
    return int.from_bytes(b[at:at + 4], "little")


def u64(b, at=0):
    return int.from_bytes(b[at:at + 8], "little")


def xxh3(b, seed=0):
    return xxhash.xxh3_64_intdigest(b, seed)


# ---- exponentials and nets
def limit(x, lo, hi):
    return np.fmin(np.fmax(x, lo), hi)  # not a number becomes lo


def exp(x):
    x = limit(np.float64(x), -700, 700)
    n = np.rint(x * 1.4426950408889634)
    r = x - n * 6.93147180369123816490e-01
    r = r - n * 1.90821492927058770002e-10
    r2 = r * r
    r4 = r2 * r2
    p0 = (1 + r) + (1 / 2 + r * (1 / 6)) * r2
    p4 = (1 / 24 + r * (1 / 120)) + (1 / 720 + r * (1 / 5040)) * r2
    p8 = (1 / 40320 + r * (1 / 362880)) + (1 / 3628800 + r * (1 / 39916800)) * r2
    return np.ldexp((p0 + p4 * r4) + (p8 + (1 / 479001600 + r * (1 / 6227020800)) * r4) * (r4 * r4), n.astype(np.int32))


def relu(x):
    return np.fmax(x, np.float32(0))


def conv(t, a, x):
    """(sum + b) e^(3 l) of layer a"""
    w = t[a + ".w"]
    k = w.shape[1]
    padded = np.pad(x, ((k // 2, k // 2), (k // 2, k // 2), (0, 0)))
    y = np.zeros(x.shape[:2] + w.shape[:1], np.float32)
    for i, j, c in np.ndindex(w.shape[1:]):
        y += padded[i:i + x.shape[0], j:j + x.shape[1], c, None] * w[:, i, j, c]
    return (y + t[a + ".b"]) * exp(np.float32(3) * t[a + ".l"]).astype(np.float32)


def net(t, a, x):
    """the net whose layers are a + in, a + out and so on; those that there are tell its kind"""
    for layer in ("in", "middle", *map(str, range(16))):
        if a + layer + ".w" in t:
            x = relu(conv(t, a + layer, x))
        elif a + layer + ".a.w" in t:
            y, n = conv(t, a + layer + ".b", relu(conv(t, a + layer + ".a", x))), x.shape[2]
            if y.shape[2] > n:  # gated
                y = y[:, :, :n] * (1 / (1 + exp(-y[:, :, n:]))).astype(np.float32)
            x = relu(x + y)
    return conv(t, a + "out", x)


# ---- entropy coder
class Numbers:
    """the numbers of a code"""
    def __init__(self, code):
        n = 4 + len(code) % 4
        need(len(code) >= n and code[n - 1] > 0, "begin of the code")
        self.x, self.code, self.at = int.from_bytes(code[:n], "little"), code, n
        self.pop(0, TOTAL)

    def pop(self, c, end):
        """takes a number that has the slots from c to end; of all slots, it changes nothing"""
        need(c <= self.x % TOTAL < end, "frequency")
        self.x = (end - c) * (self.x // TOTAL) + self.x % TOTAL - c
        if self.x < 1 << 31:
            need(self.at + 4 <= len(self.code), "the code is too short")
            self.x = self.x << 32 | u32(self.code, self.at)
            self.at += 4

    def uniform(self, n):
        if n > 1 << 16:
            i = self.uniform(-(-n >> 16))
            return i << 16 | self.uniform(min(1 << 16, n - (i << 16)))
        i = self.x % TOTAL * n // TOTAL
        self.pop(-(-i * TOTAL // n), -(-(i + 1) * TOTAL // n))
        return i

    def number(self, n, F):
        """one of n cells; F(i) is the mixture at the begin of cells i, an array"""
        size = 1 << (n - 1 >> 20).bit_length()
        groups = -(-n // size)
        lo, hi, c, end = 0, groups, 0, TOTAL
        while hi - lo > 1:  # 63 places between lo and hi at once
            i = np.unique(np.maximum(lo + 1, lo + (hi - lo) * np.arange(1, 64) // 64))
            at = np.floor(F(i * size) * (TOTAL - groups)).astype(np.int64) + i
            k = int(np.searchsorted(at, self.x % TOTAL, "right"))
            if k > 0:
                lo, c = int(i[k - 1]), int(at[k - 1])
            if k < len(i):
                hi, end = int(i[k]), int(at[k])
        self.pop(c, end)
        return lo * size + self.uniform(min(size, n - lo * size))


# ---- levels
class Level:
    def __init__(self, folder, number):
        with open(os.path.join(folder, f"level-{number:02d}.safetensors"), "rb") as f:
            b = f.read()
        head, data = json.loads(b[8:8 + u64(b)]), b[8 + u64(b):]
        chain = head.pop("__metadata__")["chain"]
        self.t, weights = {}, b""
        for name in sorted((s for s in head if s.startswith("ema/")), key=lambda s: head[s]["data_offsets"]):
            part = data[slice(*head[name]["data_offsets"])]
            v = np.frombuffer(part, {"BF16": "<u2", "F16": "<f2", "F32": "<f4"}[head[name]["dtype"]])
            v = (v.astype("<u4") << 16).view("<f4") if v.dtype == "<u2" else v.astype("<f4")
            self.t[name[4:]] = v.reshape(head[name]["shape"])
            weights += v.tobytes()
        self.hash = struct.pack("<Q", xxh3(weights, xxh3(chain.encode())))
        self.conds = sorted({s[:9] for s in self.t if s[4:9] == "cond."})
        self.lattice = next(s[:12] for s in self.t if s[4:12] == "lattice.")

    def decode(self, numbers, outputs, pixels, band, cells, values, u, o):
        """decodes values at these pixels of a band; cells gives first, step and number of the possible ones of each"""
        C = values.shape[2]
        out = limit(np.float64(outputs), -1e6, 1e6).reshape(values.shape[:2] + (-1, C)).swapaxes(2, 3)
        K = (out.shape[3] - C + 1) // 3
        b, l = (np.float64(self.t[self.lattice + s][band * C:][:C]) for s in "bl")
        e = exp(out[..., :K] - out[..., :K].max(3)[..., None])
        weight = e / sum(e[..., i] for i in range(K))[..., None]
        mean = out[..., K:2 * K] + (2 * np.arange(K) + 1 - K) / K
        sharp = exp(1 - limit(out[..., 2 * K:3 * K], -7, 7))
        def t(x, c):
            return limit((x + b[c]) * exp(3 * l[c]), -1e30, 1e30)
        for y, x in pixels:
            before = []
            for c in range(C):
                first, step, n = cells(y, x, c)
                m = mean[y, x, c]
                for d in range(c):
                    m = m + out[y, x, c, 3 * K + d] * before[d]
                m = limit(m, -1e30, 1e30)

                def F(i):
                    begin = t((first - step / 2) * u + o + i * (step * u), c)
                    r = limit((begin[:, None] - m) * sharp[y, x, c], -600, 600)
                    parts = weight[y, x, c] * (1 / (1 + exp(-np.rint(r * 2.0**40) / 2.0**40)))
                    return sum(parts[:, k] for k in range(K))

                values[y, x, c] = first + step * numbers.number(n, F)
                before.append(t(values[y, x, c] * u + o, c))

    def base(self, numbers, shape, bits, k):
        S = np.zeros(shape, np.int64)
        outputs = net(self.t, self.lattice + "base.", np.zeros(shape[:2] + (1,), np.float32))
        cells = 0, 1, ((1 << bits) - 1 << 2 * k) + 1
        self.decode(numbers, outputs, np.ndindex(shape[:2]), 0, lambda *_: cells, S, 2.0**(-2 * k - bits), 2.0**(-bits - 1) - 0.5)
        return S

    def double(self, numbers, S, height, width, bits, k):
        """the map of these sides whose halving number k is S"""
        M, u = (1 << bits) - 1 << 2 * k - 2, 2.0**(1 - bits - 2 * k)
        condition = ((S * 4.0**-k + 0.5) * 2.0**-bits - 0.5).astype(np.float32)
        for word in self.conds:
            condition = np.concatenate((condition, net(self.t, word, condition)), 2)
        bands = H, V, D = [np.zeros_like(S) for _ in "hvd"]

        def cells(y, x, c):
            if (band != 1 and 2 * x + 1 == width) or (band != 0 and 2 * y + 1 == height):
                return 0, 1, 1
            s, h, v = (int(a[y, x, c]) for a in (S, H, V))
            p, q = (min(a, 2 * M - a) for a in ((s + h) // 2, (s - h) // 2))
            lo = (-min(s, 4 * M - s), -p - q, max(-2 * p - v, v - 2 * q))[band]
            hi = (min(s, 4 * M - s), p + q, min(2 * p - v, v + 2 * q))[band]
            step = (2, 2, 4)[band]
            return lo, step, (hi - lo) // step + 1

        for band, letter in enumerate("hvd"):
            phases = ("0", "1") if self.lattice + letter + "0.out.w" in self.t else ("",)
            for phase, digit in enumerate(phases):
                seen = [(a * u).astype(np.float32) for a in bands[:band + phase]]
                outputs = net(self.t, self.lattice + letter + digit + ".", np.concatenate((*seen, condition), 2))
                pixels = [p for p in np.ndindex(S.shape[:2]) if len(phases) == 1 or sum(p) % 2 == phase]
                self.decode(numbers, outputs, pixels, band, cells, bands[band], u, 0)
        blocks = np.stack((S + H + V + D, S - H + V - D, S + H - V - D, S - H - V + D)).reshape(2, 2, *S.shape)
        need((blocks % 4 == 0).all(), "a block is not of whole numbers")
        return (blocks // 4).transpose(2, 0, 3, 1, 4).reshape(2 * S.shape[0], 2 * S.shape[1], -1)[:height, :width]


def picture(levels, code, name, sides, C, bits):
    numbers, maps = Numbers(code), [sides]
    while len(maps) < len(levels) and maps[-1] != (1, 1):
        maps.append(tuple((s + 1) // 2 for s in maps[-1]))
    k = len(maps) - 1
    if len(maps) == len(levels):
        S = levels[0].base(numbers, maps[k] + (C,), bits, k)
    else:
        S = np.array([[[numbers.uniform(((1 << bits) - 1 << 2 * k) + 1) for _ in range(C)]]])
    for k in range(k, 0, -1):
        S = levels[len(levels) - k].double(numbers, S, *maps[k - 1], bits, k)
    seed = (sides[0] << 32) + (sides[1] << 8) + (C << 5) + bits ^ xxh3(name)
    need(numbers.at == len(code), "bytes are left in the code")
    need(numbers.x == (1 << 31) + (xxh3(S.astype("<u2").tobytes(), seed) & 0x7FFFFFFF), "hash of the pixels")
    return S


# ---- container
class Bytes:
    def __init__(self, b):
        self.b, self.at = b, 0

    def take(self, n):
        self.at += n
        need(self.at <= len(self.b), "the archive is cut off")
        return self.b[self.at - n:self.at]

    def number(self, n):
        return int.from_bytes(self.take(n), "little")

    def varint(self):
        begin = self.at
        while self.number(1) > 127:
            need(self.at - begin < 9, "a varint is too long")
        return sum((c & 127) << 7 * i for i, c in enumerate(self.b[begin:self.at]))


def save(folder, name, number, S, bits):
    parts = [s for s in name.split(b"/") if s not in (b"", b".", b"..")] or [b"%d" % number]
    path = os.path.join(os.fsencode(folder), *parts)
    if os.path.exists(path + b".pam"):
        path += b".%d" % number
    os.makedirs(os.path.dirname(path), exist_ok=True)
    kind = ("GRAYSCALE", "GRAYSCALE_ALPHA", "RGB", "RGB_ALPHA")[S.shape[2] - 1]
    head = "P7\nHEIGHT {}\nWIDTH {}\nDEPTH {}\nMAXVAL {}\nTUPLTYPE {}\nENDHDR\n".format(*S.shape, (1 << bits) - 1, kind)
    with open(path + b".pam", "wb") as f:
        f.write(head.encode() + S.astype(">u2" if bits > 8 else "u1").tobytes())


def main(model, archive, folder):
    with open(archive, "rb") as f:
        r = Bytes(f.read())
    header = r.take(24)
    need(header[:9] == BEGIN + b"\2", "this is no archive of version 2")
    need(u32(header, 20) == xxh3(header[:20]) & 0xFFFFFFFF, "hash of the header")
    C, bits, n = header[9:12]
    levels = [Level(model, i) for i in range(n + 1)]
    need(xxh3(b"".join(level.hash for level in levels)) == u64(header, 12), "the archive is of another model")
    everything, sides, entries = xxh3(header), (), []
    while True:
        begin, length = r.at, r.varint() - 1
        if length < 0:
            break
        name = r.take(length >> 1)
        own = () if length & 1 else (r.varint(), r.varint())
        sides = own or sides
        code = r.take(r.varint())
        record = xxh3(r.b[begin:r.at], len(entries))
        need(r.number(2) == record & 0xFFFF, f"hash of record {len(entries)}")
        need(sides and 0 < min(sides) and max(sides) <= 65536 and sides[0] * sides[1] <= 134217728, f"sides of picture {len(entries)}")
        save(folder, name, len(entries), picture(levels, code, name, sides, C, bits), bits)
        everything = xxh3(struct.pack("<Q", record), everything)
        entries.append((2 * (r.at - begin) + len(own) // 2, *own, xxh3(name) & 0xFFFF))
    need(r.varint() == len(entries), "number of pictures")
    for i, entry in enumerate(entries):
        need((*(r.varint() for _ in entry[1:]), r.number(2)) == entry, f"entry {i} of the index")
    need(r.number(8) == everything, "hash of all records")
    need(xxh3(r.b[begin:r.at]) == r.number(8), "hash of the index")
    need(r.number(8) == r.at + 8 - begin and r.take(8) == END and r.at == len(r.b), "end of the archive")


if __name__ == "__main__":
    np.seterr(all="ignore")
    try:
        main(*sys.argv[1:])
    except Damage as e:
        sys.exit(f"read_archive.py: {sys.argv[2]}: {e}")
