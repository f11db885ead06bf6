"""Queries on the rows: damaged ones are told apart and change no count, order or sum."""

from __future__ import annotations

import time

import numpy as np
import pytest

from tests.memory.memories import (
    SIGNATURE,
    get,
    put,
)
from ttom.memory.entries import BadRow
from ttom.memory.rows import Rows
from ttom.memory.store import Store


def test_the_least_used_go_first_and_then_the_longest_unused(store: Store) -> None:
    a, b, c = put(store, 1), put(store, 2), put(store, 3, namespace="other")
    store.used([b])
    store.used([c])
    store.used([a])
    store.used([a])
    assert [id_ for id_, _ in store.least_used()] == [b, c, a]
    assert [id_ for id_, _ in store.least_used("default")] == [b, a]


def test_a_clock_that_goes_back_does_not_make_the_newest_the_oldest(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = put(store, 1)
    monkeypatch.setattr(time, "time", lambda: 1000.0)  # such as after a battery ran out
    young = put(store, 2)
    assert [id_ for id_, _ in store.least_used()] == [old, young]
    store.used([old])
    store.used([young])
    assert [id_ for id_, _ in store.least_used()] == [old, young]


def test_rows_that_no_memory_writes_do_not_crash(store: Store) -> None:
    good = put(store)
    for change in ("sha256 = '/etc/passwd'", "uses = 'many'", "layout = '{'", "embedding = x'00'", "key = x'ff00'"):
        bad = put(store)
        store.db.execute(f"UPDATE entries SET {change} WHERE id = {bad}")
    assert [entry.id for entry in store.entries()] == [good]
    assert sum(isinstance(row, BadRow) for _, row in store.rows()) == 5
    assert store.keys().unusable == [5] and len(store.keys().ids) == 5
    store.least_used(), store.total_bytes(), store.signatures()
    assert len(store.delete(store.ids())) == 6


def test_counts_and_sums(store: Store) -> None:
    assert (len(store), store.total_bytes(), store.made_between(), store.namespaces()) == (0, 0, (None, None), {})
    ids = [put(store, i, namespace=name, created=float(i)) for i, name in enumerate(("b", "a", "b"), 1)]
    assert store.namespaces() == {"a": 1, "b": 2} and store.made_between() == (1.0, 3.0)
    assert store.newest(2) == [3, 2] and store.newest(9, "b") == [3, 1] and store.newest(1, "c") == []
    size = get(store, ids[0]).bytes
    store.db.execute("UPDATE entries SET sha256 = (SELECT sha256 FROM entries WHERE id = 1) WHERE id = 2")
    assert store.total_bytes() == 2 * size  # shared
    store.db.execute("UPDATE entries SET bytes = 4611686018427387904, created = 'never' WHERE id = 3")
    assert store.total_bytes() == size and store.made_between() == (1.0, 2.0)
    assert store.signatures() == [SIGNATURE]
    store.db.execute("UPDATE entries SET signature = '{}' WHERE id = 3")
    assert store.signatures() == [SIGNATURE]


def test_keys_come_with_what_matching_needs_and_without_what_it_cannot_use(store: Store) -> None:
    for i, origin in enumerate((None, "job", None)):
        put(store, i, origin=origin, embedding=np.eye(4, dtype=np.float32)[i])
    store.db.execute("UPDATE entries SET embedding = zeroblob(16) WHERE id = 1")
    keys = Rows(store.db).keys_of(4)
    assert keys.ids.tolist() == [2, 3] and keys.unusable == [1] and keys.origins == ["job", None]
    assert np.array_equal(keys.vectors, np.eye(4, dtype=np.float32)[1:3]) and keys.namespaces == ["default"] * 2
    assert Rows(store.db).keys_of(4, after=2).ids.tolist() == [3] and Rows(store.db).keys_of(5).unusable == [1, 2, 3]


def test_only_names_of_values_are_ever_removed(store: Store) -> None:
    store.db.executemany("INSERT INTO removed VALUES (?)", [("ab" * 32,), ("../../victim",), (7,), (b"x",)])
    assert store.removed_values() == {"ab" * 32}
