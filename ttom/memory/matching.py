"""Finding the entries whose keys are most similar to a prompt's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ttom.config import MemoryConfig
from ttom.memory.entries import Entry
from ttom.memory.index import VectorIndex
from ttom.memory.query import Query
from ttom.memory.store import Store

_LOOK_FOR_BEST = 1024
"""How many entries are searched for the most similar one of a namespace if none matches."""
_COMPARED = 64
"""How many entries of one abstracted prompt, the newest, are compared with a layout."""


@dataclass(frozen=True)
class Match:
    """An entry and the inner product of its key's embedding with the query's, -1..1."""

    entry: Entry
    similarity: float


@dataclass(frozen=True)
class _Known:
    namespace: str | None
    origin: str | None
    key: str | None


class Matcher:
    """The keys of a store in a vector index, which is brought up to date whenever the store has changed.

    Args:
        store: The memory.
        config: Threshold, which must be set, number of matches, and kind of index.

    Attributes:
        changed: Whether this process has written since the last `refresh`.
    """

    def __init__(self, store: Store, config: MemoryConfig) -> None:
        self.store, self.config = store, config
        assert config.threshold is not None
        self._threshold: float = config.threshold
        self.restart()

    def restart(self) -> None:
        """Start with an empty index."""
        self._known: dict[int, _Known] = {}
        self._of_key: dict[tuple[str | None, str | None], set[int]] = {}  # ids by namespace and abstracted prompt
        self._index = VectorIndex(self.store.dimension, self.config.index, gpu=self.config.index_gpu)
        self._last_id, self._seen, self.changed = 0, -1, True

    def refresh(self) -> None:
        """Update the index to the current state of the store, including writes of other processes."""
        version = self.store.version()
        if version == self._seen and not self.changed:
            return
        keys = self.store.keys(after=self._last_id)
        self._index.add(keys.ids, keys.vectors)
        for id_, *known in zip(keys.ids.tolist(), keys.namespaces, keys.origins, keys.texts, strict=True):
            self._known[id_] = found = _Known(*known)
            self._of_key.setdefault((found.namespace, found.key), set()).add(id_)
        self._known |= dict.fromkeys(keys.unusable, _Known(None, None, None))
        self._last_id = max([self._last_id, *keys.ids[-1:].tolist(), *keys.unusable[-1:]])
        if len(self.store) != len(self._known):
            self.forget(set(self._known) - set(self.store.ids()))
        self._seen, self.changed = version, False

    def forget(self, ids: set[int]) -> None:
        self._index.remove(np.array(sorted(ids), np.int64))
        for id_ in ids:
            known = self._known.pop(id_, None)
            if known is not None:
                self._of_key.get((known.namespace, known.key), set()).discard(id_)

    def own(self, query: Query, vector: np.ndarray, namespace: str, exclude_origin: str | None) -> Match | None:
        """The entry of the query's composition that is most like it, if it reaches the threshold.

        Args:
            query: Prompt and layout.
            vector, namespace, exclude_origin: As for `nearest`.
        """
        ids = sorted(self._of_key.get((namespace, query.key), ()), reverse=True)[:_COMPARED]
        entries = self._entries([id_ for id_ in ids if self._may_match(id_, namespace, exclude_origin)])
        best = query.same_composition(entries.values())
        if best is None:
            return None
        similarity = float(vector[0] @ best.embedding)
        return Match(best, similarity) if similarity >= self._threshold else None

    def nearest(
        self, vector: np.ndarray, namespace: str, exclude_origin: str | None
    ) -> tuple[list[Match], float | None]:
        """Matches in a namespace, best first, and the similarity of its most similar entry if one was found.

        Args:
            vector: The embedding of the key, ``(1, D)``.
            namespace: Only entries of this one.
            exclude_origin: No entries with this origin.
        """
        threshold, wanted = self._threshold, min(self.config.top_k, len(self._index))
        count = wanted
        while wanted:
            similarities, ids = self._index.search(vector, count)
            pairs = list(zip(similarities[0].tolist(), ids[0].tolist(), strict=True))
            mine = [(s, i) for s, i in pairs if i >= 0 and self._may_match(i, namespace, exclude_origin)]
            good = [(s, i) for s, i in mine if s >= threshold][:wanted]
            # Other namespaces may fill the result: search for more until there are enough matches or nothing is left.
            complete = len(good) == wanted or (pairs[-1][0] < threshold and (bool(mine) or count > _LOOK_FOR_BEST))
            if not complete and count < len(self._index):
                count = min(4 * count, len(self._index))
                continue
            entries = self._entries([i for _, i in good])
            if len(entries) == len(good):
                return [Match(entries[i], s) for s, i in good], mine[0][0] if mine else None
            wanted = min(wanted, len(self._index))  # unreadable entries have left the index: search again
            count = min(count, len(self._index))
        return [], None

    def _entries(self, ids: list[int]) -> dict[int, Entry]:
        """Entries by id. Those that are gone or have a damaged row are dropped from the index."""
        entries = {entry.id: entry for entry in self.store.entries(ids)}
        self.forget(set(ids) - entries.keys())
        return entries

    def _may_match(self, id_: int, namespace: str, exclude_origin: str | None) -> bool:
        known = self._known.get(id_)
        return (
            known is not None
            and known.namespace == namespace
            and (exclude_origin is None or known.origin != exclude_origin)
        )
