"""Rows are validated field by field, and records survive the way into the database and back."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.memory.memories import SIGNATURE, VECTOR
from ttom.errors import UserError
from ttom.memory.entries import COLUMNS, MAX_TEXT, BadRow, Entry, as_entry, as_row, is_unit, new_record

ROW: dict[str, Any] = dict(
    id=3, namespace="ann", key="k", prompt="p", embedding=VECTOR.tobytes(), layout='{"a": 1}', uses=2, last_used=5.5,
    created=4.5, loss_before=None, loss_after=0.25, signature=SIGNATURE.to_json(), sha256="ab" * 32, bytes=100,
    origin="row 1", turn=7,
)  # fmt: skip


def entry(**changes: Any) -> Entry:
    row = ROW | changes
    return as_entry(tuple(row[name] for name in COLUMNS))


def test_a_row_becomes_an_entry_and_the_same_row_again() -> None:
    found = entry()
    assert (found.id, found.uses, found.turn, found.origin, found.layout) == (3, 2, 7, "row 1", {"a": 1})
    assert found.signature == SIGNATURE and np.array_equal(found.embedding, VECTOR)
    assert as_row(found) == ROW
    assert entry(layout=None, origin=None).layout is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", 0), ("id", "3"), ("namespace", " "), ("namespace", None), ("key", "a\x00"), ("prompt", "\ud800"),
        ("prompt", "x" * (MAX_TEXT + 1)), ("prompt", b"bytes"), ("embedding", b"abc"), ("embedding", b""),
        ("embedding", (2 * VECTOR).tobytes()), ("embedding", (VECTOR * np.nan).tobytes()), ("layout", "{"),
        ("layout", "[]"), ("layout", "[" * 100_000), ("uses", -1), ("uses", 1.5), ("uses", "2"), ("last_used", "now"),
        ("created", float("inf")), ("loss_after", float("nan")), ("signature", "s"), ("signature", "[" * 100_000),
        ("signature", "{}"), ("signature", 7), ("signature", str(SIGNATURE)),
        ("signature", SIGNATURE.to_json().replace('"rank": 2', '"rank": "2"')), ("sha256", "../" * 21 + "x"),
        ("sha256", "AB" * 32), ("sha256", "ab" * 32 + "\n"), ("bytes", -1), ("bytes", 2**40), ("origin", ""),
        ("turn", "x"),
    ],
)  # fmt: skip
def test_invalid_fields_are_named_without_their_value(field: str, value: Any) -> None:
    with pytest.raises(BadRow, match=f"^{field}(: |[.])") as caught:
        entry(**{field: value})
    assert len(str(caught.value)) < 250 and "\x00" not in str(caught.value)


def test_unit_vectors_are_told_from_others() -> None:
    rows = np.array([[1, 0], [0.6, 0.8], [1, 1], [0, 0], [np.nan, 1], [np.inf, 0], [1e30, 1e30]], np.float32)
    assert is_unit(rows).tolist() == [True, True, False, False, False, False, False]


def test_a_new_record_is_checked_and_keeps_no_shapes() -> None:
    given = {"key": "k", "prompt": "p", "embedding": VECTOR, "signature": replace(SIGNATURE, shapes={"a": (1,)})}
    before = time.time()
    record = new_record(**given)
    assert record.namespace == "default" and before <= record.created <= time.time()
    assert record.signature == SIGNATURE and record.signature.shapes is None
    assert new_record(**given, namespace="ann", created=1.0).created == 1.0
    with pytest.raises(UserError, match="cannot store this entry: key: "):
        new_record(**given | {"key": "a\x00"})
    with pytest.raises(UserError, match="cannot store this entry: prompt: Field required"):
        new_record(key="k", embedding=VECTOR, signature=SIGNATURE)
