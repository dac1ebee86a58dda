"""wavelet_flow - streams, stores and models of Wavelet Flow in Python

    import wavelet_flow as wf
    images = wf.read_images("photos.store")     # or a stream: float32 [N,H,W,C], 0 to 255
    names = wf.read_names("photos.store")       # their files' names, where they have some
    model = wf.load("faces")                    # a torch.nn.Module
    model.log_prob(images)                      # [N], nats; model.bits_per_dim(images): [N, levels + 1], as wf-bpd
    z = model.encode(images)                    # a list of latents, one tensor a level, as wf-encode
    model.decode(z)                             # the images again
    model.sample(16, seed=1)                    # the pictures of wf-sample --seed 1
    wf.write_images("new.wf", images, names=names)      # a stream for the programs

Shapes are those of streams: pictures are [N,H,W,C], sounds [N,W,C], volumes [N,D,H,W,C]. Values are in pixel units,
0 to 2^bits - 1. Streams and stores follow wf-stream(5), chains wf-chain(7).

Needs NumPy; xxhash for streams and stores; lmdb for stores; PyTorch 1.13 or later for load(), which alone imports it;
PyWavelets for wavelets other than Haar. Whatever cannot be read raises Error.
"""

from __future__ import annotations

import fcntl
import functools
import importlib
import itertools
import json
import math
import os
import re
import struct
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Optional, Union

import numpy as np

if TYPE_CHECKING:
    import torch

__all__ = [
    "Error", "Flow", "Meta", "Model", "Record", "Store", "StreamWriter", "find_model", "join", "join_level", "load",
    "normals", "parse_chain", "read_images", "read_level", "read_meta", "read_names", "read_stats", "read_stream",
    "split", "split_level", "write_images", "write_stream",
]  # fmt: skip
FORMAT = "wavelet-flow/1"
LATENTS = "wavelet-flow-latents/1"
Path = Union[str, "os.PathLike[str]"]
Array = Any  # a NumPy array or a torch.Tensor; functions return what they take
Names = Sequence[Optional[str]]


class Error(ValueError):
    """Data that is cut off, damaged, of an unknown kind, or does not suit the model."""


class _Module:
    """A module that is imported when first used."""

    def __init__(self, name: str, package: str):
        self._name, self._package = name, package

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):  # asked by pydoc and others, of any object
            raise AttributeError(attribute)
        try:
            return getattr(importlib.import_module(self._name), attribute)
        except ImportError as problem:
            message = f"{self._name} is needed and cannot be imported: pip install {self._package} ({problem})"
            raise ImportError(message) from None


lmdb, xxhash, pywt = _Module("lmdb", "lmdb"), _Module("xxhash", "xxhash"), _Module("pywt", "PyWavelets")
if not TYPE_CHECKING:
    torch = _Module("torch", "torch")


# -- metadata ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Meta:
    """A pyramid: what all records of a stream, all values of a store and all levels of a model have in common."""

    shape: tuple[int, ...]  # [H,W,C] of a picture, [W,C] of a sound, [D,H,W,C] of a volume
    levels: int  # halvings; sides are multiples of 2^levels
    bits: int = 8  # of a sample
    wavelet: str = "haar"
    top: int = -1  # highest level that is there; -1: levels
    rate: int = 0  # samples a second, of sounds; 0: unknown
    provenance: str = "[]"  # JSON array of the programs that made it
    latents: bool = False  # values are latents of a model

    def __post_init__(self) -> None:
        object.__setattr__(self, "top", self.levels if self.top < 0 else self.top)
        if not (2 <= len(self.shape) <= 4 and 0 <= self.levels <= 16 and 0 <= self.top <= self.levels):
            raise Error(f"shape {self.shape} with {self.levels} levels up to {self.top} is not a pyramid")
        if any(side < 1 or side % 2**self.levels for side in self.shape[:-1]):
            raise Error(f"{self.shape[:-1]} cannot be halved {self.levels} times: sides are multiples of 2^levels")
        if not (1 <= self.shape[-1] <= 4 and 1 <= self.bits <= 16):
            raise Error(f"{self.shape[-1]} channels of {self.bits} bits, expected 1 to 4 of 1 to 16")

    @property
    def axes(self) -> int:
        return len(self.shape) - 1

    def low_shape(self, level: int) -> tuple[int, ...]:
        """Shape of the low-pass at a level; of the base itself at level 0."""
        halvings = self.levels - level + (level > 0)
        return tuple(side >> halvings for side in self.shape[:-1]) + self.shape[-1:]

    def detail_shape(self, level: int) -> tuple[int, ...]:
        """Shape of what the flow of a level models, and of its latents: details, or the base at level 0."""
        low = self.low_shape(level)
        return low[:-1] + (low[-1] * (2**self.axes - 1),) if level else low

    def to_text(self) -> dict[str, str]:
        text = {"format": LATENTS if self.latents else FORMAT, "wavelet": self.wavelet, "levels": str(self.levels),
                "top": str(self.top), "shape": "x".join(map(str, self.shape)), "bits": str(self.bits),
                "provenance": self.provenance}  # fmt: skip
        return {**text, "rate": str(self.rate)} if self.rate else text

    @staticmethod
    def from_text(text: dict[str, str], name: str) -> Meta:
        if text.get("format") not in (FORMAT, LATENTS):
            raise Error(f"{name}: format is {text.get('format')!r}, expected {FORMAT!r}")
        try:
            shape = tuple(int(side) for side in text["shape"].split("x"))
            numbers = {key: int(text.get(key, 0)) for key in ("levels", "bits", "top", "rate")}
            return Meta(shape=shape, wavelet=text["wavelet"], provenance=text.get("provenance", "[]"),
                        latents=text["format"] == LATENTS, **numbers)  # fmt: skip
        except (KeyError, ValueError) as problem:
            raise Error(f"{name}: metadata: {problem}") from None


# -- safetensors -------------------------------------------------------------------------------------------------------

_KINDS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "U64": "<u8"}
_LONGEST = 16 << 20  # bytes of a header


def _parse_header(header: bytes, name: str) -> tuple[dict[str, Any], dict[str, str], int]:
    """Tensors, metadata, and bytes of data of a safetensors header."""
    try:
        tensors = json.loads(header)
        text = tensors.pop("__metadata__", {})
        return tensors, text, max((tensor["data_offsets"][1] for tensor in tensors.values()), default=0)
    except (ValueError, AttributeError, KeyError, TypeError, IndexError) as problem:
        raise Error(f"{name}: the header of a record is not one of safetensors: {problem}") from None


def _parse_tensors(tensors: dict[str, Any], data: bytes, name: str) -> dict[str, np.ndarray]:
    out = {}
    for key, tensor in tensors.items():
        try:
            (begin, end), kind = tensor["data_offsets"], tensor["dtype"]
            values = np.frombuffer(data[begin:end], _KINDS[kind]).reshape(tensor["shape"])
        except (KeyError, ValueError, TypeError) as problem:
            raise Error(f"{name}: tensor {key} does not fit its data: {problem}") from None
        out[key] = (values.astype("<u4") << 16).view("<f4") if kind == "BF16" else values
    return out


def _format_record(tensors: dict[str, np.ndarray], text: dict[str, str]) -> bytes:
    header: dict[str, Any] = {"__metadata__": text}
    data = b""
    for key, values in tensors.items():
        kind = {"uint64": "U64", "float32": "F32"}[values.dtype.name]
        offsets = [len(data), len(data) + values.nbytes]
        header[key] = {"dtype": kind, "shape": list(values.shape), "data_offsets": offsets}
        data += values.tobytes()
    encoded = json.dumps(header).encode()
    if len(encoded) > _LONGEST:
        raise Error(f"a header of {len(encoded)} bytes, at most {_LONGEST} are allowed: write fewer or shorter names")
    return struct.pack("<Q", len(encoded)) + encoded + data


# -- streams -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Record:
    """One level of a batch of pictures. Latents have no low above the base, and latents in place of detail."""

    meta: Meta
    level: int
    index: np.ndarray  # uint64 [N], the numbers of the pictures
    low: np.ndarray | None  # float32 [N,h,w,C]
    detail: np.ndarray | None  # float32 [N,h,w,3C]; None at level 0
    names: Names  # [N], the files of the pictures; None for one without a name


def _decode_name(name: bytes) -> str | None:
    """A name as streams have it: UTF-8, or with "?" for bytes over 127; None for an empty one."""
    try:
        return name.decode() or None
    except UnicodeDecodeError:
        return name.decode("ascii", "replace").replace("\ufffd", "?")


def _parse_names(text: str, count: int, name: str) -> Names:
    try:
        names = json.loads(text)
        if len(names) == count and all(n is None or isinstance(n, str) for n in names):
            return [n or None for n in names]
    except (ValueError, TypeError):
        pass
    raise Error(f"{name}: names are not a JSON array of {count} strings or nulls")


def _read_exactly(file: BinaryIO, size: int, name: str) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise Error(f"{name}: cut off: {size - len(data)} bytes are missing from a record")
    return data


