"""Insert, read, update and delete: the operations of the parametric memory (section 3.3 of the paper)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ttom.config import MemoryConfig
from ttom.layout.model import Layout
from ttom.memory.calibration import threshold_of
from ttom.memory.embedders import TextEmbedder
from ttom.memory.entries import CorruptValue, Entry, new_record
from ttom.memory.files import NAME, memory_errors
from ttom.memory.fusion import fuse, merge
from ttom.memory.key_maker import LAYOUT_SHARE, KeyTerms, check_terms, keys_for
from ttom.memory.maintenance import check_namespace, check_signature, prune
from ttom.memory.matching import Match, Matcher
from ttom.memory.quarantine import take_out_entry
from ttom.memory.query import Query
from ttom.memory.signature import Signature
from ttom.memory.store import Store

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


@dataclass(frozen=True)
class Recalled:
    """Result of looking up a key.

    Attributes:
        vector: The key itself, ``(D,)``.
        state: The fused adapter, float32 on the CPU; None without a match.
        matches: The entries that were fused, best first.
        similarity: Of the most similar entry, even if it is below the threshold; None without entries.
        own: The match that is of the very composition that was asked for, always the first; None if there is none. Only
            this entry may be changed by what is optimized from the state.
    """

    vector: np.ndarray
    state: dict[str, Tensor] | None
    matches: tuple[Match, ...]
    similarity: float | None
    own: Match | None = None


class Memory:
    """Optimized adapters of past prompts under their abstracted prompts.

    Args:
        store: Where entries are stored.
        embedder: Embeds the texts of the keys; must be the one that the store was created with.
        config: How to read and write.
        signature: Of the model and adapter in use (`LoraAdapter.signature`); None for commands that load no adapter.

    Raises:
        SetupError: The store was made for another model or adapter, or with another embedder.
    """

    def __init__(self, store: Store, embedder: TextEmbedder, config: MemoryConfig, signature: Signature | None) -> None:
        self.store, self.signature = store, signature
        self.keys = keys_for(embedder, config, KeyTerms.of(store.embedder))
        self.config = replace(config, threshold=threshold_of(config, store))
        for name in filter(None, (config.namespace, config.shared_namespace)):
            check_namespace(name)
        self._check()
        self._skipped: set[tuple[int, str]] = set()  # (id, sha256) of values that a frozen memory could not read
        self._matcher = Matcher(store, self.config)

    @classmethod
    def open(cls, config: MemoryConfig, embedder: TextEmbedder, signature: Signature | None) -> Memory:
        """Open the memory at config.path; in mode "readwrite" a new or empty folder becomes one.

        Raises:
            SetupError: As for the constructor, and if the memory is damaged or the disk cannot be read or written.
            UserError: The folder is not a memory.
        """
        assert config.path is not None
        folder = Path(os.path.expanduser(config.path))
        if config.mode == "readwrite" and not (folder / NAME).exists():
            keys = keys_for(embedder, config, KeyTerms("both", LAYOUT_SHARE, None))
            store = Store.create(folder, embedder=keys.identity, dimension=keys.dimension)
        else:
            store = Store(folder, read_only=config.mode == "read")
        try:
            return cls(store, embedder, config, signature)
        except BaseException:
            store.close()
            raise

    @property
    def frozen(self) -> bool:
        return self.store.read_only

    def close(self) -> None:
        self.store.close()

    def look_up(
        self, prompt: str, layout: Layout, *, origin: str | None = None, exclude_origin: str | None = None
    ) -> Lookup:
        """Look up the adapter for a prompt. The returned Lookup also stores the optimized adapter afterwards.

        Args:
            prompt: The prompt.
            layout: Its layout.
            origin: Identity of the calling job, such as a row of a stream. An entry inserted by `Lookup.keep` carries
                it, and replaces the entry that the same job inserted before.
            exclude_origin: Ignore entries with this origin, so that a job that was killed after its insertion does not
                match its own entry when it is repeated. Usually the same as `origin`.
        """
        query = Query(prompt, layout)
        with memory_errors(self.store.folder):
            return Lookup(self, query, self.recall(query, exclude_origin=exclude_origin), origin)

    def match(self, query: Query, *, exclude_origin: str | None = None) -> list[Match]:
        """Up to top_k entries whose similarity reaches the threshold: that of the query's own composition, then the
        most similar ones.

        Those of config.namespace; if there is none, those of config.shared_namespace. Never those with the excluded
        origin.
        """
        return self._match(query, self.keys.of(query), exclude_origin)[0]

    def _match(
        self, query: Query, vector: np.ndarray, exclude_origin: str | None
    ) -> tuple[list[Match], float | None, Match | None]:
        """The matches, the similarity of the most similar entry, even if it is below the threshold, and the own."""
        self._matcher.refresh()
        nearest: list[float] = []
        for namespace in filter(None, (self.config.namespace, self.config.shared_namespace)):
            found, best = self._matcher.nearest(vector[None], namespace, exclude_origin)
            nearest += [best] if best is not None else []
            own = self._matcher.own(query, vector[None], namespace, exclude_origin)
            if own is not None:
                found = [own, *(match for match in found if match.entry.id != own.entry.id)][: self.config.top_k]
            if found:
                return found, max(match.similarity for match in found), own
        return [], max(nearest, default=None), None

    def recall(self, query: Query, *, exclude_origin: str | None = None) -> Recalled:
        """Read and fuse the matching entries. Counts one use of each, unless frozen.

        An entry whose value is missing, damaged, not finite or of the wrong shapes is quarantined (if frozen, only
        skipped), and the next best match takes its place.
        """
        vector = self.keys.of(query)
        while True:
            (matches, similarity, own), states = self._match(query, vector, exclude_origin), []
            for match in matches:
                try:
                    state = self.store.state(match.entry, self.signature)
                except CorruptValue as error:
                    self._drop(match.entry, str(error))
                    break
                states.append({name: tensor.float() for name, tensor in state.items()})
            else:
                break
        if not matches:
            return Recalled(vector, None, (), similarity)
        if not self.frozen:
            self.store.used(match.entry.id for match in matches)
        state = fuse(states, [match.similarity for match in matches], self.config.fusion)
        return Recalled(vector, state, tuple(matches), similarity, own)

    def insert(self, lookup: Lookup, state: dict[str, Tensor], losses: tuple[float | None, float | None]) -> int:
        """Store an optimized adapter; returns its entry's id. Beyond capacity, least-used entries are evicted."""
        assert self.signature is not None
        query = lookup.query
        record = new_record(
            namespace=self.config.namespace,
            key=query.key,
            prompt=query.prompt,
            layout=query.layout.model_dump(mode="json"),
            embedding=lookup.recalled.vector,
            signature=self.signature,
            loss_before=losses[0],
            loss_after=losses[1],
            origin=lookup.origin,
        )
        id_ = self.store.insert(self._packed(state), record)
        self._matcher.changed = True
        self.make_room(keep=[id_])
        return id_

    def update(self, recalled: Recalled, state: dict[str, Tensor], loss_after: float | None) -> int | None:
        """Update the entry of the same composition with the adapter optimized further; returns its id.

        No other entry changes, so that optimizing one prompt never changes what another one reads (appendix D.3 of the
        paper). config.update "replace" stores the new adapter, "merge" stores (old + sim * new) / (1 + sim).

        Returns None, with nothing changed, without such an entry in the own namespace, or if it was deleted or damaged
        in the meantime.
        """
        own = recalled.own
        if own is None or own.entry.namespace != self.config.namespace:
            return None
        if self.config.update == "merge":
            try:
                old = self.store.state(own.entry, self.signature)
            except CorruptValue:
                return None
            state = merge({name: tensor.float() for name, tensor in old.items()}, state, own.similarity)
        if not self.store.replace(own.entry.id, self._packed(state), loss_after=loss_after):
            return None
        self.make_room(keep=[own.entry.id])
        return own.entry.id

    def make_room(self, keep: Iterable[int] = ()) -> int:
        """Evict least-used entries of the namespace until it is within capacity, except those in `keep`."""
        config = self.config
        if config.max_items is None and config.max_bytes is None:
            return 0
        limits = {"max_items": config.max_items, "max_bytes": config.max_bytes}
        gone = prune(self.store, **limits, namespace=config.namespace, keep=keep)
        self._matcher.changed |= bool(gone)
        return len(gone)

    def _check(self) -> None:
        # The model first: if it differs, reindexing would not help.
        if self.signature is not None:
            check_signature(self.store, self.signature)
        check_terms(self.store.folder, self.store.embedder, self.keys)

    def _drop(self, entry: Entry, reason: str) -> None:
        """Exclude an entry whose value cannot be used."""
        if not self.frozen:
            take_out_entry(self.store, entry, reason)
            self._matcher.changed = True
            return
        if not self.store.values.exists(entry.sha256) and (entry.id, entry.sha256) not in self._skipped:
            # Another process may have updated the entry since the memory was opened: read the current state.
            self.store.refresh()
            self._check()
            self._matcher.restart()
            self._matcher.refresh()
        self._skipped.add((entry.id, entry.sha256))
        now = {found.id: found.sha256 for found in self.store.entries([id_ for id_, _ in self._skipped])}
        self._matcher.forget({id_ for id_, sha256 in self._skipped if now.get(id_) == sha256})

    def _packed(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        import torch

        dtype = getattr(torch, self.config.dtype)
        return {name: tensor.detach().to("cpu", dtype) for name, tensor in state.items()}


@dataclass(frozen=True)
class Lookup:
    """What a memory has for a prompt, and how to store the result.

    Attributes:
        query: The prompt and its layout.
        recalled: What was read; empty without a match.
        origin: Identity of the calling job, stored with the entry that `keep` inserts.
    """

    memory: Memory
    query: Query
    recalled: Recalled
    origin: str | None = None

    @property
    def key(self) -> str:
        """The abstracted prompt."""
        return self.query.key

    @property
    def state(self) -> dict[str, Tensor] | None:
        """The adapter to start from, or to load."""
        return self.recalled.state

    def keep(self, adapter: dict[str, Tensor], losses: tuple[float, float]) -> dict[str, Any]:
        """Store what was optimized: in the entry of the same composition, or as a new entry.

        An adapter that was only loaded is not stored, and a frozen memory is left alone.

        Returns:
            The memory part of the report: mode, key, hit, used, similarity, matches, inserted, updated.

        Raises:
            SetupError: The disk is full or cannot be written; everything stored before is intact.
        """
        config, recalled = self.memory.config, self.recalled
        matches, inserted, updated = recalled.matches, None, None
        if not self.memory.frozen and (not matches or config.use == "init"):
            updated = self.memory.update(recalled, adapter, losses[1])
            inserted = self.memory.insert(self, adapter, losses) if updated is None else None
        return {
            "mode": config.mode,
            "key": self.key,
            "hit": bool(matches),
            "used": config.use if matches else None,
            "similarity": round(recalled.similarity, 6) if recalled.similarity is not None else None,
            "matches": [{"id": m.entry.id, "key": m.entry.key, "similarity": round(m.similarity, 6)} for m in matches],
            "inserted": inserted,
            "updated": [updated] if updated is not None else [],
        }
