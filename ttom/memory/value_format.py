"""The file format of values: LoRA tensors as safetensors, with the entry's record in the metadata.

Reading and checking do not need torch, so merging and verifying memories is fast. Values written by version 1 have no
record.
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
    MAX_VALUE_BYTES,
    CorruptValue,
    Name,
    Record,
    first_problem,
)
from ttom.memory.signature import Signature

METADATA = "ttom-memory"
"""Key of the record in the safetensors metadata."""
VERSION = 2
MAX_HEADER = 8 * (MAX_LAYOUT + MAX_TEXT) + 2**22
"""Maximum size of a file's header: the record, and a few hundred bytes per tensor."""
A, B = ".lora_A.weight", ".lora_B.weight"

_DTYPES = {"BF16": 2, "F16": 2, "F32": 4, "F64": 8}


class Stored(BaseModel):
    """Metadata of a value.

    Attributes:
        version: Version of this format.
        embedder: Identity of the embedder that computed the record's embedding.
        record: The entry's record.
    """

    version: int = Field(ge=VERSION, strict=True)
    embedder: Name
    record: Record


@dataclass(frozen=True)
class Value:
    """A decoded value: its metadata (None in version 1) and its tensors as ``{name: (dtype, shape, bytes)}``."""

    stored: Stored | None
    tensors: dict[str, tuple[str, tuple[int, ...], memoryview]]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: shape for name, (_, shape, _) in self.tensors.items()}


def encode(state: Mapping[str, Any], record: Record, *, embedder: str) -> bytes:
    """Encode a value as the bytes of its file; the same input gives the same bytes.

    Args:
        state: Torch tensors or NumPy arrays.
        record: The entry's record.
        embedder: Identity of the embedder that computed the record's embedding.
    """
    stored = Stored(version=VERSION, embedder=embedder, record=record)
    metadata = {
        METADATA: stored.model_dump_json()
    }  # a single key, since the library writes several keys in random order
    if all(isinstance(tensor, np.ndarray) for tensor in state.values()):
        from safetensors.numpy import save as save_arrays

        return save_arrays({name: np.ascontiguousarray(array) for name, array in state.items()}, metadata=metadata)
    from safetensors.torch import save as save_tensors

    return save_tensors({name: tensor.contiguous() for name, tensor in state.items()}, metadata=metadata)


def with_record(data: bytes, record: Record, *, embedder: str) -> bytes:
    """The bytes of a value with a record; the very same if it has one, else with one added to its header.

    Needs no torch, and the same input gives the same bytes. Raises CorruptValue for anything that is not a value.
    """
    if decode(data).stored is not None:
        return data
    header = _header(data)
    header.pop("__metadata__", None)
    stored = Stored(version=VERSION, embedder=embedder, record=record)
    header = {"__metadata__": {METADATA: stored.model_dump_json()}, **header}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    made = len(text).to_bytes(8, "little") + text + data[8 + int.from_bytes(data[:8], "little") :]
    if len(text) > MAX_HEADER or len(made) > MAX_VALUE_BYTES:
        raise CorruptValue("its value is too large for a record")
    return made


def decode(data: bytes) -> Value:
    """Decode a file without copying the tensors. Raises CorruptValue for anything that is not a value."""
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
    """Validate tensors as strictly as safetensors: they fill the file without gaps. Raises CorruptValue."""
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


def has_record(head: bytes) -> bool:
    """Whether a file contains a record, according to the header at its start. Raises CorruptValue."""
    metadata = _header(head).get("__metadata__")
    return isinstance(metadata, dict) and METADATA in metadata


def shapes_in(head: bytes) -> dict[str, tuple[int, ...]]:
    """Tensor shapes according to the header at the start of a file. Raises CorruptValue."""
    try:
        return {
            name: tuple(int(size) for size in view["shape"])
            for name, view in _header(head).items()
            if name != "__metadata__"
        }
    except (KeyError, TypeError, ValueError):
        raise CorruptValue("its value is not a safetensors file") from None


