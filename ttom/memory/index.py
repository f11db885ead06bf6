"""Nearest-neighbor search by inner product: a FAISS index whose keys can be added, replaced and removed at any time.

The index is a cache: the store holds the keys, and a new VectorIndex filled from it gives results that are at least as
good. Letters in shapes: n keys, d dimension, q queries, k results a query.

FAISS itself numbers the vectors ("slots"); which id lives in which slot is kept here. IndexIDMap2 would do that, but
it returns wrong ids once something is removed from an IVF index (which does not renumber as IDMap2 supposes), and in
an HNSW index, which cannot remove, it could not tell the old vector of a replaced id from the new one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from ttom.errors import UserError
from ttom.memory.index_kinds import build, gpu_resources, import_faiss, reason

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]

POINTS_PER_LIST = 39  # what FAISS asks of k-means before it warns
MAX_DEAD_SHARE = 0.2  # of all slots; a rebuild then costs at most 4 insertions a removal
MIN_DEAD = 32  # fewer dead slots are not worth a rebuild
EF_SEARCH = 128  # candidates that HNSW keeps; fewer lose neighbors in tight clusters (64: recall .97 for .995)
GPU_MAX_RESULTS = 2048  # of one query
_CHUNK = 65536  # vectors reconstructed at a time


class VectorIndex:
    """Keys with 64-bit ids, searched by inner product (the cosine if keys and queries are unit vectors).

    A removed or replaced key leaves a dead slot, which no search returns. Once more than a fifth of the slots (and more
    than 32) are dead, the index drops them. All kinds store the vectors unchanged, so this loses nothing.

    An IVF index searches exactly until it has 39 live keys per list, as FAISS recommends, and is then trained once, on
    those. To train it on later keys, fill a new index from the store.

    Not thread-safe for changes.

    Args:
        dimension: d, of every key and query.
        factory: "Flat" is exact; "HNSW<links>" is a graph, for more than about 50,000 keys; "IVF<lists>,Flat"
            searches some of its lists, for a million keys.
        gpu: Keep the trained index on the first GPU: Flat and IVF kinds only. Searches for more than 2048 keys,
            including dead slots, use a copy in main memory and are slow.

    Raises:
        UserError: FAISS or its GPU support is missing, or the factory string is not one of these.
    """

    def __init__(self, dimension: int, factory: str = "Flat", *, gpu: bool = False) -> None:
        self.dimension, self.factory = dimension, factory
        self._faiss = import_faiss()
        self._gpu = gpu_resources(self._faiss) if gpu else None
        target = build(self._faiss, dimension, factory)
        self._is_ivf = isinstance(target, self._faiss.IndexIVF)
        self.training_size = POINTS_PER_LIST * int(target.nlist) if self._is_ivf else 0
        target = self._place(target)
        # An exact index is used until there are enough keys to train the requested one.
        self._waiting: Any = None if target.is_trained else target
        self._index: Any = self._faiss.IndexFlatIP(dimension) if self._waiting is not None else target
        self._labels: list[int] = []  # id of each slot, dead ones included
        self._slots: dict[int, int] = {}  # slot of each live id
        self._dead: set[int] = set()

    def __len__(self) -> int:
        return len(self._slots)

    def __contains__(self, key_id: int) -> bool:
        return int(key_id) in self._slots

    @property
    def trained(self) -> bool:
        """Whether searches use the requested index; until it is trained they are exact."""
        return self._waiting is None

    def ids(self) -> Ids:
        """The live ids ``(n,)``, ascending."""
        return np.array(sorted(self._slots), dtype=np.int64)

    def nbytes(self) -> int:
        """Bytes of the FAISS index as written to a file, and of the tables of ids beside it (an estimate)."""
        written = 0

        def count(chunk: bytes) -> None:
            nonlocal written
            written += len(chunk)

        writer = self._faiss.PyCallbackIOWriter(count, 1 << 20)
        self._faiss.write_index(self._on_cpu(), writer)
        return written + sys.getsizeof(self._labels) + sys.getsizeof(self._slots) + 2 * 32 * len(self)

    def add(self, ids: Ids, vectors: Floats) -> None:
        """Add keys; an existing id is replaced, and of a repeated id the last vector counts.

        Args:
            ids: ``(n,)`` integers other than -1.
            vectors: ``(n, d)``, finite.
        """
        ids, vectors = _check_ids(ids), self._check_vectors(vectors)
        if len(ids) != len(vectors):
            raise ValueError(f"{len(ids)} ids for {len(vectors)} vectors")
        last = {key_id: row for row, key_id in enumerate(ids.tolist())}
        if len(last) < len(ids):
            rows = sorted(last.values())
            ids, vectors = ids[rows], vectors[rows]
        if not len(ids):
            return
        self._forget(last)
        if self._waiting is not None and len(self) + len(ids) >= self.training_size:
            self._train(ids, vectors)
        else:
            self._append(ids, vectors)
        self._tidy()

    def remove(self, ids: Ids | Iterable[int]) -> None:
        """Remove keys; unknown ids are ignored."""
        self._forget(int(key_id) for key_id in ids)
        self._tidy()

    def search(self, vectors: Floats, k: int) -> tuple[Floats, Ids]:
        """The k live keys of largest inner product with each query; exact for Flat, approximate for other kinds.

        A row has fewer than k results only if fewer keys are live: if lists or graph yield fewer, that query is
        searched again over all keys.

        Args:
            vectors: ``(q, d)``, finite.
            k: At least 1.

        Returns:
            Similarities ``(q, k)``, descending, and ids ``(q, k)``; -inf and -1 after the last.
        """
        vectors = self._check_vectors(vectors)
        if k < 1:
            raise ValueError(f"k is {k}; it must be at least 1")
        values = np.full((len(vectors), k), -np.inf, dtype=np.float32)
        labels = np.full((len(vectors), k), -1, dtype=np.int64)
        wanted = min(k, len(self))
        if not wanted or not len(vectors):
            return values, labels
        found, slots = self._nearest(vectors, wanted)
        short = np.flatnonzero((slots < 0).any(axis=1))
        if len(short):
            found[short], slots[short] = self._nearest_of_all(vectors[short], wanted)
        held = slots >= 0
        values[:, :wanted] = np.where(held, found, -np.inf)
        labels[:, :wanted][held] = [self._labels[slot] for slot in slots[held].tolist()]
        return values, labels

    def _nearest(self, vectors: Floats, k: int) -> tuple[Floats, Ids]:
        """Similarities and live slots ``(q, k)`` found by the index; slot -1 where it found no more."""
        if self._gpu is None or not self.trained:
            return self._index.search(vectors, k, params=self._parameters(self._index, k))
        # GPU kinds take no selector: the dead are searched with the living and dropped.
        count = min(k + len(self._dead), int(self._index.ntotal))
        index = self._index if count <= GPU_MAX_RESULTS else self._on_cpu()
        found, slots = index.search(vectors, count)
        if self._dead:
            slots[np.isin(slots, list(self._dead))] = -1
            order = np.argsort(slots < 0, axis=1, kind="stable")[:, :k]
            found, slots = np.take_along_axis(found, order, 1), np.take_along_axis(slots, order, 1)
        return found, slots

    def _nearest_of_all(self, vectors: Floats, k: int) -> tuple[Floats, Ids]:
        """Like `_nearest`, but exhaustive and slow: searches every list of an IVF index, else all stored vectors."""
        if self._is_ivf and self.trained:
            index = self._on_cpu()
            return index.search(vectors, k, params=self._parameters(index, k, probes=int(index.nlist)))
        live = self._live_slots()
        exact = self._faiss.IndexFlatIP(self.dimension)
        exact.add(self._vectors(live))
        found, rows = exact.search(vectors, k)
        return found, live[rows]

    def _parameters(self, index: Any, k: int, probes: int | None = None) -> Any:
        """Search parameters that exclude dead slots and look at enough candidates."""
        faiss = self._faiss
        chosen: dict[str, Any] = {}
        if self._dead:
            dead = np.fromiter(self._dead, dtype=np.int64, count=len(self._dead))
            chosen["sel"] = faiss.IDSelectorNot(faiss.IDSelectorBatch(dead))
        if isinstance(index, faiss.IndexIVF):
            return faiss.SearchParametersIVF(nprobe=probes or int(index.nprobe), **chosen)
        if isinstance(index, faiss.IndexHNSW):
            return faiss.SearchParametersHNSW(efSearch=max(EF_SEARCH, 2 * k), **chosen)
        return faiss.SearchParameters(**chosen)

    def _train(self, ids: Ids, vectors: Floats) -> None:
        """Train the requested index on the live keys and the new ones, and fill it with both."""
        live = self._live_slots()
        ids = np.concatenate([self._labels_of(live), ids])
        vectors = np.concatenate([self._vectors(live), vectors])
        self._waiting.train(vectors)
        self._index, self._waiting = self._waiting, None
        self._empty()
        self._append(ids, vectors)

    def _append(self, ids: Ids, vectors: Floats) -> None:
        first = len(self._labels)
        if self._is_ivf and self.trained:
            self._index.add_with_ids(vectors, np.arange(first, first + len(ids), dtype=np.int64))
        else:
            self._index.add(vectors)
        names = ids.tolist()
        self._labels.extend(names)
        self._slots.update(zip(names, range(first, first + len(names)), strict=True))

    def _forget(self, ids: Iterable[int]) -> None:
        for key_id in ids:
            slot = self._slots.pop(key_id, None)
            if slot is not None:
                self._dead.add(slot)

    def _tidy(self) -> None:
        """Drop the dead slots if there are too many."""
        count = len(self._dead)
        if count <= MIN_DEAD or count <= MAX_DEAD_SHARE * (len(self) + count):
            return
        if self._is_ivf and self.trained:
            index = self._on_cpu()
            index.remove_ids(self._faiss.IDSelectorBatch(np.array(sorted(self._dead), dtype=np.int64)))
            self._index = self._place(index)
            self._dead.clear()
            return
        live = self._live_slots()
        ids, vectors = self._labels_of(live), self._vectors(live)
        self._empty()
        if len(ids):
            self._append(ids, vectors)

    def _empty(self) -> None:
        self._index.reset()  # keeps what training found
        self._labels.clear()
        self._slots.clear()
        self._dead.clear()

    def _live_slots(self) -> Ids:
        return np.array(sorted(self._slots.values()), dtype=np.int64)

    def _labels_of(self, slots: Ids) -> Ids:
        return np.array([self._labels[slot] for slot in slots.tolist()], dtype=np.int64)

    def _vectors(self, slots: Ids) -> Floats:
        """Stored vectors ``(n, d)`` of ascending slots, of an index that numbers its vectors from 0."""
        index = self._on_cpu()
        out = np.empty((len(slots), self.dimension), dtype=np.float32)
        for start in range(0, int(index.ntotal), _CHUNK):
            chunk = index.reconstruct_n(start, min(_CHUNK, int(index.ntotal) - start))
            low, high = np.searchsorted(slots, (start, start + len(chunk)))
            out[low:high] = chunk[slots[low:high] - start]
        return out

    def _place(self, index: Any) -> Any:
        """Move the index to the GPU if requested."""
        if self._gpu is None:
            return index
        try:
            return self._faiss.index_cpu_to_gpu(self._gpu, 0, index)
        except RuntimeError as error:
            raise UserError(
                f"FAISS cannot keep the index {self.factory!r} on a GPU: {reason(error)}",
                expected='a Flat or IVF index, such as "Flat" or "IVF256,Flat"',
                remedy="use such an index, or do not use the GPU",
            ) from error

    def _on_cpu(self) -> Any:
        """The index itself, or a copy of it from the GPU."""
        return self._index if self._gpu is None or not self.trained else self._faiss.index_gpu_to_cpu(self._index)

    def _check_vectors(self, vectors: Floats) -> Floats:
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        if vectors.ndim != 2 or vectors.shape[1] != self.dimension:
            raise UserError(
                f"vectors of shape {vectors.shape} do not fit an index of dimension {self.dimension}",
                expected=f"shape (n, {self.dimension})",
                remedy="embed keys and queries with the same model; rebuild the index after changing the model",
            )
        if not np.isfinite(vectors).all():
            raise UserError(
                "a vector holds a number that is not finite",
                remedy="check the text and the model",
            )
        return vectors


def _check_ids(ids: Ids) -> Ids:
    ids = np.asarray(ids)
    if not ids.size:
        return np.empty(0, dtype=np.int64)
    if ids.ndim != 1 or not np.can_cast(ids.dtype, np.int64) or ids.dtype == np.bool_:
        raise ValueError(f"ids are {ids.dtype} of shape {ids.shape}; they must be signed 64-bit integers (n,)")
    if (ids == -1).any():
        raise ValueError("the id -1 stands for 'none' in results")
    return ids.astype(np.int64)
