"""The vector index against a dictionary of vectors and numpy, under random additions, replacements and removals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ttom.errors import UserError
from ttom.memory.index import MIN_DEAD, VectorIndex

faiss = pytest.importorskip("faiss")
D = 16


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    yield
    faiss.omp_set_num_threads(before)


def unit(rng: np.random.Generator, count: int, dimension: int = D) -> np.ndarray:
    vectors = rng.standard_normal((count, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def exact(keys: dict[int, np.ndarray], queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    ids = np.array(sorted(keys), dtype=np.int64)
    values = queries @ np.stack([keys[i] for i in ids.tolist()]).T
    order = np.argsort(-values, axis=1)[:, :k]
    return np.take_along_axis(values, order, 1), ids[order]


def recall(found: np.ndarray, true: np.ndarray) -> float:
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found.tolist(), true.tolist(), strict=True)]))


def check_row(keys: dict[int, np.ndarray], query: np.ndarray, values: np.ndarray, ids: np.ndarray) -> None:
    """Only live ids, each once, with the inner product of their newest vector, in descending order."""
    assert len(set(ids.tolist())) == len(ids) and set(ids.tolist()) <= set(keys)
    np.testing.assert_allclose(values, [query @ keys[i] for i in ids.tolist()], atol=1e-5)
    assert (np.diff(values) <= 0).all()


@pytest.mark.parametrize("factory", ["Flat", "HNSW32", "IVF4,Flat"])
@pytest.mark.parametrize("seed", [0, 1])
def test_random_changes_against_a_dictionary(factory: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    index, keys = VectorIndex(D, factory), dict[int, np.ndarray]()
    names = rng.integers(-(2**62), 2**62, size=600)
    hits, rebuilt = [], 0
    for _ in range(60):
        ids = rng.choice(names, size=rng.integers(1, 40))  # some present, some given twice
        dead = len(index._dead)
        if rng.random() < 0.6:
            vectors = unit(rng, len(ids))
            index.add(ids, vectors)
            keys |= dict(zip(ids.tolist(), vectors, strict=True))
        else:
            index.remove(np.append(ids, 12345))
            for i in ids.tolist():
                keys.pop(i, None)
        rebuilt += len(index._dead) < dead
        assert len(index) == len(keys) and index.ids().tolist() == sorted(keys)
        queries, k = unit(rng, 3), 7
        values, found = index.search(queries, k)
        count = min(k, len(keys))
        assert (found[:, count:] == -1).all() and np.isneginf(values[:, count:]).all()
        for row in range(3 if count else 0):
            check_row(keys, queries[row], values[row, :count], found[row, :count])
        if count:
            hits.append(recall(found[:, :count], exact(keys, queries, count)[1]))
            if factory in ("Flat", "IVF4,Flat"):  # all four lists are probed
                assert hits[-1] == 1
    assert rebuilt, "the case never rebuilds the index"
    assert np.mean(hits) > 0.97


def test_flat_equals_numpy() -> None:
    rng = np.random.default_rng(3)
    vectors, queries = rng.standard_normal((500, 768)).astype(np.float32), unit(rng, 9, 768)
    index = VectorIndex(768)
    index.add(np.arange(500) * 10**15, vectors)
    values, ids = index.search(queries, 500)
    assert values.dtype == np.float32 and ids.dtype == np.int64
    true = np.take_along_axis(queries @ vectors.T, ids // 10**15, 1)
    np.testing.assert_allclose(values, true, atol=1e-5)
    np.testing.assert_allclose(values, -np.sort(-true, axis=1), atol=1e-5)


def test_recall_of_hnsw_on_clusters() -> None:
    rng = np.random.default_rng(4)
    centres = unit(rng, 40, 64)
    vectors = centres[rng.integers(0, 40, 2000)] + 0.6 * unit(rng, 2000, 64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    queries = vectors[::20] + 0.3 * unit(rng, 100, 64)
    index = VectorIndex(64, "HNSW32")
    index.add(np.arange(2000), vectors)
    assert recall(index.search(queries, 5)[1], exact(dict(enumerate(vectors)), queries, 5)[1]) >= 0.95


@pytest.mark.parametrize("factory", ["Flat", "HNSW32", "IVF8,Flat"])
def test_no_row_runs_dry_while_keys_are_live(factory: str) -> None:
    """Many equal keys, the nearest ones removed: a graph may lose its way, lists may be empty."""
    rng = np.random.default_rng(5)
    vectors = np.concatenate([np.repeat(unit(rng, 1), 300, 0), np.repeat(unit(rng, 1), 300, 0)])
    index = VectorIndex(D, factory)
    index.add(np.arange(600), vectors)
    index.remove(range(290))
    for size in (5, 64, 310, 400):
        values, ids = index.search(vectors[:1], size)
        kept = ids[ids >= 0]
        assert len(kept) == min(size, 310) and len(set(kept.tolist())) == len(kept) and kept.min() >= 290
        assert np.isneginf(values[ids < 0]).all()


@pytest.mark.parametrize("factory", ["Flat", "HNSW32", "IVF2,Flat"])
def test_few_dead_are_never_found(factory: str) -> None:
    rng = np.random.default_rng(6)
    index = VectorIndex(D, factory)
    vectors = unit(rng, max(200, index.training_size))
    index.add(np.arange(len(vectors)), vectors)
    index.remove(range(MIN_DEAD))
    assert len(index._dead) == MIN_DEAD, "the case is meant to keep its dead slots"
    assert index.search(vectors[:MIN_DEAD], 10)[1].min() >= MIN_DEAD
    index.add(np.array([5]), vectors[7:8])  # an id comes back with another vector
    assert 5 in index and 7 not in index and 5 in index.search(vectors[7:8], 50)[1]
    values, ids = index.search(vectors[7:8], 1)
    assert ids.item() == 5 and values.item() == pytest.approx(1, abs=1e-5)


def test_waits_for_enough_to_train_on() -> None:
    rng = np.random.default_rng(7)
    index, vectors = VectorIndex(D, "IVF4,Flat"), unit(rng, 200)
    assert index.training_size == 4 * 39 and not index.trained
    index.add(np.arange(155), vectors[:155])
    index.remove([3])
    values, ids = index.search(vectors[:9], 4)
    np.testing.assert_array_equal(ids, exact({i: vectors[i] for i in range(155) if i != 3}, vectors[:9], 4)[1])
    assert not index.trained
    index.add(np.arange(155, 157), vectors[155:157])
    assert index.trained and len(index) == 156
    np.testing.assert_array_equal(
        index.search(vectors[:9], 4)[1], exact({i: vectors[i] for i in range(157) if i != 3}, vectors[:9], 4)[1]
    )
    index.remove(range(157))
    assert len(index) == 0 and index.trained and index.search(vectors[:1], 3)[1].tolist() == [[-1, -1, -1]]
    index.add(np.array([1]), vectors[:1])
    assert index.search(vectors[:1], 2)[1].tolist() == [[1, -1]]


@pytest.mark.parametrize("factory, size", [("Flat", 0), ("HNSW32", 0), ("HNSW8,Flat", 0), ("IVF1000,Flat", 39000)])
def test_training_size(factory: str, size: int) -> None:
    assert VectorIndex(D, factory).training_size == size


def test_empty_index_and_no_queries() -> None:
    index = VectorIndex(D)
    values, ids = index.search(np.zeros((2, D), dtype=np.float32), 3)
    assert np.isneginf(values).all() and (ids == -1).all() and values.shape == ids.shape == (2, 3)
    index.add(np.empty(0, dtype=np.int64), np.empty((0, D), dtype=np.float32))
    index.remove([])
    assert len(index) == 0 and index.ids().tolist() == [] and index.ids().dtype == np.int64
    index.add(np.array([1]), np.ones((1, D), dtype=np.float32))
    assert index.search(np.empty((0, D), dtype=np.float32), 3)[0].shape == (0, 3)


def test_nbytes_counts_the_vectors() -> None:
    index = VectorIndex(64)
    index.add(np.arange(1000), unit(np.random.default_rng(8), 1000, 64))
    assert 1000 * 64 * 4 < index.nbytes() < 1000 * 64 * 4 + 1000 * 250


@pytest.mark.parametrize("shape", [(3, D + 1), (D,), (1, 3, D)])
def test_wrong_dimension(shape: tuple[int, ...]) -> None:
    index = VectorIndex(D)
    for call in (lambda v: index.add(np.arange(len(v)), v), lambda v: index.search(v, 1)):
        with pytest.raises(UserError, match="dimension 16"):
            call(np.zeros(shape, dtype=np.float32))
    assert len(index) == 0


def test_wrong_values() -> None:
    index, ones = VectorIndex(D), np.ones((1, D), dtype=np.float32)
    with pytest.raises(UserError, match="not finite"):
        index.add(np.array([1]), ones * np.nan)
    for ids in (np.array([-1]), np.array([1.0]), np.array([[1]]), np.array([1, 2]), np.array([1], dtype=np.uint64)):
        with pytest.raises(ValueError):
            index.add(ids, ones)
    with pytest.raises(ValueError, match="at least 1"):
        index.search(ones, 0)
    assert len(index) == 0
