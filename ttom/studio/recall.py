"""What a memory holds, and what it would give for a prompt."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ttom.config import MemoryConfig, Settings
from ttom.errors import UserError
from ttom.layout.model import Layout
from ttom.studio.errors import Refused, not_found

if TYPE_CHECKING:
    from ttom.backbones.protocol import Backbone
    from ttom.memory.embedders import TextEmbedder
    from ttom.memory.entries import Entry
    from ttom.memory.memory import Memory
    from ttom.memory.query import Query

_SHOWN = 200
"""Entries that are listed, the newest first."""
_NEAREST = 10
"""Entries that a lookup shows."""


class MemoryView:
    """A memory seen from outside of the runs; every question opens it anew and, but for deleting, reads only.

    Args:
        config: The memory.
        settings: Of the runs, which decide what its adapters must fit.
        backbone: The model.
    """

    def __init__(self, config: MemoryConfig, settings: Settings, backbone: Backbone) -> None:
        from ttom.guidance.tto.adapter import LoraAdapter

        self.config, self._backbone = config, backbone
        # Now, as long as no run has its own LoRA in the model.
        self._signature = LoraAdapter(backbone, settings.adapter, settings.tto.targets, seed=0).signature
        self._asking = threading.Lock()

    @property
    def folder(self) -> Path:
        assert self.config.path is not None
        return Path(self.config.path).expanduser()

    @property
    def exists(self) -> bool:
        """Whether a run has made it yet."""
        from ttom.memory.files import NAME

        return (self.folder / NAME).is_file()

    def entries(self) -> list[dict[str, Any]]:
        """The newest entries of the namespace. Raises UserError."""
        from ttom.memory.entries import Entry
        from ttom.memory.maintenance import newest
        from ttom.memory.store import Store

        if not self.exists:
            return []
        with Store(self.folder, read_only=True) as store:
            rows = newest(store, namespace=self.config.namespace, limit=_SHOWN)
        return [_entry(row) for _, row in rows if isinstance(row, Entry)]

    def look_up(self, prompt: str, layout: Layout) -> dict[str, Any]:
        """The entries nearest to a prompt, and which of them a run would use.

        Raises:
            UserError: The layout is another prompt's, or the memory another model's.
        """
        from ttom.memory.calibration import DEFAULTS, threshold_of
        from ttom.memory.memory import Memory
        from ttom.memory.query import Query

        query, hits = Query(prompt, layout), []
        key = query.key
        limit = self.config.threshold if self.config.threshold is not None else DEFAULTS["both"]
        if self.exists:
            config = replace(self.config, mode="read", threshold=-1.0, top_k=max(_NEAREST, self.config.top_k))
            with self._asking:
                memory = Memory.open(config, self._embedder, self._signature)
                try:
                    limit = threshold_of(self.config, memory.store)
                    hits = self._judged(memory, query, limit)
                finally:
                    memory.close()
        return {"key": key, "threshold": limit, "hits": hits}

    def _judged(self, memory: Memory, query: Query, limit: float) -> list[dict[str, Any]]:
        wanted, hits = self.config.top_k, []
        for rank, match in enumerate(memory.match(query), start=1):
            near, first = match.similarity >= limit, rank <= wanted
            if near and first:
                why = f"similarity {match.similarity:.3f} reaches the threshold {limit:g}"
            elif near:
                why = f"only the first {wanted} are used" if wanted > 1 else "only the first is used"
            else:
                why = f"similarity {match.similarity:.3f} is below the threshold {limit:g}"
            same = "its key is the same" if match.entry.key == query.key else "its key differs"
            likeness = query.likeness(match.entry)
            known = {**_entry(match.entry), "similarity": round(match.similarity, 6), "layout": round(likeness, 6)}
            why = f"{same}, {_layouts(likeness)}; {why}"
            hits.append({**known, "accepted": near and first, "why": why})
        return hits

    def delete(self, id_: str, confirmed: str) -> None:
        """Delete an entry for good, if the same id is given twice. Raises Refused."""
        from ttom.memory.maintenance import find
        from ttom.memory.store import Store

        if not id_.isdecimal() or len(id_) > 18 or not self.exists:
            raise not_found("entry of this id")
        with Store(self.folder, read_only=True) as store:
            try:
                entry = find(store, int(id_))
            except UserError as error:
                raise Refused(404, error.problem, remedy=error.remedy) from None
        if entry.namespace != self.config.namespace:
            raise not_found("entry of this id in the studio's namespace")
        if confirmed != id_:
            raise Refused(
                409,
                f"entry {id_} would be deleted for good: {entry.key}",
                expected=f"?confirm={id_}",
                remedy="confirm it",
            )
        with Store(self.folder) as store:
            store.delete([int(id_)])

    @cached_property
    def _embedder(self) -> TextEmbedder:
        from ttom.memory.embedders import load_embedder

        return load_embedder(self.config.embedder, self._backbone)


def _layouts(likeness: float) -> str:
    """How alike the layouts of a prompt and an entry are; one of the same composition goes first."""
    from ttom.memory.query import SAME

    if likeness < -0.999:
        return "it has no layout to compare"
    return f"its layout is {'the same' if likeness >= SAME else 'another'} (likeness {likeness:.2f})"


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "key": entry.key,
        "prompt": entry.prompt,
        "namespace": entry.namespace,
        "uses": entry.uses,
        "created": entry.created,
        "last_used": entry.last_used,
        "loss_before": entry.loss_before,
        "loss_after": entry.loss_after,
        "bytes": entry.bytes,
    }
