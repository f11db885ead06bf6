"""Signatures are stored as typed fields; the text that old memories hold must be read back exactly."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.memory.memories import OTHER, SIGNATURE
from ttom.memory.signature import Signature

OLD = "WanTransformer3DModel 0a1b2c3d4e5f, blocks 0-9 (38 layers), rank 32, alpha 32, to_q to_k to_v to_out.0"


def test_the_text_of_old_memories_reads_back() -> None:
    found = Signature.from_text(OLD)
    assert str(found) == OLD and (found.architecture, found.config) == ("WanTransformer3DModel", "0a1b2c3d4e5f")
    assert (found.first, found.last, found.layers, found.rank, found.alpha) == (0, 9, 38, 32, 32.0)
    assert found.projections == ("to_q", "to_k", "to_v", "to_out.0") and found.family == "wan"
    assert found == Signature.from_text(OLD) and hash(found) == hash(Signature.from_text(OLD))


@pytest.mark.parametrize("alpha", [1.0, 0.5, 1e-05, 1e20, 1 / 3, 123456789.125])
def test_every_alpha_is_kept_exactly(alpha: float) -> None:
    made = replace(SIGNATURE, alpha=alpha)
    assert Signature.from_text(str(made)).alpha == alpha
    if alpha in (1.0, 0.5, 1e-05, 1e20):
        assert f"alpha {alpha:g}," in str(made)  # as version 1 wrote it


@pytest.mark.parametrize(
    "text",
    ["", "s", OLD + " ", OLD.replace("rank 32", "rank 032"), OLD.replace("alpha 32", "alpha nan"),
     OLD.replace("alpha 32", "alpha 32.0"), OLD.replace("blocks 0-9", "blocks -1-9"), OLD + "\x1b[31m", OLD * 1000,
     OLD.replace("rank 32", "rank ٣")],
)  # fmt: skip
def test_other_texts_are_no_signatures(text: str) -> None:
    with pytest.raises(ValueError, match="not the signature|could not convert"):
        Signature.from_text(text)


def test_shapes_take_no_part_in_comparisons() -> None:
    shaped = replace(SIGNATURE, shapes={"a": (1, 2)})
    assert shaped == SIGNATURE and hash(shaped) == hash(SIGNATURE) and str(shaped) == str(SIGNATURE)
    assert OTHER != SIGNATURE and OTHER.family == "cogvideox" and OTHER.model.startswith("CogVideoX")
    assert replace(SIGNATURE, architecture="New").family == "New"


@pytest.mark.parametrize("alpha", [1.0, 1e-05, 1 / 3, 123456789.125])
def test_the_fields_are_read_back_exactly_from_json(alpha: float) -> None:
    made = replace(SIGNATURE, alpha=alpha, shapes={"a": (1, 2)})
    found = Signature.from_json(made.to_json())
    assert found == made and found.shapes is None and type(found.rank) is int and type(found.alpha) is float
    assert found.to_json() == made.to_json() and json.loads(made.to_json()) == made.as_fields()


@pytest.mark.parametrize(
    "change",
    [{"rank": "2"}, {"rank": 2.5}, {"rank": True}, {"rank": -1}, {"alpha": float("nan")}, {"alpha": "4"},
     {"projections": []}, {"projections": "to_q"}, {"projections": ["\x1b[31m"]}, {"config": "0123456789aG"},
     {"architecture": "a b"}, {"architecture": "x" * 101}, {"first": None}, {"shapes": {}}, {"more": 1},
     {"projections": ["x"] * 1000}],
)  # fmt: skip
def test_other_fields_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        Signature.from_json(json.dumps(SIGNATURE.as_fields() | change))
    missing = SIGNATURE.as_fields()
    del missing["rank"]
    for text in ("", "[]", "{}", "[" * 3000, json.dumps(missing), str(SIGNATURE)):
        with pytest.raises(ValueError):
            Signature.from_json(text)
