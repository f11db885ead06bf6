"""The measurement of the memory's index: keys that lie as said, percentiles, and a recall that can fail."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.bench import retrieval


def test_keys_are_clustered_and_queries_lie_near_keys() -> None:
    keys, queries = retrieval.keys_and_queries(2_000, 64, 100, seed=3)
    assert keys.shape == (2_000, 64) and queries.shape == (100, 64)
    np.testing.assert_allclose(np.linalg.norm(keys, axis=1), 1, atol=1e-5)
    nearest = (queries @ keys.T).max(axis=1)
    assert 0.85 < np.median(nearest) < 0.95
    among = np.sort(keys[:200] @ keys.T, axis=1)
    assert 0.65 < np.median(among[:, -20]) < 0.85, "others of the same cluster"
    assert abs(np.median(among)) < 0.1, "keys of other clusters"
    again, _ = retrieval.keys_and_queries(2_000, 64, 100, seed=3)
    np.testing.assert_array_equal(keys, again)


@pytest.mark.parametrize(
    ("kind", "size", "name"),
    [
        ("Flat", 10, "Flat"),
        ("HNSW32", 10, "HNSW32"),
        ("IVF", 1_000_000, "IVF4000,Flat"),
        ("IVF", 1_000, "IVF25,Flat"),  # 39 keys train a list
        ("IVF", 5, "IVF1,Flat"),
    ],
)
def test_names_of_indexes(kind: str, size: int, name: str) -> None:
    assert retrieval.factory(kind, size) == name


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9, 0.95, 1.0])
def test_percentiles_are_values_that_enough_do_not_exceed(share: float) -> None:
    values = np.random.default_rng(0).permutation(37).astype(float).tolist()
    found = retrieval.percentile(values, share)
    assert found in values and np.mean(np.array(values) <= found) >= share
    lower = [value for value in values if value < found]
    assert not lower or np.mean(np.array(values) <= max(lower)) < share


def test_recall_is_against_the_truth() -> None:
    keys, queries = retrieval.keys_and_queries(500, 16, 20, seed=0)
    row, truth = retrieval.measure("Flat", keys, queries, 3, 1)
    assert row["recall_at_3"] == 1 and row["bytes_per_key"] >= 16 * 4
    by_hand = np.argsort(-(queries @ keys.T), axis=1)[:, :3]
    assert [set(found.tolist()) for found in truth] == [set(found.tolist()) for found in by_hand]
    row, _ = retrieval.measure("Flat", keys, queries, 3, 1, [found + 1_000 for found in truth])
    assert row["recall_at_3"] == 0
