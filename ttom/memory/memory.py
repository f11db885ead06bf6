"""Insert, read, update and delete: the operations of the parametric memory (section 3.3 of the paper)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ttom.config import MemoryConfig
from ttom.errors import SetupError
from ttom.layout.model import Layout
from ttom.memory.abstraction import abstract
from ttom.memory.embedders import TextEmbedder
from ttom.memory.files import told
from ttom.memory.fusion import fuse, merge
from ttom.memory.index import VectorIndex
from ttom.memory.maintenance import prune
from ttom.memory.store import CorruptValue, Entry, Store

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Match:
    """An entry and the inner product of its key's embedding with the question's, -1..1."""

    entry: Entry
    similarity: float


@dataclass(frozen=True)
class Recalled:
    """What a key brought back: the fused adapter, float32 on the CPU, and the entries it came from, best first."""

    state: dict[str, Tensor]
    matches: tuple[Match, ...]


class Memory:
    """Optimised adapters of past prompts under their abstracted prompts.

    Args:
        store: Where they are kept.
        embedder: Makes the keys; must be the one that the store was made with.
        config: How to read and write.
        signature: Of the backbone and adapter in use (`LoraAdapter.signature`); None for commands that load nothing.

    Raises:
        SetupError: If the store was made with another embedder, or for another backbone or adapter.
    """

    def __init__(self, store: Store, embedder: TextEmbedder, config: MemoryConfig, signature: str | None) -> None:
        self.store, self.embedder, self.config, self.signature = store, embedder, config, signature
        self._check()
        self._namespace: dict[int, str] = {}
        self._index = VectorIndex(store.dimension, config.index, gpu=config.index_gpu)
        self._last_id, self._seen, self._changed = 0, -1, True

    @classmethod
    def open(cls, config: MemoryConfig, embedder: TextEmbedder, signature: str | None) -> Memory:
        """Open the memory at config.path; in mode "readwrite" a new or empty folder becomes one."""
        assert config.path is not None
        folder = Path(os.path.expanduser(config.path))
        if config.mode == "readwrite" and not (folder / "memory.json").exists():
            store = Store.create(folder, embedder=embedder.identity, dimension=embedder.dimension)
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

    def look_up(self, prompt: str, layout: Layout) -> Lookup:
        """Ask for the adapter of a prompt; the answer also takes in what becomes of it."""
        key = abstract(prompt, layout)
        with told(self.store.folder):
            return Lookup(self, prompt, layout, key, self.recall(key))

    def match(self, key: str) -> list[Match]:
        """Up to top_k entries whose similarity reaches the threshold, best first.

        Those of config.namespace; if there is none, those of config.shared_namespace.
        """
        self._refresh()
        vector = self.embedder.embed([key])
        for namespace in filter(None, (self.config.namespace, self.config.shared_namespace)):
            found = self._nearest(vector, namespace)
            if found:
                return found
        return []

    def recall(self, key: str) -> Recalled | None:
        """Read the matching entries and fuse them; None without a match. Counts a use of each, unless frozen.

        An entry whose value is damaged is quarantined (only left out if frozen) and the next best takes its place.
        """
        while True:
            matches, states = self.match(key), []
            for match in matches:
                try:
                    states.append({name: t.float() for name, t in self.store.value(match.entry).items()})
                except CorruptValue as error:
                    self._drop(match.entry, str(error))
                    break
            else:
                break
        if not matches:
            return None
        if not self.frozen:
            self.store.used(match.entry.id for match in matches)
        return Recalled(fuse(states, [match.similarity for match in matches], self.config.fusion), tuple(matches))

    def insert(self, lookup: Lookup, state: dict[str, Tensor], losses: tuple[float | None, float | None]) -> int:
        """Remember an optimised adapter; returns its entry's id. Beyond capacity the least used are given up."""
        assert self.signature is not None
        key = lookup.key
        id_ = self.store.insert(
            self._packed(state),
            key=key,
            prompt=lookup.prompt,
            embedding=self.embedder.embed([key])[0],
            signature=self.signature,
            namespace=self.config.namespace,
            layout=lookup.layout.model_dump(mode="json"),
            losses=losses,
        )
        self._changed = True
        self.make_room(keep=[id_])
        return id_

    def update(self, recalled: Recalled, state: dict[str, Tensor], loss_after: float | None) -> list[int]:
        """Give the entries that were read the adapter optimised further from them; returns their ids.

        config.update "replace" stores it as it is, "merge" as (old + sim * new) / (1 + sim). Entries of the shared
        namespace, and those that are gone or damaged meanwhile, are left alone.
        """
        done = []
        for match in recalled.matches:
            if match.entry.namespace != self.config.namespace:
                continue
            new = state
            if self.config.update == "merge":
                try:
                    old = {name: t.float() for name, t in self.store.value(match.entry).items()}
                except CorruptValue:
                    continue
                new = merge(old, state, match.similarity)
            if self.store.replace(match.entry.id, self._packed(new), loss_after=loss_after):
                done.append(match.entry.id)
        self.make_room(keep=done)
        return done

    def make_room(self, keep: Iterable[int] = ()) -> int:
        """Delete least used entries of the namespace until it is within capacity; never those in `keep`."""
        config = self.config
        if config.max_items is None and config.max_bytes is None:
            return 0
        gone = prune(
            self.store,
            max_items=config.max_items,
            max_bytes=config.max_bytes,
            namespace=config.namespace,
            keep=keep,
        )
        self._changed |= bool(gone)
        return gone

    def _check(self) -> None:
        if self.store.embedder != self.embedder.identity:
            raise SetupError(
                f"the memory {self.store.folder} has keys of the embedder {self.store.embedder}",
                expected=f"the embedder in use, {self.embedder.identity}",
                remedy=f"ttom memory reindex {self.store.folder}, or the `memory.embedder` it was made with",
            )
        others = [s for s in self.store.signatures() if s != self.signature]
        if self.signature is not None and others:
            raise SetupError(
                f"the memory {self.store.folder} holds adapters of: {others[0]}",
                expected=f"adapters of: {self.signature}",
                remedy="the model, `adapter` and `tto.blocks` settings it was made with, or another `memory.path`",
            )

    def _nearest(self, vector: np.ndarray, namespace: str) -> list[Match]:
        wanted = min(self.config.top_k, len(self._index))
        count = wanted
        while wanted:
            similarities, ids = self._index.search(vector, count)
            pairs = zip(similarities[0].tolist(), ids[0].tolist(), strict=True)
            good = [(s, i) for s, i in pairs if i >= 0 and s >= self.config.threshold]
            mine = [(s, i) for s, i in good if self._namespace.get(i) == namespace][:wanted]
            # Entries of other namespaces may fill the answer: ask for more until it suffices or nothing is left.
            if len(mine) == wanted or len(good) < count or count == len(self._index):
                entries = {entry.id: entry for entry in self.store.entries([i for _, i in mine])}
                return [Match(entries[i], s) for s, i in mine if i in entries]
            count = min(4 * count, len(self._index))
        return []

    def _refresh(self) -> None:
        """Bring the index to what the store holds now, other processes' writes included."""
        version = self.store.version()
        if version == self._seen and not self._changed:
            return
        ids, namespaces, vectors = self.store.embeddings(after=self._last_id)
        if len(ids):
            self._index.add(ids, vectors)
            self._namespace |= dict(zip(ids.tolist(), namespaces, strict=True))
            self._last_id = int(ids[-1])
        if len(self.store) != len(self._namespace):
            gone = set(self._namespace) - set(self.store.ids())
            self._index.remove(np.array(sorted(gone), np.int64))
            for id_ in gone:
                del self._namespace[id_]
        self._seen, self._changed = version, False

    def _drop(self, entry: Entry, reason: str) -> None:
        if not self.frozen:
            self.store.quarantine(entry, reason)
            self._changed = True
        else:
            self._index.remove(np.array([entry.id], np.int64))
            self._namespace.pop(entry.id, None)

    def _packed(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        import torch

        dtype = getattr(torch, self.config.dtype)
        return {name: tensor.detach().to("cpu", dtype) for name, tensor in state.items()}


@dataclass(frozen=True)
class Lookup:
    """What a memory holds for a prompt, and the way back in.

    Attributes:
        key: The abstracted prompt.
        recalled: What was read; None without a match.
    """

    memory: Memory
    prompt: str
    layout: Layout
    key: str
    recalled: Recalled | None

    @property
    def state(self) -> dict[str, Tensor] | None:
        """The adapter to start from, or to load."""
        return self.recalled.state if self.recalled is not None else None

    def keep(self, adapter: dict[str, Tensor], losses: tuple[float, float]) -> dict[str, Any]:
        """Insert without a match, update after further optimisation, leave a frozen memory alone.

        Returns:
            What a report says of it: mode, key, hit, used, matches, inserted, updated.
        """
        config, recalled, inserted, updated = self.memory.config, self.recalled, None, []
        if not self.memory.frozen and recalled is None:
            inserted = self.memory.insert(self, adapter, losses)
        elif not self.memory.frozen and recalled is not None and config.use == "init":
            updated = self.memory.update(recalled, adapter, losses[1])
        matches = recalled.matches if recalled is not None else ()
        return {
            "mode": config.mode,
            "key": self.key,
            "hit": recalled is not None,
            "used": config.use if recalled is not None else None,
            "similarity": round(matches[0].similarity, 6) if matches else None,
            "matches": [{"id": m.entry.id, "key": m.entry.key, "similarity": round(m.similarity, 6)} for m in matches],
            "inserted": inserted,
            "updated": updated,
        }
