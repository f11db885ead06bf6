"""The index follows the store, and the best entries of a namespace are found among those of others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.memory.memories import (
    put,
)
from ttom.config import MemoryConfig
from ttom.memory.matching import Matcher
from ttom.memory.store import Store

DIRECTIONS = np.eye(4, dtype=np.float32)


def near(angle: float) -> np.ndarray:
    """A unit vector at this angle from the first axis."""
    return np.array([np.cos(angle), np.sin(angle), 0, 0], np.float32)


def matcher(store: Store, **changes: Any) -> Matcher:
    found = Matcher(store, MemoryConfig(path="unused", **{"threshold": 0.5, "top_k": 2, **changes}))
    found.refresh()
    return found


def ids(found: tuple[list[Any], float | None]) -> list[int]:
    return [match.entry.id for match in found[0]]


def test_the_best_come_first_up_to_top_k_and_the_threshold(store: Store) -> None:
    for angle in (0.9, 0.1, 0.4, 2.0):
        put(store, angle, embedding=near(angle))
    found = matcher(store)
    query = near(0.0)[None]
    matches, best = found.nearest(query, "default", None)
    assert [match.entry.id for match in matches] == [2, 3]
    assert np.allclose([match.similarity for match in matches], np.cos([0.1, 0.4])) and best == matches[0].similarity
    assert ids(matcher(store, top_k=9).nearest(query, "default", None)) == [2, 3, 1]
    nothing, best = matcher(store, threshold=0.999).nearest(query, "default", None)
    assert nothing == [] and best == pytest.approx(np.cos(0.1))
    assert matcher(store).nearest(query, "another", None) == ([], None)


def test_entries_of_other_namespaces_and_of_the_same_job_are_passed_over(store: Store) -> None:
    for i in range(20):
        put(store, i, embedding=near(0.01 * i), namespace="crowd", origin="job")
    far = put(store, 99, embedding=near(0.8), origin="job")
    assert ids(matcher(store).nearest(near(0.0)[None], "default", None)) == [far]
    assert matcher(store).nearest(near(0.0)[None], "default", "job") == ([], None)
    assert ids(matcher(store).nearest(near(0.0)[None], "default", "another job")) == [far]


def test_it_follows_what_this_and_other_processes_write(store: Store) -> None:
    found, query = matcher(store), DIRECTIONS[:1]
    assert found.nearest(query, "default", None) == ([], None)
    with Store(store.folder) as other:
        first, second = put(other, 1), put(other, 2)
        found.refresh()
        assert set(ids(found.nearest(query, "default", None))) == {first, second}
        other.delete([first])
        found.refresh()
        assert ids(found.nearest(query, "default", None)) == [second]
    store.delete([second])
    found.refresh()  # nobody said that this process has written
    assert found.nearest(query, "default", None) == ([], None)  # its row is gone all the same
    put(store, 3)
    found.changed = True
    found.refresh()
    assert ids(found.nearest(query, "default", None)) == [3]


def test_damaged_rows_are_no_matches(store: Store) -> None:
    good, bad, worse = put(store, 1), put(store, 2), put(store, 3)
    store.db.execute("UPDATE entries SET layout = '{' WHERE id = ?", (bad,))
    store.db.execute("UPDATE entries SET embedding = zeroblob(16) WHERE id = ?", (worse,))
    found = matcher(store, top_k=3)
    assert ids(found.nearest(DIRECTIONS[:1], "default", None)) == [good]
    found.forget({good})
    assert found.nearest(DIRECTIONS[:1], "default", None) == ([], None)
