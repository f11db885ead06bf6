"""Arrays in answers survive JSON, and nothing but what was written is read."""

from __future__ import annotations

import json
import zlib
from base64 import b64encode

import numpy as np
import pytest

from eval.metrics.arrays import decode, encode


@pytest.mark.parametrize("kind", ["bool", "uint8", "float16", "float32"])
def test_round_trip(kind: str) -> None:
    array = (np.random.default_rng(0).random((3, 5, 7)) * 2).astype(kind)
    again = decode(json.loads(json.dumps(encode(array))))
    assert again.dtype == array.dtype and np.array_equal(again, array)


def test_objects_are_refused() -> None:
    with pytest.raises(ValueError, match="object"):
        encode(np.array([object()]))


@pytest.mark.parametrize(
    "change",
    [{"dtype": "object"}, {"shape": [2, 2]}, {"shape": [-1]}, {"data": "?"}, {"data": b64encode(b"no").decode()}],
)
def test_broken_values_are_value_errors(change: dict) -> None:
    with pytest.raises(ValueError):
        decode({**encode(np.zeros(3, np.uint8)), **change})
    with pytest.raises(ValueError):
        decode(None)


def test_a_bomb_is_not_unpacked() -> None:
    bomb = b64encode(zlib.compress(bytes(50_000_000))).decode()
    with pytest.raises(ValueError, match="instead of 3"):
        decode({"shape": [3], "dtype": "uint8", "data": bomb})
    with pytest.raises(ValueError, match="too large"):
        decode({"shape": [10**6, 10**6], "dtype": "uint8", "data": ""})