def read_stream(source: Path | BinaryIO) -> Iterator[Record]:
    """Records of a stream, a file or an open one such as sys.stdin.buffer. Raises Error for one that is cut off or
    damaged, when the end is reached: what came before has then been given out already."""
    if not hasattr(source, "read"):
        with open(source, "rb") as file:
            yield from read_stream(file)
        return
    name, count, seen = getattr(source, "name", "stream"), 0, xxhash.xxh3_64()
    first, index, names = None, None, []  # metadata of the first record; the batch and its names
    while True:
        head = source.read(8)
        if len(head) < 8:
            raise Error(f"{name}: cut off: no end record")
        size = struct.unpack("<Q", head)[0]
        if size > _LONGEST:
            raise Error(f"{name}: not a coefficient stream, as wf-dwt writes it: a header of {size} bytes")
        header = _read_exactly(source, size, name)
        tensors, text, length = _parse_header(header, name)
        if "end" in text:
            break
        data = _read_exactly(source, length, name)
        for part in (head, header, data):
            seen.update(part)
        count += 1
        values = _parse_tensors(tensors, data, name)
        if "index" not in values or not text.get("level", "").isdigit():
            raise Error(f"{name}: record {count}: index or level is missing")
        meta = Meta.from_text({"provenance": first.provenance if first else "[]", **text}, name)
        first = first or meta
        if meta != first:
            raise Error(f"{name}: record {count}: its metadata differ from those of the first record")
        if "names" in text:
            names = _parse_names(text["names"], len(values["index"]), f"{name}: record {count}")
        elif not np.array_equal(values["index"], index):
            names = [None] * len(values["index"])
        index = values["index"]
        yield Record(first, int(text["level"]), index, values.get("low"), values.get("detail"), names)
    if (text["end"], text.get("hash")) != (str(count), seen.hexdigest()):
        raise Error(f"{name}: damaged: {count} records of hash {seen.hexdigest()}, not as its end record says")
    if source.read(1):
        raise Error(f"{name}: something follows the end record")


class StreamWriter:
    """Writes a stream. As a context manager it ends the stream, unless an exception leaves the block.

    with StreamWriter("out.wf", Meta(shape=(8, 8, 3), levels=3)) as writer:
        writer.write(level, index, low, detail, names)      # all levels of a batch, lowest first
    """

    def __init__(self, target: Path | BinaryIO, meta: Meta):
        self.meta, self._count, self._seen, self._batch = meta, 0, xxhash.xxh3_64(), None
        self._opened = not hasattr(target, "write")
        self._file: Any = open(target, "wb") if self._opened else target  # noqa: SIM115

    def write(self, level: int, index: Sequence[int], low: Array | None, detail: Array | None = None,
              names: Names | None = None) -> None:  # fmt: skip
        """index [N]; low [N,h,w,C] and detail [N,h,w,3C] in pixel units, or latents; detail is None at level 0. names
        [N]: those of the batch, which need not be repeated at its other levels."""
        tensors = {"index": np.ascontiguousarray(index, "<u8")}
        wanted = {"low": None if self.meta.latents and level else self.meta.low_shape(level),
                  "detail": self.meta.detail_shape(level) if level else None}  # fmt: skip
        for key, values in (("low", low), ("detail", detail)):
            shape = None if values is None else tuple(values.shape[1:])
            if shape != wanted[key]:
                raise Error(f"level {level}: {key} of shape {shape} without the batch, expected {wanted[key]}")
            if values is not None:
                tensors[key] = np.ascontiguousarray(_to_numpy(values), "<f4")
        for key, values in tensors.items():
            if len(values) != len(tensors["index"]) or not np.isfinite(values).all():
                raise Error(f"level {level}: {key} has {len(values)} rows of {len(index)}, or values not finite")
        text = {**self.meta.to_text(), "level": str(level), **self._new_names(tensors["index"], names)}
        if self._count:
            del text["provenance"]
        self._put(_format_record(tensors, text))
        self._count += 1

    def _new_names(self, index: np.ndarray, names: Names | None) -> dict[str, str]:
        """The names of a batch, for its first record."""
        known = np.array_equal(index, self._batch)
        if known or names is None or not any(names):
            return {}
        if len(names) != len(index) or any("\0" in (name or "") for name in names):
            raise Error(f"{len(names)} names of {len(index)} pictures, or a name with a zero byte")
        self._batch = index
        return {"names": json.dumps([_decode_name(os.fsencode(name or "")) for name in names])}

    def _put(self, record: bytes) -> None:
        self._file.write(record)
        self._seen.update(record)

    def close(self) -> None:
        """Writes the end record."""
        end = {"format": self.meta.to_text()["format"], "end": str(self._count), "hash": self._seen.hexdigest()}
        self._put(_format_record({}, end))
        self._file.close() if self._opened else self._file.flush()

    def __enter__(self) -> StreamWriter:  # noqa: PYI034
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        elif self._opened:
            self._file.close()


def write_stream(target: Path | BinaryIO, records: Iterable[Record]) -> None:
    """Writes records, such as those of read_stream or Store.records."""
    writer = None
    for r in records:
        writer = writer or StreamWriter(target, r.meta)
        writer.write(r.level, r.index, r.low, r.detail, r.names)
    if writer is None:
        raise Error("no records to write")
    writer.close()


# -- the wavelet pyramid -----------------------------------------------------------------------------------------------


@functools.lru_cache(None)
def _taps(wavelet: str) -> tuple[float, ...]:
    """The low-pass filter times sqrt(2): with Haar the sums below are then exact."""
    if wavelet == "haar":
        return (1.0, 1.0)
    try:
        return tuple(math.sqrt(2) * tap for tap in pywt.Wavelet(wavelet).rec_lo)
    except ValueError:
        raise Error(f"unknown wavelet {wavelet!r}") from None


def _filters(wavelet: str) -> list[tuple[float, ...]]:
    low = _taps(wavelet)
    return [low, tuple((-1) ** k * tap for k, tap in enumerate(reversed(low)))]


def _take(x: Array, axis: int, at: np.ndarray) -> Array:
    return x[(slice(None),) * axis + (at,)]


def _stack(parts: list[Array], axis: int) -> Array:
    return np.stack(parts, axis) if isinstance(parts[0], np.ndarray) else torch.stack(parts, axis)


