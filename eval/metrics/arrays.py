"""Arrays in answers, which are plain JSON: zlib-compressed bytes in base64 beside shape and type; never pickled."""

from __future__ import annotations

import base64
import binascii
import zlib
from math import prod
from typing import Any

import numpy as np

_TYPES = ("bool", "uint8", "float16", "float32")
_LARGEST = 256 * 2**20
"""Bytes of an array that is decoded; a larger one is a mistake or an attack."""


def encode(array: np.ndarray) -> dict[str, Any]:
    """A JSON value of the array: bool (a bit each), uint8, float16 or float32."""
    kind = array.dtype.name
    if kind not in _TYPES:
        raise ValueError(f"arrays of {kind} are not kept")
    raw = np.packbits(array).tobytes() if kind == "bool" else np.ascontiguousarray(array).tobytes()
    data = base64.b64encode(zlib.compress(raw, 6)).decode("ascii")
    return {"shape": list(array.shape), "dtype": kind, "data": data}


def decode(value: Any) -> np.ndarray:
    """The array again. Raises ValueError for anything that `encode` does not write."""
    try:
        shape, kind = tuple(int(n) for n in value["shape"]), value["dtype"]
        packed = base64.b64decode(value["data"], validate=True)
    except (TypeError, KeyError, binascii.Error) as error:
        raise ValueError(f"not an encoded array: {error}") from error
    if kind not in _TYPES or min(shape, default=0) < 0:
        raise ValueError(f"not an encoded array: {kind} of shape {shape}")
    count = prod(shape)
    size = -(-count // 8) if kind == "bool" else count * np.dtype(kind).itemsize
    if size > _LARGEST:
        raise ValueError(f"an array of {size:,} bytes is too large")
    unpacker = zlib.decompressobj()
    try:
        raw = unpacker.decompress(packed, size + 1)
    except zlib.error as error:
        raise ValueError(f"not an encoded array: {error}") from error
    if len(raw) != size:
        raise ValueError(f"an array of {len(raw):,} bytes instead of {size:,}")
    if kind == "bool":
        return np.unpackbits(np.frombuffer(raw, np.uint8), count=count).astype(bool).reshape(shape)
    return np.frombuffer(raw, kind).reshape(shape)