def check(value: Value, signature: Signature, shapes: Mapping[str, tuple[int, ...]] | None = None) -> None:
    """Raise CorruptValue unless the tensors are finite pairs of LoRA tensors that match the signature.

    Args:
        value: The decoded value.
        signature: Of its entry. If it has shapes, the tensors must have them.
        shapes: Expected shapes, in place of those of the signature.
    """
    expected = shapes if shapes is not None else signature.shapes
    if expected is not None and value.shapes != dict(expected):
        odd = sorted(n for n in value.shapes.keys() | expected.keys() if value.shapes.get(n) != expected.get(n))
        raise CorruptValue(
            f"its value does not fit the model: {odd[0][:100]!r} is {value.shapes.get(odd[0], 'missing')}, "
            f"not {expected.get(odd[0], 'there')} ({len(odd)} tensors differ)"
        )
    try:
        modules = modules_of(value.shapes)
    except ValueError as error:
        raise CorruptValue(f"its value is not an adapter: {error}") from None
    if len(modules) != signature.layers:
        raise CorruptValue(f"its value has {len(modules)} layers, its signature {signature.layers}")
    for module in modules:
        _check_module(module, value, signature)
    for name, (dtype, shape, data) in value.tensors.items():
        if not _finite(dtype, data):
            raise CorruptValue(f"its value is not finite: {name[:100]!r} {shape} has NaN or infinite numbers")


def modules_of(shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Names of the modules to which an adapter's tensors belong.

    Args:
        shapes: For each module A ``(r, inputs)`` and B ``(outputs, r)``.

    Raises:
        ValueError: They are not whole pairs of LoRA tensors, or a pair cannot be multiplied.
    """
    modules = [name.removesuffix(A) for name in shapes if name.endswith(A)]
    odd = sorted(shapes.keys() ^ {module + end for module in modules for end in (A, B)})
    if odd or not modules:
        raise ValueError(f"not pairs of LoRA tensors: {', '.join(odd[:3])[:200] or 'there are none'}")
    for module in modules:
        a, b = shapes[module + A], shapes[module + B]
        if len(a) != 2 or len(b) != 2 or a[0] != b[1] or 0 in (*a, *b):
            raise ValueError(f"{module[:100]!r}: A {a} and B {b} cannot be multiplied")
    return modules


def _check_module(module: str, value: Value, signature: Signature) -> None:
    rank = value.shapes[module + A][0]
    if rank != signature.rank:
        raise CorruptValue(f"its value has rank {rank} in {module[:100]!r}, its signature {signature.rank}")
    parts = module.split(".")
    block = int(parts[1]) if len(parts) > 2 and parts[1].isascii() and parts[1].isdigit() else -1
    if not signature.first <= block <= signature.last or not module.endswith(tuple(signature.projections)):
        raise CorruptValue(f"its value has a tensor for {module[:100]!r}, which its signature does not include")


def _finite(dtype: str, data: memoryview) -> bool:
    if dtype == "BF16":  # NumPy has no bfloat16; infinity and NaN have all bits of the exponent set
        bits = np.frombuffer(data, "<u2") & 0x7FFF
        return not bits.size or bool(bits.max() < 0x7F80)
    return bool(np.isfinite(np.frombuffer(data, f"<f{_DTYPES[dtype]}")).all())


def header_bytes(data: bytes) -> int:
    """Size of a file's header, which follows these first 8 bytes. Raises CorruptValue."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or not 2 <= length <= MAX_HEADER:
        raise CorruptValue("its value is not a safetensors file")
    return length


def _header(data: bytes) -> dict[str, Any]:
    length = header_bytes(data)
    if length > len(data) - 8:
        raise CorruptValue("its value is not a safetensors file")
    try:
        header = json.loads(data[8 : 8 + length], object_pairs_hook=_each_once)
    except (ValueError, RecursionError):
        raise CorruptValue("its value is not a safetensors file") from None
    if not isinstance(header, dict):
        raise CorruptValue("its value is not a safetensors file")
    return header


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Reject repeated names in a JSON object, which different parsers resolve differently."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is there twice")
    return found
