"""A value's bytes: tensors and record come back, the same input gives the same bytes, and nonsense is refused."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load, save

from tests.memory.memories import MODULE, SIGNATURE, VECTOR, state
from ttom.memory.entries import CorruptValue, Record
from ttom.memory.value_format import METADATA, check, decode, encode, has_record, shapes_in, with_record

RECORD = Record(
    namespace="ann", key="<object A> moves", prompt="ein Bär läuft\nnach links 🐻", layout={"a": [1, 2.5]},
    origin="row 1", embedding=VECTOR, signature=SIGNATURE, loss_before=0.1, loss_after=1 / 3, created=1764240000.123456,
)  # fmt: skip


def test_tensors_and_record_come_back() -> None:
    tensors = {name: torch.from_numpy(array).bfloat16() for name, array in state(1 / 3).items()}
    data = encode(tensors, RECORD, embedder="e")
    found = decode(data)
    assert found.stored is not None and found.stored.embedder == "e" and found.stored.record.differs(RECORD) is None
    assert all(torch.equal(tensor, load(data)[name]) for name, tensor in tensors.items())
    check(found, SIGNATURE)
    assert shapes_in(data[:2000]) == found.shapes
    assert encode(tensors, RECORD, embedder="e") == data
    arrays = {name: tensor.float().numpy() for name, tensor in tensors.items()}
    assert decode(encode(arrays, RECORD, embedder="e")).shapes == found.shapes


def test_a_value_of_version_1_has_no_record() -> None:
    found = decode(save({name: torch.from_numpy(array) for name, array in state().items()}))
    assert found.stored is None
    check(found, SIGNATURE)


def test_a_record_is_added_without_changing_the_tensors() -> None:
    tensors = {name: torch.from_numpy(array).bfloat16() for name, array in state(1 / 3).items()}
    tensors["a.name.first"] = torch.ones(3, dtype=torch.float64)
    data = encode(tensors, RECORD, embedder="e")
    assert with_record(data, RECORD.model_copy(update={"prompt": "other"}), embedder="f") is data  # it has one
    assert with_record(save(tensors), RECORD, embedder="e") == data
    assert with_record(save(tensors, metadata={"format": "pt"}), RECORD, embedder="e") == data
    with pytest.raises(CorruptValue):
        with_record(data[:-1], RECORD, embedder="e")
    assert has_record(data[:2000]) and not has_record(save(tensors)) and not has_record(save(tensors, {"a": "b"}))
    for other in (b"", data[:100], b"x" * 100):
        with pytest.raises(CorruptValue):
            has_record(other)


@pytest.mark.parametrize("field", ["namespace", "key", "prompt", "layout", "origin", "loss_after", "created"])
def test_every_field_is_compared(field: str) -> None:
    other = {"layout": {"a": 3}, "loss_after": 0.5, "created": 1.0}.get(field, "other")
    changed = RECORD.model_copy(update={field: other})
    assert RECORD.differs(changed) == field
    turned = RECORD.model_copy(update={"embedding": -VECTOR})
    assert RECORD.differs(turned) == "embedding" and RECORD.differs(turned, embedding=False) is None


@pytest.mark.parametrize(
    "change",
    [
        {"version": 1}, {"version": "2"}, {"embedder": ""}, {"record": None}, {"record": {}},
        {"record": {"embedding": "AAAA"}}, {"record": {"embedding": "!"}}, {"record": {"created": "soon"}},
        {"record": {"signature": {"architecture": "x\x1b[31m"}}}, {"record": {"prompt": "a\x00"}},
    ],
)  # fmt: skip
def test_records_that_no_memory_writes_are_refused(change: dict) -> None:
    data = encode(state(), RECORD, embedder="e")
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    stored = json.loads(header["__metadata__"][METADATA])
    if isinstance(change.get("record"), dict) and change["record"]:
        inner = {**stored["record"], **change["record"]}
        if "signature" in change["record"]:
            inner["signature"] = {**stored["record"]["signature"], **change["record"]["signature"]}
        change = {"record": inner}
    header["__metadata__"][METADATA] = json.dumps({**stored, **change})
    text = json.dumps(header).encode()
    with pytest.raises(CorruptValue, match="record in its value") as caught:
        decode(len(text).to_bytes(8, "little") + text + data[8 + length :])
    assert len(str(caught.value)) < 400 and "\x1b" not in str(caught.value)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_not_finite_are_seen_in_every_format(dtype: torch.dtype, wrong: float) -> None:
    tensors = {name: torch.from_numpy(array).to(dtype) for name, array in state().items()}
    check(decode(encode(tensors, RECORD, embedder="e")), SIGNATURE)
    tensors[f"{MODULE}.lora_B.weight"][4, 1] = wrong
    with pytest.raises(CorruptValue, match="not finite"):
        check(decode(encode(tensors, RECORD, embedder="e")), SIGNATURE)


def test_shapes_of_the_model_are_demanded_where_they_are_known() -> None:
    value = decode(encode(state(), RECORD, embedder="e"))
    shapes = {f"{MODULE}.lora_A.weight": (2, 6), f"{MODULE}.lora_B.weight": (5, 2)}
    check(value, SIGNATURE, shapes)
    for other in ({**shapes, "extra": (1,)}, {**shapes, f"{MODULE}.lora_A.weight": (2, 7)}):
        with pytest.raises(CorruptValue, match="does not fit the model"):
            check(value, SIGNATURE, other)