def split_level(x: Array, wavelet: str = "haar") -> tuple[Array, Array]:
    """(low, detail) of x [N,H,W,C]: [N,H/2,W/2,C] and [N,H/2,W/2,3C]. Sounds and volumes likewise."""
    bands, axes = [x], x.ndim - 2
    for axis in range(1, axes + 1):
        half = 2 * np.arange(x.shape[axis] // 2)
        bands = [sum(tap * _take(band, axis, (half + k + 1 - len(taps) // 2) % x.shape[axis])
                     for k, tap in enumerate(taps))
                 for band in bands for taps in _filters(wavelet)]  # fmt: skip
    low, detail = bands[0] * 2.0**-axes, _stack(bands[1:], -1) * 2.0 ** (-axes / 2)
    return low, detail.reshape(low.shape[:-1] + (-1,))


def join_level(low: Array, detail: Array, wavelet: str = "haar") -> Array:
    """The inverse of split_level."""
    axes = low.ndim - 2
    detail = detail.reshape(tuple(low.shape) + (-1,)) * 2.0 ** (-axes / 2)
    bands = [low] + [detail[..., b] for b in range(2**axes - 1)]
    for axis in range(axes, 0, -1):
        n, shift = low.shape[axis], len(_taps(wavelet)) // 2 - 1
        at = [(np.arange(n) + (parity + shift - k) // 2) % n for parity in (0, 1) for k in range(2 * shift + 2)]
        joined = []
        for pair in zip(bands[::2], bands[1::2]):
            terms = list(zip(pair, _filters(wavelet)))
            parts = [sum(taps[k] * _take(band, axis, at[parity * (2 * shift + 2) + k])
                         for band, taps in terms for k in range((parity + shift) % 2, len(taps), 2))
                     for parity in (0, 1)]  # fmt: skip
            both = _stack(parts, axis + 1)
            joined.append(both.reshape(tuple(both.shape[:axis]) + (2 * n,) + tuple(both.shape[axis + 2 :])))
        bands = joined
    return bands[0]


def split(images: Array, levels: int, wavelet: str = "haar") -> list[tuple[Array, Array | None]]:
    """[(low, detail)] of levels 0 to `levels` of images [N,H,W,C]; (base, None) at level 0."""
    pairs: list[tuple[Array, Array | None]] = []
    for _ in range(levels):
        images, detail = split_level(images, wavelet)
        pairs.insert(0, (images, detail))
    return [(images, None)] + pairs


def join(low: Array, details: Iterable[Array], wavelet: str = "haar") -> Array:
    """Images of a low-pass and the details of the levels above it, lowest first."""
    for detail in details:
        low = join_level(low, detail, wavelet)
    return low


def write_images(target: Path | BinaryIO, images: Array, levels: int | None = None, bits: int = 8,
                 wavelet: str = "haar", first: int = 0, batch: int = 64,
                 names: Names | None = None) -> None:  # fmt: skip
    """Writes images [N,H,W,C] (or sounds, volumes), 0 to 2^bits - 1, as a stream with all levels. levels None: as many
    as the sides can be halved. first: the number of the first image. names: [N]."""
    images = np.asarray(_to_numpy(images), np.float32)
    most = min((side & -side).bit_length() - 1 for side in images.shape[1:-1])
    meta = Meta(tuple(images.shape[1:]), min(most, 16) if levels is None else levels, bits, wavelet)
    with StreamWriter(target, meta) as writer:
        for at in range(0, len(images), batch):
            part = images[at : at + batch]
            for level, (low, detail) in enumerate(split(part, meta.levels, wavelet)):
                some = None if names is None else names[at : at + batch]
                writer.write(level, range(first + at, first + at + len(part)), low, detail, some)


def _is_store(source: Path | BinaryIO) -> bool:
    return not hasattr(source, "read") and os.path.isdir(source)


def read_images(source: Path | BinaryIO) -> np.ndarray:
    """All images of a stream or store, joined from its highest level, float32 [N,H,W,C] in order of arrival. Exact for
    Haar pictures of up to 16 bits; np.rint(images) otherwise."""
    images = []
    for r in Store(source).records() if _is_store(source) else read_stream(source):
        if r.meta.latents:
            raise Error("these are latents of a model, not images: Model.decode makes images of them")
        if r.level == r.meta.top:
            images.append(r.low if r.detail is None else join_level(r.low, r.detail, r.meta.wavelet))
    if not images:
        raise Error("no images")
    return np.concatenate(images)


def read_names(source: Path | BinaryIO) -> list[str | None]:
    """Names of the images of a stream or store, in the order of read_images; None for an image without one."""
    if _is_store(source):
        return Store(source).names()
    return [name for r in read_stream(source) if r.level == r.meta.top for name in r.names]


# -- stores ------------------------------------------------------------------------------------------------------------


class Store:
    """A store of coefficients, read-only; len() is its number of pictures. Every value is checked when it is read."""

    _opened: weakref.WeakValueDictionary[Any, Any] = weakref.WeakValueDictionary()

    def __init__(self, path: Path):
        self.path = os.fspath(path)
        try:
            self._lock = open(os.path.join(self.path, "data.mdb"), "rb")  # noqa: SIM115
            fcntl.flock(self._lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Error(f"{self.path}: another program is writing to it") from None
        except OSError as problem:
            raise Error(f"{self.path}: not a store: {problem}") from None
        try:
            file = os.fstat(self._lock.fileno())[1:3]  # number and device; lmdb opens a store once in a process
            self._environment = self._opened.get(file) or lmdb.open(self.path, readonly=True, lock=False, max_dbs=18)
            self._opened[file] = self._environment
            with self._environment.begin() as txn:
                state = self._state(txn.get(b"state")) or self._state(txn.get(b"sealed"))
        except lmdb.Error as problem:
            raise Error(f"{self.path}: {problem}") from None
        if state is None:
            raise Error(f"{self.path}: holds no finished store")
        self.meta = Meta.from_text(state, self.path)
        self.levels = [level for level in range(17) if int(state["mask"]) >> level & 1]
        self._count = int(state["count"])

    def _state(self, value: bytes | None) -> dict[str, str] | None:
        """A state that is whole; None for one that a writer has not finished."""
        if value is None:
            return None
        if struct.unpack("<Q", value[:8])[0] != xxhash.xxh3_64_intdigest(value[8:]):
            raise Error(f"{self.path}: the checksum of its state is wrong")
        state = json.loads(value[8:])
        keys = "wavelet", "levels", "top", "shape", "bits", "mask", "count", "content"
        if "hash" not in state:
            return None
        if state["hash"] != xxhash.xxh3_64_hexdigest(" ".join(state[key] for key in keys).encode()):
            raise Error(f"{self.path}: the hash of its state is wrong")
        return state

    def __len__(self) -> int:
        return self._count

    def records(self, level: int | None = None, first: int = 0, count: int | None = None,
                batch: int = 64) -> Iterator[Record]:  # fmt: skip
        """Records of pictures first to first + count - 1 in order of their indices: at `level`, or at all levels."""
        if level is not None and level not in self.levels:
            raise Error(f"{self.path}: holds levels {self.levels}, not {level}")
        end = len(self) if count is None else min(len(self), first + count)
        with self._environment.begin() as txn:
            databases = {n: self._environment.open_db(b"level-%02d" % n, txn, create=False) for n in self.levels}
            keys = self._keys(txn, end)
            for at in range(first, end, batch):
                some = keys[at : min(end, at + batch)]
                names = self._names_of(txn, some)
                for number in self.levels if level is None else [level]:
                    index = [struct.unpack(">Q", key)[0] for key in some]
                    values = [txn.get(key, db=databases[number]) for key in some]
                    both = np.stack([self._decode(number, i, value) for i, value in zip(index, values)])
                    C = self.meta.shape[-1]
                    yield Record(self.meta, number, np.array(index, np.uint64), np.ascontiguousarray(both[..., :C]),
                                 np.ascontiguousarray(both[..., C:]) if number else None, names)  # fmt: skip

    def names(self) -> list[str | None]:
        """The name of each picture, None for one without, in order of their indices."""
        with self._environment.begin() as txn:
            return self._names_of(txn, self._keys(txn, len(self)))

    def _keys(self, txn: Any, count: int) -> list[bytes]:
        """Keys of the first pictures."""
        database = self._environment.open_db(b"level-%02d" % self.levels[0], txn, create=False)
        return list(itertools.islice(txn.cursor(database).iternext(values=False), count))

    def _names_of(self, txn: Any, keys: list[bytes]) -> list[str | None]:
        """Names of the pictures with these keys, from blocks of pictures with successive indices."""
        try:
            cursor = txn.cursor(self._environment.open_db(b"names", txn, create=False))
        except lmdb.NotFoundError:
            return [None] * len(keys)
        names: dict[int, str | None] = {}
        for key in keys:
            found = struct.unpack(">Q", key)[0] in names
            if not found and ((cursor.set_range(key) and cursor.key() == key) or cursor.prev()):
                first = struct.unpack(">Q", cursor.key())[0]
                names.update(enumerate(self._decode_names(first, cursor.value()), first))
        return [names.get(struct.unpack(">Q", key)[0]) for key in keys]

    def _decode_names(self, first: int, value: bytes) -> list[str | None]:
        """A block of names, each as the bytes that it shares with the one before and those that follow."""
        if len(value) < 8 or struct.unpack("<Q", value[:8])[0] != xxhash.xxh3_64_intdigest(value[8:], first):
            raise Error(f"{self.path}: names from picture {first} on: the checksum is wrong")
        names, name, at = [], b"", 8

        def varint() -> int:
            nonlocal at
            number, shift, more = 0, 0, True
            while more:
                number, more = number | (value[at] & 127) << shift, value[at] > 127
                at, shift = at + 1, shift + 7
            return number

        while at < len(value):
            shared, rest = varint(), varint()
            name, at = name[:shared] + value[at : at + rest], at + rest
            names.append(_decode_name(name))
        return names

    def _decode(self, level: int, index: int, value: bytes | None) -> np.ndarray:
        """low and detail of a picture, one behind the other in the channels."""
        shape, at = self.meta.low_shape(level), 8
        w, C = shape[-2:]
        out = np.empty((math.prod(shape[:-2]), w, C * 2**self.meta.axes if level else C), np.float32)
        kind = np.dtype({1: "<f2", 2: "<f4"}.get(value[0] if value else 0, "V1"))
        if not value or len(value) != 8 + out.size * kind.itemsize + 8 * -(-len(out) // 64) * -(-w // 64):
            raise Error(f"{self.path}: level {level}, picture {index}: its value is missing or has a wrong length")
        tiles = [(y, x) for y in range(0, len(out), 64) for x in range(0, w, 64)]
        for number, (y, x) in enumerate(tiles):
            part, begin = out[y : y + 64, x : x + 64], at if number else 0
            for band in (part[..., :C], part[..., C:]):
                band[...] = np.frombuffer(value, kind, band.size, at).reshape(band.shape) if band.size else 0
                at += band.size * kind.itemsize
            seed = xxhash.xxh3_64_intdigest(struct.pack("<QQ", index, level + 256 * number))
            if struct.unpack_from("<Q", value, at)[0] != xxhash.xxh3_64_intdigest(value[begin:at], seed):
                raise Error(f"{self.path}: level {level}, picture {index}, tile {number}: its checksum is wrong")
            at += 8
        return out.reshape(shape[:-1] + out.shape[-1:])


# -- models ------------------------------------------------------------------------------------------------------------


def read_meta(folder: Path) -> Meta:
    """The pyramid of a model, from its wf.json."""
    path = os.path.join(folder, "wf.json")
    try:
        with open(path, encoding="utf-8") as file:
            text = json.load(file)
        if text["format"] != FORMAT:
            raise Error(f"{path}: format is {text['format']!r}, expected {FORMAT!r}")
        return Meta(tuple(text["shape"]), text["levels"], text["bits"], text["wavelet"], rate=text.get("rate", 0))
    except OSError as problem:
        raise Error(f"{path}: {problem.strerror}: is this a model of wf-train-level?") from None
    except (KeyError, TypeError, ValueError) as problem:
        raise Error(f"{path}: {problem}") from None


def read_level(path: Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Metadata and tensors of a level's file (level-NN.safetensors), named as in the file: "ema/NAME" are averaged
    weights, with which the programs compute, "w/NAME" those of the last step. F16 and BF16 become float32."""
    name = os.fspath(path)
    try:
        with open(path, "rb") as file:
            size = struct.unpack("<Q", _read_exactly(file, 8, name))[0]
            if size > _LONGEST:
                raise Error(f"{name}: not a safetensors file")
            tensors, text, length = _parse_header(_read_exactly(file, size, name), name)
            values = _parse_tensors(tensors, _read_exactly(file, length, name), name)
    except OSError as problem:
        raise Error(f"{name}: {problem.strerror}") from None
    if "chain" not in text:
        raise Error(f"{name}: not the file of a level: no chain in it")
    if "given" in text:
        raise Error(f"{name}: was trained with --given, which this module does not know: wf-bpd and wf-sample do")
    return text, {key: array.astype(np.float32) for key, array in values.items()}


def parse_chain(text: str) -> list[tuple[str, dict[str, str]]]:
    """Words of a chain with their options, repetitions expanded: "2*(actnorm, affine:width=8)" has four words."""
    tokens, at = re.findall(r"[A-Za-z0-9_.:=-]+|\S", text), 0

    def items() -> list[tuple[str, dict[str, str]]]:
        nonlocal at
        out: list[tuple[str, dict[str, str]]] = []
        while True:
            count = 1
            if "".join(tokens[at : at + 1]).isdigit() and tokens[at + 1 : at + 2] == ["*"]:
                count, at = int(tokens[at]), at + 2
            if tokens[at : at + 1] == ["("]:
                at += 1
                some = items()
                if tokens[at : at + 1] != [")"]:
                    raise Error(f"chain {text!r}: a parenthesis is not closed")
            else:
                name, *options = tokens[at].split(":") if at < len(tokens) else [""]
                if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
                    raise Error(f"chain {text!r}: found {name!r}, expected a word")
                some = [(name, {key: value or "1" for key, _, value in (o.partition("=") for o in options)})]
            out, at = out + count * some, at + 1
            if tokens[at : at + 1] != [","]:
                break
            at += 1
        return out

    words = items()
    if at < len(tokens):
        raise Error(f"chain {text!r}: expected a comma before {''.join(tokens[at:])!r}")
    return words


# -- random numbers ----------------------------------------------------------------------------------------------------

_EVAL, _LATENT = 5, 6  # purposes of lib/base/philox.h


def _philox(seed: int, purpose: int, step: int, index: int, count: int) -> np.ndarray:
    """uint64 [count] of 32 random bits each: Philox4x32-10 (Salmon et al. 2011). Counters: kernels/body/random.h."""
    mask, n = np.uint64(0xFFFFFFFF), -(-count // 4)
    high = (purpose << 24 ^ index >> 32 ^ step >> 32) & 0xFFFFFFFF
    c = [np.arange(n, dtype=np.uint64) & mask] + [np.full(n, v & 0xFFFFFFFF, np.uint64) for v in (step, index, high)]
    for r in range(10):
        a, b = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        k0 = np.uint64((seed + r * 0x9E3779B9) & 0xFFFFFFFF)
        k1 = np.uint64(((seed >> 32) + r * 0xBB67AE85) & 0xFFFFFFFF)
        c = [b >> np.uint64(32) ^ c[1] ^ k0, b & mask, a >> np.uint64(32) ^ c[3] ^ k1, a & mask]
    return np.stack(c, 1).reshape(-1)[:count]


def normals(seed: int, purpose: int, step: int, index: int, count: int) -> np.ndarray:
    """float64 [count], the normals that the programs draw for the picture of number `index`. Latents of samples have
    purpose 6 and their level as step."""
    u = (_philox(seed, purpose, step, index, count + count % 2) + 0.5) / 2.0**32
    radius, angle = np.sqrt(-2 * np.log(u[::2])), 2 * np.pi * u[1::2]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).reshape(-1)[:count]


def _base_noise(seed: int, step: int, index: int, uniforms: int, shape: tuple[int, ...]) -> np.ndarray:
    """The mean of `uniforms` uniforms for each element; beyond 64 a normal of the same mean and variance."""
    n = math.prod(shape)
    if uniforms > 64:
        return (0.5 + normals(seed, _EVAL, step, index, n) / math.sqrt(12 * uniforms)).reshape(shape)
    words = _philox(seed, _EVAL, step, index, n * uniforms).reshape(shape + (uniforms,))
    return (words.mean(-1) + 0.5) / 2.0**32


def _noise(meta: Meta, level: int, seed: int, index: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Dequantization noise of (low, detail) of one picture, as wf-bpd draws it (lib/model/level_input.c)."""
    shape, pixels, haar = meta.low_shape(level), 2 ** (meta.axes * (meta.levels - level)), meta.wavelet == "haar"
    if meta.axes == 2 and not haar and pixels >= 16:  # white noise is white in every orthonormal basis
        s = 1 / math.sqrt(12 * pixels)
        if not level:
            return 0.5 + s * normals(seed, _EVAL, level, index, math.prod(shape)).reshape(shape), None
        z = s * normals(seed, _EVAL, level, index, 4 * math.prod(shape)).reshape(shape + (4,))
        return 0.5 + z[..., 0] / 2, z[..., 1:].reshape(shape[:-1] + (-1,))
    above = meta.levels - level + (level > 0)
    halvings = above if not haar and pixels < 16 else int(level > 0)
    sides = tuple(side << halvings for side in shape[:-1]) + shape[-1:]
    low, detail = _base_noise(seed, level, index, 2 ** (meta.axes * (above - halvings)), sides)[None], None
    for _ in range(halvings):
        low, detail = split_level(low, meta.wavelet)
    return low[0], detail[0] if level else None


# -- networks: tensors are [N,channels,..], the reverse of the files' [N,..,channels] ----------------------------------

Params = dict[str, Any]


def _pixels_first(x: Array) -> Array:
    return x.movedim(1, -1)


def _channels_first(x: Array) -> Array:
    return x.movedim(-1, 1)


def _conv(p: Params, name: str, x: Array) -> Array:
    """(w * x + b) exp(3 l), with zero padding."""
    w = _channels_first(p[f"{name}.w"])
    conv = (torch.nn.functional.conv1d, torch.nn.functional.conv2d, torch.nn.functional.conv3d)[x.ndim - 3]
    wide = (-1,) + (1,) * (x.ndim - 2)
    return (conv(x, w, padding=w.shape[-1] // 2) + p[f"{name}.b"].view(wide)) * torch.exp(3 * p[f"{name}.l"]).view(wide)


def _gate(x: Array, ab: Array) -> Array:
    a, b = ab.chunk(2, 1)
    return torch.relu(x + a * torch.sigmoid(b))


def _attend(qkv: Array, heads: int, order: str) -> Array:
    """Attention over all pixels, with "forth" those up to a pixel in reading order, with "back" those from it on."""
    N, shape = len(qkv), qkv.shape[2:]
    q, k, v = qkv.reshape(N, 3, heads, -1, shape.numel()).unbind(1)  # [N,heads,d,P]
    scores = torch.einsum("nhdi,nhdj->nhij", q, k) / math.sqrt(q.shape[2])
    far = torch.ones_like(scores[0, 0], dtype=torch.bool)
    far = far.triu(1) if order == "forth" else far.tril(-1) if order == "back" else torch.zeros_like(far)
    shares = scores.masked_fill(far, -math.inf).softmax(-1)
    return torch.einsum("nhij,nhdj->nhdi", shares, v).reshape(N, -1, *shape)


def _norm(x: Array) -> Array:
    return (x - x.mean(1, True)) / torch.sqrt(x.var(1, False, True) + 1e-5)


def _net(kind: str, p: Params, x: Array, heads: int = 0, order: str = "") -> Array:
    """A network of wf-chain(7); the parameters say how wide and deep it is."""
    blocks = sum(f"{i}.a.w" in p for i in range(16))
    if kind == "dense":
        for name in ["in"] + [str(i) for i in range(16) if f"{i}.w" in p]:
            x = torch.relu(_conv(p, name, x))
        return _conv(p, "out", x)
    if kind == "conv":
        return _conv(p, "out", x)
    x = _conv(p, "in", x) if kind == "transformer" else torch.relu(_conv(p, "in", x))
    heads = heads or (4 if x.shape[1] % 4 == 0 else 2 if x.shape[1] % 2 == 0 else 1)
    if kind == "glow":
        x = torch.relu(_conv(p, "middle", x))
    for i in range(blocks):
        if kind == "transformer":
            x = x + _conv(p, f"{i}.a", _attend(_conv(p, f"{i}.qkv", _norm(x)), heads, order))
            x = x + _conv(p, f"{i}.c", torch.relu(_conv(p, f"{i}.b", _norm(x))))
            continue
        inner = _conv(p, f"{i}.b", torch.relu(_conv(p, f"{i}.a", x)))
        x = torch.relu(x + inner) if kind == "res" else _gate(x, inner)
        if kind == "attention":
            x = _gate(x, _conv(p, f"{i}.c", _attend(_conv(p, f"{i}.qkv", x), heads, order)))
    return _conv(p, "out", x)


# -- transforms of one element: parameters p [N,n,K,..], elements x [N,K,..]; all return the value and log T' ----------


def _additive(o: dict[str, str], p: Array, x: Array, inverse: bool) -> tuple[Array, Array]:
    return (x - p[:, 0] if inverse else x + p[:, 0]), torch.zeros_like(x)


def _affine(o: dict[str, str], p: Array, x: Array, inverse: bool) -> tuple[Array, Array]:
    s, t = p.unbind(1)
    scale = o.get("scale", "tanh")
    log = torch.tanh(s) if scale == "tanh" else s.clamp(-5, 5)
    log = torch.nn.functional.logsigmoid(s + 2) if scale == "sigmoid" else log
    return (x * torch.exp(-log) - t if inverse else (x + t) * torch.exp(log)), log


def _rqspline(o: dict[str, str], p: Array, x: Array, inverse: bool) -> tuple[Array, Array]:
    """Durkan et al. 2019, equations 4 and 5, with the term that kernels/body/rqspline.h adds; the identity beyond
    +-bound."""
    n, end = int(o.get("bins", 8)), float(o.get("bound", 3))
    w, h = (2 * end * (1e-3 + (1 - 1e-3 * n) * part.softmax(1)) for part in (p[:, :n], p[:, n : 2 * n]))
    one = torch.ones_like(p[:, :1])
    d = torch.cat([one, 1e-3 + torch.nn.functional.softplus(p[:, 2 * n :] + 0.539742417), one], 1)
    x0, y0 = w.cumsum(1) - w - end, h.cumsum(1) - h - end
    at = ((x.unsqueeze(1) >= (y0 + 0.01 * (x0 - y0) if inverse else x0)).sum(1, True) - 1).clamp(0, n - 1)
    x0, y0, w, h, d0, d1 = (v.gather(1, at)[:, 0] for v in (x0, y0, w, h, d[:, :-1], d[:, 1:]))
    s = h / w

    def curve(t: Array) -> tuple[Array, Array]:
        """Value and slope at position t of the bin."""
        below = s + (d1 + d0 - 2 * s) * t * (1 - t)
        slope = (s / below) ** 2 * (d1 * t * t + 2 * s * t * (1 - t) + d0 * (1 - t) ** 2)
        value = y0 + h * (s * t * t + d0 * t * (1 - t)) / below
        return value + 0.01 * (x0 + t * w - value), slope + 0.01 * (1 - slope)

    if inverse:
        within = x.clamp(-end, end)
        t = _root(lambda t: (curve(t)[0] - within, w * curve(t)[1]), torch.zeros_like(x), torch.ones_like(x))
    else:
        t = (x - x0) / w
    y, slope = curve(t.clamp(0, 1))
    outside = x.abs() > end
    return torch.where(outside, x, x0 + t * w if inverse else y), torch.where(outside, 0 * x, torch.log(slope))


def _root(curve: Callable[[Array], tuple[Array, Array]], low: Array, high: Array) -> Array:
    """The root of an increasing function, which gives its value and its derivative: Newton's method in a shrinking
    bracket, and a last step that gradients pass through."""
    with torch.no_grad():
        at = (low + high) / 2
        for i in range(64):
            over, slope = curve(at)
            low, high = torch.where(over <= 0, at, low), torch.where(over > 0, at, high)
            step = at - over / slope
            at = torch.where((step >= low) & (step <= high) & (i % 8 != 7), step, (low + high) / 2)
    over, slope = curve(at)
    return at - over / slope


def _mixlogistic(o: dict[str, str], p: Array, x: Array, inverse: bool) -> tuple[Array, Array]:
    """Flow++ (Ho et al. 2019), with the terms that kernels/body/mixlogistic.h adds."""
    n, p, y = int(o.get("components", 8)), p.double(), x.double()
    spread = (2 * torch.arange(n, device=x.device, dtype=p.dtype) + 1 - n) / n
    logit, s, a, b = p[:, :n], p[:, 2 * n : 3 * n].clamp(-5, 5), p[:, 3 * n].clamp(-5, 5), p[:, 3 * n + 1]
    m, e = p[:, n : 2 * n] + spread.view((-1,) + (1,) * (x.ndim - 1)), torch.exp(-s)

    def curve(x: Array) -> tuple[Array, Array]:
        u = (x.unsqueeze(1) - m) * e
        under, over = torch.nn.functional.logsigmoid(u), torch.nn.functional.logsigmoid(-u)
        w, v = (logit + under).softmax(1), (logit + over).softmax(1)
        value = (logit + under).logsumexp(1) - (logit + over).logsumexp(1) + 1e-2 * x
        return value, (e * (over.exp() * w + under.exp() * v)).sum(1) + 1e-2

    if inverse:
        target = (y - b) * torch.exp(-a)
        ends = (target.unsqueeze(1) + m * e) / (e + 1e-2)
        y = _root(lambda x: (curve(x)[0] - target, curve(x)[1]), ends.amin(1) - 1e-6, ends.amax(1) + 1e-6)
    value, slope = curve(y)
    return (y if inverse else value * torch.exp(a) + b).to(x.dtype), (torch.log(slope) + a).to(x.dtype)


def _sos(o: dict[str, str], p: Array, x: Array, inverse: bool) -> tuple[Array, Array]:
    """Jaini et al. 2019, with the terms that kernels/body/sos.h adds; linear beyond +-3."""
    k, degree, p, y = int(o.get("k", 2)), int(o.get("degree", 1)), p.double(), x.double()
    start = torch.zeros(k, degree + 1, dtype=p.dtype, device=p.device)
    start[0, 0] = 0.99498744
    for i in range(1, k):
        start[i, min(i, degree)] = 0.1
    a = p[:, 1:].unflatten(1, (k, degree + 1)) + start.view((k, degree + 1) + (1,) * (x.ndim - 1))
    nodes, weights = (v.tolist() for v in np.polynomial.legendre.leggauss(5))

    def slope(u: Array) -> Array:
        return 0.01 + sum(a[:, :, i] * u.unsqueeze(1) ** i for i in range(degree + 1)).square().sum(1)

    def curve(x: Array) -> tuple[Array, Array]:
        u = x.clamp(-3, 3)
        mean = sum(w / 2 * slope(u * (1 + node) / 2) for node, w in zip(nodes, weights))
        return p[:, 0] + u * mean + (x - u) * slope(u), slope(u)

    if inverse:
        low, high = (curve(torch.full_like(y, end))[0] for end in (-3.0, 3.0))
        near, end = torch.minimum(torch.maximum(y, low), high), torch.full_like(y, 3)
        inside = _root(lambda x: (curve(x)[0] - near, curve(x)[1]), -end, end).clamp(-3, 3)
        y = inside + (y - near) / slope(inside)
    value, derivative = curve(y)
    return (y if inverse else value).to(x.dtype), torch.log(derivative).to(x.dtype)


_TRANSFORMS = {
    "additive": _additive, "affine": _affine, "rqspline": _rqspline, "mixlogistic": _mixlogistic, "sos": _sos,
}  # fmt: skip


# -- words of a chain --------------------------------------------------------------------------------------------------


class _Word:
    """A word: x, y are [N,K,..], cond [N,C,..] or None, log-determinants [N] in nats."""

    def __init__(self, name: str, options: dict[str, str], params: Params):
        self.name, self.o, self.p = name, options, params

    def shape(self, K: int, sides: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
        """Channels and sides of y."""
        return K, sides

    def condition(self, cond: Array | None) -> Array | None:
        """The condition of the next word."""
        return cond

    def forward(self, x: Array, cond: Array | None) -> tuple[Array, Array | float]:
        return x, 0.0

    def inverse(self, y: Array, cond: Array | None) -> Array:
        return y


class _Linear(_Word):
    def matrix(self, K: int) -> tuple[Array, Array]:
        """y = A x + a for each pixel; float64."""
        p = {key: value.double() for key, value in self.p.items()}
        A = torch.eye(K, dtype=torch.float64, device=next(iter(p.values())).device)
        a = torch.zeros_like(A[0])
        if self.name == "actnorm":
            A = torch.diag(torch.exp(3 * p["l"]))
            a = p["b"] * torch.exp(3 * p["l"])
        elif self.name == "householder":
            for v in p["v"]:
                A = A - 2 / v.dot(v) * torch.outer(v, v @ A)
        elif "p" in p and "lower" in p:
            upper = p["upper"].triu(1) + torch.diag(p["sign"] * torch.exp(p["logs"]))
            A = ((p["lower"].tril(-1) + A) @ upper)[p["p"].long()]
        else:
            A = A[p["p"].long()] if "p" in p else p["w"]
        return A, a

    def forward(self, x: Array, cond: Array | None) -> tuple[Array, Array]:
        A, a = self.matrix(x.shape[1])
        y = torch.einsum("ij,nj...->ni...", A.to(x.dtype), x) + a.to(x.dtype).view((-1,) + (1,) * (x.ndim - 2))
        return y, torch.linalg.slogdet(A)[1].to(x.dtype) * x[0, 0].numel()

    def inverse(self, y: Array, cond: Array | None) -> Array:
        A, a = self.matrix(y.shape[1])
        B = torch.linalg.inv(A)
        return torch.einsum("ij,nj...->ni...", B.to(y.dtype), y) - (B @ a).to(y.dtype).view((-1,) + (1,) * (y.ndim - 2))


class _Coupling(_Word):
    def moved(self, x: Array) -> Array:
        """True for the elements that are transformed, [1,K,..]."""
        places = torch.zeros_like(x[:1], dtype=torch.bool)
        if self.o.get("mask") == "checker":
            sides = torch.meshgrid(*(torch.arange(n, device=x.device) for n in x.shape[2:]), indexing="ij")
            return places | (sum(sides) % 2 == 1 - int(self.o.get("swap", 0)))
        half = x.shape[1] // 2
        places[:, slice(0, half) if int(self.o.get("swap", 0)) else slice(half, None)] = True
        return places

    def run(self, x: Array, cond: Array | None, inverse: bool) -> tuple[Array, Array]:
        moved = self.moved(x)
        masked = self.o.get("mask") == "checker"
        channels = torch.arange(x.shape[1], device=x.device)[moved.flatten(2).any(-1)[0]]
        kept = x.masked_fill(moved, 0) if masked else x[:, ~moved.flatten(2).any(-1)[0]]
        params = _net(self.o.get("net", "res"), self.p, kept if cond is None else torch.cat([kept, cond], 1))
        some = x[:, channels]
        y, log = _TRANSFORMS[self.name](self.o, params.unflatten(1, (-1, len(channels))), some, inverse)
        y, log = torch.where(moved[:, channels], y, some), log.masked_fill(~moved[:, channels], 0)
        return x.index_copy(1, channels, y), log.flatten(1).sum(1)

    def forward(self, x: Array, cond: Array | None) -> tuple[Array, Array]:
        return self.run(x, cond, False)

    def inverse(self, y: Array, cond: Array | None) -> Array:
        return self.run(y, cond, True)[0]


class _Cond(_Word):
    def condition(self, cond: Array | None) -> Array | None:
        return None if cond is None else torch.cat([cond, _net(self.o.get("net", "res"), self.p, cond)], 1)


class _Autoregressive(_Word):
    """maskedconv (MaCow) and ar (TarFlow): the net sees x shifted by a line, a row or column, or a pixel."""

    def __init__(self, name: str, options: dict[str, str], params: Params):
        super().__init__(name, options, params)
        order = options.get("order", "")
        self.back, self.columns = order in ("up", "left", "back"), order in ("right", "left")

    def lines(self, x: Array) -> Array:
        """x as [N,K,outer,lines,run]; a view."""
        if self.name == "ar":
            return x.flatten(2)[:, :, None, :, None]
        return x[..., None] if self.columns else x[:, :, None]

    def shifted(self, x: Array) -> Array:
        lines = self.lines(x)
        zero = torch.zeros_like(lines[:, :, :, :1])
        parts = [lines[:, :, :, 1:], zero] if self.back else [zero, lines[:, :, :, :-1]]
        return torch.cat(parts, 3).reshape(x.shape)

    def positions(self, x: Array) -> Array:
        rows = x[0, 0].numel() // x.shape[-1]
        row, column = np.repeat(np.arange(rows), x.shape[-1]), np.tile(np.arange(x.shape[-1]), rows)
        turns = [2 * math.pi / (4 << k) for k in range(6)]
        waves = [wave(turn * place) for turn in turns for place in (row, column) for wave in (np.sin, np.cos)]
        tensor = torch.as_tensor(np.stack(waves), dtype=x.dtype, device=x.device)
        return tensor.reshape((1, 24) + tuple(x.shape[2:])).expand(len(x), *(-1,) * (x.ndim - 1))

    def params(self, x: Array, cond: Array | None) -> Array:
        seen = [self.shifted(x)] + ([self.positions(x)] if self.name == "ar" else []) + ([] if cond is None else [cond])
        if self.name == "ar":
            order = "back" if self.back else "forth"
            out = _net("transformer", self.p, torch.cat(seen, 1), int(self.o.get("heads", 0)), order)
        else:
            out = _net("pair", {**self.p, "in.w": self.kernel(x.shape[1])}, torch.cat(seen, 1))
        return out.unflatten(1, (2, -1))

    def kernel(self, K: int) -> Array:
        """maskedconv: taps of x in two of three lines, and all of the condition's."""
        taps = self.p["in.x"]
        if taps.shape[1] > 1:
            lines = taps.reshape((-1, 3, 2, K) if self.columns else (-1, 2, 3, K))
            zero = torch.zeros_like(lines.narrow(1 + self.columns, 0, 1))
            w = torch.cat([zero, lines] if self.back else [lines, zero], 1 + self.columns)
        else:
            w = taps.reshape(-1, 1, 1, K)
        return torch.cat([w, self.p["in.cond"]], -1) if "in.cond" in self.p else w

    def transform(self, x: Array, params: Array, inverse: bool) -> tuple[Array, Array]:
        return _affine({"scale": "exp" if self.name == "ar" else "sigmoid"}, params, x, inverse)

    def forward(self, x: Array, cond: Array | None) -> tuple[Array, Array]:
        y, log = self.transform(x, self.params(x, cond), False)
        return y, log.flatten(1).sum(1)

    def inverse(self, y: Array, cond: Array | None) -> Array:
        x = torch.zeros_like(y)
        count = self.lines(y).shape[3]
        for n in range(count):
            found = self.transform(y, self.params(x, cond), True)[0]
            here = torch.arange(count, device=y.device) == (count - 1 - n if self.back else n)
            x = torch.where(here[:, None], self.lines(found), self.lines(x)).reshape(y.shape)
        return x


class _Squeeze(_Word):
    """squeeze, and haar, whose blocks are transformed."""

    def shape(self, K: int, sides: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
        return 4 * K, tuple(side // 2 for side in sides)

    def squeeze(self, x: Array) -> Array:
        N, K, H, W = x.shape
        return x.reshape(N, K, H // 2, 2, W // 2, 2).permute(0, 3, 5, 1, 2, 4).reshape(N, 4 * K, H // 2, W // 2)

    def condition(self, cond: Array | None) -> Array | None:
        return None if cond is None else self.squeeze(cond)

    def forward(self, x: Array, cond: Array | None) -> tuple[Array, float]:
        if self.name == "squeeze":
            return self.squeeze(x), 0.0
        low, detail = split_level(_pixels_first(x))
        return _channels_first(torch.cat([2 * low, detail], -1)), 0.0

    def inverse(self, y: Array, cond: Array | None) -> Array:
        N, K, H, W = y.shape
        if self.name == "squeeze":
            return y.reshape(N, 2, 2, K // 4, H, W).permute(0, 3, 4, 1, 5, 2).reshape(N, K // 4, 2 * H, 2 * W)
        return _channels_first(join_level(_pixels_first(y[:, : K // 4]) / 2, _pixels_first(y[:, K // 4 :])))


class _Split(_Word):
    def shape(self, K: int, sides: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
        parts = int(self.o.get("part", 2))
        return K * (parts - 1) // parts, sides


def _reach(total: Array, m: int) -> Array:
    """The largest difference of two numbers from 0 to m with this sum (lib/base/lattice.h)."""
    return torch.minimum(total, 2 * m - total)


class _Lattice(_Word):
    """Exact probabilities of whole-number coefficients (wf-chain(7)). bits of a pixel, and halvings to the low-pass:
    set by the model. Bands are [N,band,colour,..]."""

    bits, halvings = 0, 0

    def bands(self, x: Array, cond: Array | None) -> Array:
        return x.unflatten(1, (1, -1)) if cond is None else x.unflatten(1, (-1, 3)).transpose(1, 2)

    def joined(self, bands: Array) -> Array:
        return bands.transpose(1, 2).flatten(1, 2)

    def norm(self, x: Array, band: int) -> Array:
        """T of x [N,colour,..]."""
        b, l = (self.p[name].double().view(-1, x.shape[1])[band].view(1, -1, 1, 1) for name in "bl")
        return (x.double() + b) * torch.exp(3 * l)

    def offset(self, cond: Array | None) -> float:
        return 0.5**(self.bits + 1) - 0.5 if cond is None else 0.0

    def unit(self, cond: Array | None) -> float:
        return 0.5 ** (self.bits + 2 * self.halvings - (cond is not None))

    def range(self, bands: Array, band: int, cond: Array | None) -> tuple[Array, int, Array]:
        """First number, step and count of a band's ranges [N,colour,..]."""
        pixel, first = 2**self.bits - 1, bands[:, 0]
        if cond is None:
            whole = torch.zeros_like(first, dtype=torch.long)
            return whole, 1, whole + (pixel << 2 * self.halvings) + 1
        m, colours = pixel << 2 * (self.halvings - 1), first.shape[1]
        low = cond[:, :colours].double() - (0.5**(self.bits + 1) - 0.5)
        S = torch.round(low * 2 ** (self.bits + 2 * self.halvings)).long().clamp(0, 4 * m)
        H, V = (torch.round(bands[:, i].double() / self.unit(cond)).long() for i in (0, 1))
        if band == 0:
            reach = _reach(S, 2 * m)
            return -reach, 2, reach + 1
        left, right = (torch.div(S + sign * H, 2, rounding_mode="floor") for sign in (1, -1))
        left, right = _reach(left, m), _reach(right, m)
        if band == 1:
            return -left - right, 2, left + right + 1
        low, high = torch.maximum(V - right, -left), torch.minimum(V + right, left)
        return 2 * low - V, 4, torch.div(high - low, 2, rounding_mode="floor") + 1

    def params(self, group: str, x: Array, band: int, seen: Array, cond: Array | None) -> tuple[Array, ...]:
        """Mixture of a band given x so far: shares, means and slopes [N,component,colour,..], and ties to colours."""
        own = {key[len(group) :]: value for key, value in self.p.items() if key.startswith(group)}
        zero = torch.zeros_like(x[:, 0, :1])
        out = _net("conv", own, zero) if cond is None else _net(self.o.get("net", "res"), own, torch.cat([seen, cond], 1))
        out, n = out.unflatten(1, (-1, x.shape[2])).double(), int(self.o.get("components", 5))
        spread = (2 * torch.arange(n, device=x.device, dtype=out.dtype) + 1 - n) / n
        means = out[:, n : 2 * n] + spread.view(1, -1, 1, 1, 1)
        return out[:, :n].softmax(1), means, torch.exp(1 - out[:, 2 * n : 3 * n].clamp(-7, 7)), out[:, 3 * n :]

    def groups(self, x: Array, cond: Array | None) -> Iterator[tuple[str, int, Array | bool]]:
        """Prefix, band and pixels of each group, in order."""
        phases = 1 if cond is None else int(self.o.get("phases", 1))
        odd = (torch.arange(x.shape[3], device=x.device)[:, None] + torch.arange(x.shape[4], device=x.device)) % 2
        for band in range(x.shape[1]):
            for phase in range(phases):
                name = "base." if cond is None else "hvd"[band] + (str(phase) if phases == 2 else "") + "."
                yield name, band, odd == phase if phases == 2 else torch.ones_like(odd, dtype=torch.bool)

    def seen(self, x: Array, band: int, mine: Array) -> Array:
        """What the network of a group sees of x: the bands before, and this band's pixels that come first."""
        first = bool(mine.flatten()[0])  # the group with pixel (0, 0) comes first
        earlier = [] if first else [torch.where(mine, torch.zeros_like(x[:, band]), x[:, band])]
        return torch.cat([x[:, i] for i in range(band)] + earlier + [x[:, 0, :0]], 1)

    def tails(self, mixture: tuple[Array, ...], T: Array, colour: int, edge: Array) -> tuple[Array, Array]:
        """Probabilities below and above an edge in T, of one colour. T [N,colour,..] has the colours before."""
        share, mean, e, ties = (part[:, :, colour] for part in mixture)
        shift = sum((ties[:, d] * T[:, d] for d in range(colour)), torch.zeros_like(edge))
        at = (edge.unsqueeze(1) - mean - shift.unsqueeze(1)) * e
        return (share * torch.sigmoid(at)).sum(1), (share * torch.sigmoid(-at)).sum(1)

    def cell(self, mixture: tuple[Array, ...], x: Array, band: int, colour: int, place: Array, span: tuple[Array, ...],
             cond: Array | None) -> tuple[Array, Array]:  # fmt: skip
        """log P of the cell at `place` in its range, and z at the middle of its share, of one colour."""
        first, step, count = span[0][:, colour], span[1], span[2][:, colour]
        T, tails = self.norm(x[:, band], band), []
        for side in (-1, 1):
            at = ((first + place * step).double() + 0.5 * side * step) * self.unit(cond) + self.offset(cond)
            wide = at.unsqueeze(1).expand(-1, x.shape[2], -1, -1)
            tails.append(self.tails(mixture, T, colour, self.norm(wide, band)[:, colour]))
        zero, one = torch.zeros_like(tails[0][0]), torch.ones_like(tails[0][0])
        below, above = torch.where(place > 0, tails[0][0], zero), torch.where(place + 1 < count, tails[1][1], zero)
        left, right = torch.where(place > 0, tails[0][1], one), torch.where(place + 1 < count, tails[1][0], one)
        P = torch.where(below < above, right - below, left - above).clamp_min(1e-300)
        return torch.log(P), _normal_between(below + P / 2, above + P / 2)

    def forward(self, x: Array, cond: Array | None) -> tuple[Array, Array]:
        bands = self.bands(x, cond)
        z, total = torch.zeros_like(bands, dtype=torch.float64), 0.0
        for name, band, mine in self.groups(bands, cond):
            mixture = self.params(name, bands, band, self.seen(bands, band, mine), cond)
            span = self.range(bands, band, cond)
            for colour in range(bands.shape[2]):
                number = torch.round((bands[:, band, colour].double() - self.offset(cond)) / self.unit(cond)).long()
                place = torch.div(number - span[0][:, colour], span[1], rounding_mode="floor")
                log, middle = self.cell(mixture, bands, band, colour, place, span, cond)
                z[:, band, colour] = torch.where(mine, middle.detach(), z[:, band, colour])
                log = log - math.log(span[1] * self.unit(cond)) + 0.5 * (middle.detach()**2 + math.log(2 * math.pi))
                total = total + torch.where(mine, log, torch.zeros_like(log)).flatten(1).sum(1)
        return self.joined(z).to(x.dtype), total

    def inverse(self, y: Array, cond: Array | None) -> Array:
        z = self.bands(y, cond)
        bands = torch.zeros_like(z)
        for name, band, mine in self.groups(z, cond):
            mixture = self.params(name, bands, band, self.seen(bands, band, mine), cond)
            span = self.range(bands, band, cond)
            for colour in range(z.shape[2]):
                low, high = torch.zeros_like(span[0][:, colour]), span[2][:, colour] - 1
                T = self.norm(bands[:, band], band)
                while bool((low < high).any()):
                    middle = torch.div(low + high + 1, 2, rounding_mode="floor")
                    edge = (span[0][:, colour] + middle * span[1]).double() - 0.5 * span[1]
                    edge = (edge * self.unit(cond) + self.offset(cond)).unsqueeze(1).expand(-1, z.shape[2], -1, -1)
                    at = _normal_between(*self.tails(mixture, T, colour, self.norm(edge, band)[:, colour]))
                    below = at <= z[:, band, colour]
                    low, high = torch.where(below, middle, low), torch.where(below, high, middle - 1)
                x = (span[0][:, colour] + low * span[1]) * self.unit(cond) + self.offset(cond)
                bands[:, band, colour] = torch.where(mine, x.to(bands.dtype), bands[:, band, colour])
        return self.joined(bands)


def _normal_between(below: Array, above: Array) -> Array:
    """The standard normal's value with these probabilities of a smaller and of a larger one."""
    tail = torch.minimum(below, above).clamp(1e-300, 0.5)
    z = torch.special.ndtri(tail)
    return torch.where(below < above, z, -z)


_WORDS: dict[str, type[_Word]] = {
    **dict.fromkeys(_TRANSFORMS, _Coupling),
    **dict.fromkeys(("actnorm", "conv1x1", "householder", "shuffle", "reverse"), _Linear),
    "cond": _Cond, "maskedconv": _Autoregressive, "ar": _Autoregressive, "squeeze": _Squeeze, "haar": _Squeeze,
    "split": _Split, "lattice": _Lattice,
}  # fmt: skip


class Flow:
    """A chain with its parameters: z = f(x; cond). x [N,..,K], cond [N,..,C] or None, z [N,n] with the channels that
    splits factor out behind the others, the last split's first."""

    def __init__(self, chain: str, params: Params):
        self.words = []
        for i, (name, options) in enumerate(parse_chain(chain)):
            if name not in _WORDS:
                raise Error(f"chain: unknown word {name!r}; there are {', '.join(_WORDS)}")
            prefix = f"{i:03d}.{name}."
            own = {key[len(prefix) :]: value for key, value in params.items() if key.startswith(prefix)}
            self.words.append(_WORDS[name](name, options, own))

    def _conditions(self, cond: Array | None) -> list[Array | None]:
        conditions = [None if cond is None else _channels_first(cond)]
        for word in self.words:
            conditions.append(word.condition(conditions[-1]))
        return conditions

    def forward(self, x: Array, cond: Array | None) -> tuple[Array, Array]:
        """(z, log|det dz/dx|): [N,n] and [N], nats."""
        state, parts, logdet = _channels_first(x), [], torch.zeros_like(x.flatten(1)[:, 0])
        for word, c in zip(self.words, self._conditions(cond)):
            state, log = word.forward(state, c)
            logdet = logdet + log
            if isinstance(word, _Split):
                rest = word.shape(state.shape[1], ())[0]
                parts.insert(0, _pixels_first(state[:, rest:]).flatten(1))
                state = state[:, :rest]
        return torch.cat([_pixels_first(state).flatten(1)] + parts, 1), logdet

    def inverse(self, z: Array, cond: Array | None, shape: tuple[int, ...]) -> Array:
        """x [N,..,K] of z [N,n]. shape: [..,K], that of x without the batch."""
        shapes = [(shape[-1], tuple(shape[:-1]))]
        for word in self.words:
            shapes.append(word.shape(*shapes[-1]))

        def take(K: int, sides: tuple[int, ...]) -> Array:
            nonlocal z
            n = K * math.prod(sides)
            part, z = z[:, :n], z[:, n:]
            return _channels_first(part.reshape((-1,) + sides + (K,)))

        state, conditions = take(*shapes[-1]), self._conditions(cond)
        for i in reversed(range(len(self.words))):
            if isinstance(self.words[i], _Split):
                state = torch.cat([state, take(shapes[i][0] - shapes[i + 1][0], shapes[i][1])], 1)
            state = self.words[i].inverse(state, conditions[i])
        return _pixels_first(state)


# -- the model ---------------------------------------------------------------------------------------------------------


def _to_numpy(x: Array) -> np.ndarray:
    return x.detach().cpu().numpy() if hasattr(x, "detach") else np.asarray(x)


def find_model(name: Path) -> str:
    """The folder of a model: a path, or a name as -m takes it, in WF_MODELS or among the models that come with this
    file; or the folder `model` in it, as wf-train makes. A name that is not found comes back as it is."""
    name, here = os.fspath(name), os.path.dirname(os.path.abspath(__file__))
    places = [place for place in os.environ.get("WF_MODELS", "").split(":") if place]
    places += [os.path.join(here, "models"), os.path.join(here, "..", "data")]
    folders = [name] if "/" in name or os.path.exists(name) else [os.path.join(place, name) for place in places]
    models = (model for folder in folders for model in (folder, os.path.join(folder, "model")))
    return next((model for model in models if os.path.exists(os.path.join(model, "wf.json"))), name)


class Model:
    """A trained model; load() gives one that is a torch.nn.Module. Parameters are the averaged weights, and require
    gradients. Images are arrays or tensors [N,H,W,C] (sounds [N,W,C], volumes [N,D,H,W,C]) of values 0 to 2^bits - 1.
    All computations are in the parameters' type, float32 at first; a level of precision bf16 differs from the programs
    by their rounding."""

    def __init__(self, folder: Path):
        super().__init__()
        self.meta = read_meta(folder)
        self.chains: list[str] = []
        self.dequantize: str | None = None  # chain of learnt noise
        self.params = torch.nn.ModuleList()
        self._names: list[list[str]] = []
        for level in range(self.meta.levels + 1):
            path = os.path.join(folder, f"level-{level:02d}.safetensors")
            text, tensors = read_level(path)
            averages = {key[4:]: value for key, value in tensors.items() if key.startswith("ema/")}
            if Meta.from_text(text, path).shape != self.meta.shape or text.get("level") != str(level):
                raise Error(f"{path}: is level {text.get('level')} for pictures of {text.get('shape')}")
            self.chains.append(text["chain"])
            self.dequantize = text.get("dequantize")
            self._names.append(list(averages))
            parameters = [torch.nn.Parameter(torch.from_numpy(value.copy())) for value in averages.values()]
            self.params.append(torch.nn.ParameterList(parameters))

    def flow(self, level: int, noise: bool = False) -> Flow:
        """The flow of a level; with `noise` that of learnt dequantization noise."""
        params = dict(zip(self._names[level], self.params[level]))
        own = {key[len("dequantize.") :]: value for key, value in params.items() if key.startswith("dequantize.")}
        flow = Flow(self.dequantize or "", own) if noise else Flow(self.chains[level], params)
        for word in flow.words:
            if isinstance(word, _Lattice):
                word.bits, word.halvings = self.meta.bits, self.meta.levels - level + (level > 0)
        return flow

    def is_exact(self, level: int) -> bool:
        """True for a level with probabilities of whole numbers, which takes no noise."""
        return any(name == "lattice" for name, _ in parse_chain(self.chains[level]))

    def _tensor(self, x: Array) -> Array:
        like = next(iter(self.params[0]))
        x = torch.as_tensor(np.asarray(x) if not hasattr(x, "detach") else x)
        return x.to(like.device, like.dtype)

    def _images(self, images: Array) -> Array:
        images = self._tensor(images)
        if tuple(images.shape[1:]) != self.meta.shape:
            raise Error(f"images of shape {list(images.shape)}, expected [N,{','.join(map(str, self.meta.shape))}]")
        return images

    def _scale(self, x: Array, low: bool) -> Array:
        """Pixel units to the flow's, without noise: a pixel stands for the middle of its interval."""
        return (x + 0.5) / 2**self.meta.bits - 0.5 if low else x / 2**self.meta.bits

    def level_log_prob(self, level: int, low: Array, detail: Array | None, seed: int = 0,
                       index: Sequence[int] | None = None, noise: bool = True) -> Array:  # fmt: skip
        """[N]: log density of a level in nats, in the flow's units. low [N,h,w,C] and detail [N,h,w,3C] as split gives
        them. noise: dequantization noise as wf-bpd draws it for pictures of these indices (default 0, 1, ..)."""
        low, detail, log_q = self._tensor(low), None if detail is None else self._tensor(detail), 0.0
        noise = noise and not self.is_exact(level)
        drawn = list(range(len(low))) if index is None else [int(i) for i in index]
        if self.dequantize and noise:
            x, log_q = self._learnt_noise(self._scale(low, True), seed, drawn)
            cond = None
        else:
            if noise:
                pairs = [_noise(self.meta, level, seed, i) for i in drawn]
                low = low + self._tensor(np.stack([pair[0] for pair in pairs])) - 0.5
                detail = None if detail is None else detail + self._tensor(np.stack([pair[1] for pair in pairs]))
            cond = None if detail is None else self._scale(low, True)
            x = self._scale(low, True) if detail is None else self._scale(detail, False)
        z, logdet = self.flow(level).forward(x, cond)
        return -0.5 * z.square().sum(1) - 0.5 * z.shape[1] * math.log(2 * math.pi) + logdet - log_q

    def _learnt_noise(self, x: Array, seed: int, index: list[int]) -> tuple[Array, Array]:
        """x with noise from the model's own flow, and the noise's log density."""
        e = self._tensor(np.stack([normals(seed, _EVAL, 0, i, x[0].numel()) for i in index]))
        f, logdet = self.flow(0, True).forward(e.reshape(x.shape), x)
        f = 1.75 * f
        log = torch.nn.functional.logsigmoid(f) + torch.nn.functional.logsigmoid(-f) + math.log(1.75)
        log_q = -0.5 * e.square().sum(1) - 0.5 * e.shape[1] * math.log(2 * math.pi) - logdet - log.sum(1)
        return x + ((torch.sigmoid(f) - 0.5) / 2**self.meta.bits).reshape(x.shape), log_q

    def bits_per_dim(self, images: Array, seed: int = 0, index: Sequence[int] | None = None,
                     noise: bool = True) -> Array:  # fmt: skip
        """[N, levels + 1]: each level's contribution, as wf-bpd --per-image prints it; their sum is the total."""
        bits, meta = [], self.meta
        for level, (low, detail) in enumerate(split(self._images(images), meta.levels, meta.wavelet)):
            D = math.prod(meta.detail_shape(level))
            log_prob = self.level_log_prob(level, low, detail, seed, index, noise)
            nats = D * (0.5 * meta.axes * (meta.levels - level) + meta.bits) * math.log(2) - log_prob
            bits.append(nats / (math.log(2) * math.prod(meta.shape)))
        return torch.stack(bits, 1)

    def log_prob(self, images: Array, seed: int = 0, index: Sequence[int] | None = None, noise: bool = True) -> Array:
        """[N]: log density in nats per picture, in pixel units: minus the total of bits_per_dim, times ln 2 and the
        number of samples. Its mean over the noise is a lower bound of the discrete picture's log probability."""
        bits = self.bits_per_dim(images, seed, index, noise)
        return -bits.sum(1) * (math.log(2) * math.prod(self.meta.shape))

    def forward(self, images: Array) -> Array:
        return self.log_prob(images)

    def encode(self, images: Array) -> list[Array]:
        """Latents of each level, lowest first, each of the shape that Meta.detail_shape gives: those of wf-encode."""
        out = []
        for level, (low, detail) in enumerate(split(self._images(images), self.meta.levels, self.meta.wavelet)):
            x = self._scale(low, True) if detail is None else self._scale(detail, False)
            z, _ = self.flow(level).forward(x, None if detail is None else self._scale(low, True))
            out.append(z.reshape(x.shape))
        return out

    def inverse(self, level: int, z: Array, low: Array | None = None) -> Array:
        """Details in pixel units [N,h,w,3C] of latents of the same shape, given low [N,h,w,C]; at level 0 the base, and
        low is None."""
        z, scale = self._tensor(z), 2**self.meta.bits
        cond = None if low is None else self._scale(self._tensor(low), True)
        x = self.flow(level).inverse(z.flatten(1), cond, tuple(z.shape[1:]))
        return x * scale if level else x * scale + 0.5 * scale - 0.5

    def decode(self, latents: Sequence[Array]) -> Array:
        """Images [N,H,W,C] of one tensor of latents a level, the inverse of encode; not rounded, not clamped."""
        if len(latents) != self.meta.levels + 1:
            raise Error(f"latents of {len(latents)} levels, expected {self.meta.levels + 1}")
        images = self.inverse(0, latents[0])
        for level, z in enumerate(latents[1:], 1):
            images = join_level(images, self.inverse(level, z, images), self.meta.wavelet)
        return images

    def sample(self, n: int, seed: int = 0, temperature: float = 1.0, first: int = 0,
               step: int = 1) -> Array:  # fmt: skip
        """Images [n,H,W,C], drawn as wf-sample draws pictures first, first + step, .. with this seed and temperature:
        first = i - 1 and step = N are shard i of N. Values are not rounded or clamped, and carry no gradients."""
        latents = []
        for level in range(self.meta.levels + 1):
            shape = self.meta.detail_shape(level)
            z = [normals(seed, _LATENT, level, i, math.prod(shape)).reshape(shape)
                 for i in range(first, first + n * step, step)]  # fmt: skip
            latents.append(temperature * self._tensor(np.stack(z)))
        with torch.no_grad():
            return self.decode(latents)


@functools.lru_cache(None)
def _module() -> type:
    return type("Model", (Model, torch.nn.Module), {"__doc__": Model.__doc__, "__module__": __name__})


def load(folder: Path, device: Any = "cpu") -> Any:
    """The model in a folder of wf-train-level or wf-export, or an installed one such as "leaves": a Model that is also
    a torch.nn.Module.

    Raises Error for a folder that is no model, or lacks a level; ImportError without PyTorch."""
    return _module()(find_model(folder)).to(device).eval()


# -- chains ------------------------------------------------------------------------------------------------------------


def read_stats(path: Path, level: int, chains: Sequence[int] | None = None) -> dict[str, dict[str, np.ndarray]]:
    """Chains of one level from wf-nuts --stats, by ArviZ's names: posterior has x [chain,draw,8], sample_stats
    [chain,draw] each. arviz.from_dict(read_stats(path, 0)) with ArviZ 1, arviz.from_dict(**read_stats(path, 0)) before.
    chains: these only, since chains of different pictures above the first level have different targets."""
    names = {"lp__": "lp", "accept_stat__": "acceptance_rate", "stepsize__": "step_size", "treedepth__": "tree_depth",
             "n_leapfrog__": "n_steps", "divergent__": "diverging", "energy__": "energy"}  # fmt: skip
    try:
        with open(path, encoding="ascii") as file:
            head = file.readline().strip().split(",")
            table = dict(zip(head, np.loadtxt(file, delimiter=",", ndmin=2, dtype=np.float64).T))
        rows = (table["level"] == level) & (np.isin(table["chain"], table["chain"] if chains is None else chains))
        ids = np.unique(table["chain"][rows])
        stats = {name: table[key][rows].reshape(len(ids), -1) for key, name in names.items()}
        x = np.stack([table[f"x.{i}"][rows].reshape(len(ids), -1) for i in range(1, 9)], -1)
    except OSError as problem:
        raise Error(f"{path}: {problem.strerror}") from None
    except (KeyError, ValueError, ZeroDivisionError) as problem:
        raise Error(f"{path}: no whole chains of level {level}, as wf-nuts --stats writes them: {problem}") from None
    for name, kind in (("diverging", bool), ("tree_depth", int), ("n_steps", int)):
        stats[name] = stats[name].astype(kind)
    return {"posterior": {"x": x}, "sample_stats": stats}
