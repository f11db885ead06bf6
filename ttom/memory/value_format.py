"""The bytes of a value: LoRA tensors as safetensors, with the entry's record in the metadata.

Written and checked without torch, so that merging and verifying a memory need no model. Values that version 1 of the
format wrote have no record in them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from ttom.memory.entries import (
    MAX_LAYOUT,
    MAX_TEXT,
    CorruptValue,
    Name,
    Record,
    first_problem,
)
from ttom.memory.signature import Signature

METADATA = "ttom-memory"
"""Key of our part of the safetensors metadata."""
VERSION = 2
MAX_HEADER = 8 * (MAX_LAYOUT + MAX_TEXT) + 2**22
"""Bytes of a file's header: the record, and some hundred bytes a tensor."""
A, B = ".lora_A.weight", ".lora_B.weight"

_DTYPES = {"BF16": 2, "F16": 2, "F32": 4, "F64": 8}


class Stored(BaseModel):
    """What a value's metadata hold.

    Attributes:
        version: Of this format.
        embedder: Identity of the embedder that made the record's embedding.
        record: See Record.
    """

    version: int = Field(ge=VERSION, strict=True)
    embedder: Name
    record: Record


@dataclass(frozen=True)
class Value:
    """A value as read: its metadata (None in values of version 1) and ``{tensor: (dtype, shape, bytes)}``."""

    stored: Stored | None
    tensors: dict[str, tuple[str, tuple[int, ...], memoryview]]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: shape for name, (_, shape, _) in self.tensors.items()}


def encode(state: Mapping[str, Any], record: Record, *, embedder: str) -> bytes:
    """A value as the bytes of its file.

    Args:
        state: Tensors of torch, or arrays of numpy.
        record: Of the entry that it belongs to.
        embedder: Identity of the embedder of the record's embedding.
    """
    stored = Stored(version=VERSION, embedder=embedder, record=record)
    metadata = {METADATA: stored.model_dump_json()}  # a single key: the library writes several in any order
    if all(isinstance(tensor, np.ndarray) for tensor in state.values()):
        from safetensors.numpy import save as save_arrays

        return save_arrays({name: np.ascontiguousarray(array) for name, array in state.items()}, metadata=metadata)
    from safetensors.torch import save as save_tensors

    return save_tensors({name: tensor.contiguous() for name, tensor in state.items()}, metadata=metadata)


def decode(data: bytes) -> Value:
    """What the bytes of a file hold, without copies. Raises CorruptValue if they are no value; nothing is unpickled."""
    header = _header(data)
    metadata = header.pop("__metadata__", None)
    tensors = _tensors(header, memoryview(data)[8 + int.from_bytes(data[:8], "little") :])
    text = metadata.get(METADATA) if isinstance(metadata, dict) else None
    if text is None:
        return Value(None, tensors)
    try:
        return Value(Stored.model_validate_json(text), tensors)
    except ValidationError as error:
        raise CorruptValue(f"the record in its value cannot be read ({first_problem(error)})") from None


def _tensors(header: dict[str, Any], body: memoryview) -> dict[str, tuple[str, tuple[int, ...], memoryview]]:
    """As strict as safetensors itself: the tensors fill the file, one after the other. Raises CorruptValue."""
    found, end = {}, 0
    try:
        for name, view in sorted(header.items(), key=lambda item: tuple(item[1]["data_offsets"])):
            start, stop = view["data_offsets"]
            shape, dtype = tuple(view["shape"]), view["dtype"]
            if not all(type(size) is int and 0 <= size < 2**40 for size in (*shape, start, stop)):
                raise ValueError
            if start != end or stop - start != _DTYPES[dtype] * math.prod(shape):
                raise ValueError
            found[name], end = (dtype, shape, body[start:stop]), stop
    except (KeyError, TypeError, ValueError):
        raise CorruptValue("its value is not a safetensors file of floating-point tensors") from None
    if end != len(body):
        raise CorruptValue("its value is not a whole safetensors file")
    return found


def shapes_in(head: bytes) -> dict[str, tuple[int, ...]]:
    """The shapes that the start of a file promises, its header at least. Raises CorruptValue."""
    try:
        return {
            name: tuple(int(size) for size in view["shape"])
            for name, view in _header(head).items()
            if name != "__metadata__"
        }
    except (KeyError, TypeError, ValueError):
        raise CorruptValue("its value is not a safetensors file") from None


def check(value: Value, signature: Signature, shapes: Mapping[str, tuple[int, ...]] | None = None) -> None:
    """Raise CorruptValue unless the tensors are what the signature says: LoRA pairs, finite, of the right shapes.

    Args:
        value: As decoded.
        signature: Of its entry; its own shapes count too, where it has any.
        shapes: Those of other values of the same signature.
    """
    expected = shapes if shapes is not None else signature.shapes
    if expected is not None and value.shapes != dict(expected):
        odd = sorted(n for n in value.shapes.keys() | expected.keys() if value.shapes.get(n) != expected.get(n))
        raise CorruptValue(
            f"its value does not fit the model: {odd[0][:100]!r} is {value.shapes.get(odd[0], 'missing')}, "
            f"not {expected.get(odd[0], 'there')} ({len(odd)} tensors differ)"
        )
    modules = [name.removesuffix(A) for name in value.tensors if name.endswith(A)]
    if value.tensors.keys() != {module + end for module in modules for end in (A, B)} or not modules:
        raise CorruptValue("its value does not consist of pairs of LoRA tensors")
    if len(modules) != signature.layers:
        raise CorruptValue(f"its value has {len(modules)} layers, its signature {signature.layers}")
    for module in modules:
        _check_module(module, value, signature)
    for name, (dtype, shape, data) in value.tensors.items():
        if not _finite(dtype, data):
            raise CorruptValue(f"its value is not finite: {name[:100]!r} {shape} has NaN or infinite numbers")


def _check_module(module: str, value: Value, signature: Signature) -> None:
    a, b = value.shapes[module + A], value.shapes[module + B]
    if len(a) != 2 or len(b) != 2 or not a[0] == b[1] == signature.rank or 0 in (*a, *b):
        raise CorruptValue(f"its value has {module[:100]!r} of shapes {a} and {b} for rank {signature.rank}")
    parts = module.split(".")
    block = int(parts[1]) if len(parts) > 2 and parts[1].isascii() and parts[1].isdigit() else -1
    if not signature.first <= block <= signature.last or not module.endswith(tuple(signature.projections)):
        raise CorruptValue(f"its value has a tensor for {module[:100]!r}, which its signature does not name")


def _finite(dtype: str, data: memoryview) -> bool:
    if dtype == "BF16":  # numpy has none: all bits of the exponent set means infinite or NaN
        bits = np.frombuffer(data, "<u2") & 0x7FFF
        return not bits.size or bool(bits.max() < 0x7F80)
    return bool(np.isfinite(np.frombuffer(data, f"<f{_DTYPES[dtype]}")).all())


def _header(data: bytes) -> dict[str, Any]:
    length = int.from_bytes(data[:8], "little")
    if len(data) < 10 or not 2 <= length <= min(MAX_HEADER, len(data) - 8):
        raise CorruptValue("its value is not a safetensors file")
    try:
        header = json.loads(data[8 : 8 + length], object_pairs_hook=_each_once)
    except (ValueError, RecursionError):
        raise CorruptValue("its value is not a safetensors file") from None
    if not isinstance(header, dict):
        raise CorruptValue("its value is not a safetensors file")
    return header


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object without repeated names, of which readers take different ones."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is there twice")
    return found
