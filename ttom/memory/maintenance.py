"""Looking after a memory: look, verify, prune, embed anew, combine. Nothing here prints or imports torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ttom.errors import UserError
from ttom.memory.files import told
from ttom.memory.store import UNFINISHED, CorruptValue, Entry, Findings, Store

if TYPE_CHECKING:
    from ttom.memory.embedders import TextEmbedder


@dataclass(frozen=True)
class Stats:
    """A memory in numbers: {namespace: entries}, bytes of the values, when the first and last entry were made."""

    entries: int
    namespaces: dict[str, int]
    bytes: int
    embedder: str
    dimension: int
    signatures: tuple[str, ...]
    quarantined: dict[int, str]
    oldest: float | None
    newest: float | None


@dataclass(frozen=True)
class Merged:
    """What `merge` did: entries copied, equal ones that were there already, and (memory, id, reason) left out."""

    copied: int
    present: int
    damaged: tuple[tuple[Path, int, str], ...]


# Looking


def find(store: Store, id_: int) -> Entry:
    """The entry of that id. Raises UserError if there is none, or if it was quarantined."""
    with told(store.folder):
        entry = next(store.entries([id_]), None) if abs(id_) < 2**63 else None  # more than SQLite can ask for
        if entry is not None:
            return entry
        reason = store.quarantined().get(id_)
    state = f"is in quarantine: {reason}" if reason else "does not exist"
    raise UserError(
        f"entry {id_} of the memory {store.folder} {state}",
        expected="an id of an entry",
        remedy=f"ttom memory list {store.folder}",
    )


def newest(store: Store, *, namespace: str | None = None, limit: int = 20) -> list[Entry]:
    """Up to `limit` entries, of one namespace if given, the last made first."""
    if limit < 1:
        raise UserError(f"`limit` is {limit}", expected="a whole number of at least 1")
    where, what = ("WHERE namespace = ?", (namespace,)) if namespace is not None else ("", ())
    query = f"SELECT id FROM entries {where} ORDER BY created DESC, id DESC LIMIT ?"
    with told(store.folder):
        ids = [row[0] for row in store.db.execute(query, (*what, limit))]
        return list(store.entries(ids))


def stats(store: Store) -> Stats:
    """Count what the memory holds."""
    with told(store.folder):
        names = store.db.execute("SELECT namespace, count(*) FROM entries GROUP BY namespace ORDER BY namespace")
        oldest, last = store.db.execute("SELECT min(created), max(created) FROM entries").fetchone()
        return Stats(
            entries=len(store),
            namespaces=dict(names),
            bytes=store.total_bytes(),
            embedder=store.embedder,
            dimension=store.dimension,
            signatures=tuple(sorted(store.signatures())),
            quarantined=store.quarantined(),
            oldest=oldest,
            newest=last,
        )


def verify(folder: Path) -> Findings:
    """Remove files that no entry needs and quarantine entries whose value is missing or damaged; says which."""
    with told(folder), Store(folder) as store:
        found = store.verify()
        quarantined = {**(store.found.quarantined or {}), **(found.quarantined or {})}
        return Findings((*store.found.orphans, *found.orphans), quarantined)


# Changing


def prune(
    store: Store,
    *,
    max_items: int | None = None,
    max_bytes: int | None = None,
    namespace: str | None = None,
    keep: Iterable[int] = (),
) -> int:
    """Delete least used entries, of one namespace if given, until the rest is within the limits; returns how many.

    Entries in `keep` stay. A value that entries share counts for each of them.
    """
    for name, limit in (("`max_items`", max_items), ("`max_bytes`", max_bytes)):
        if limit is not None and limit < 1:
            raise UserError(f"{name} is {limit}", expected="a whole number of at least 1")
    order, kept = list(store.least_used(namespace)), set(keep)
    items, size, gone = len(order), sum(size for _, size in order), []
    for id_, entry_bytes in order:
        if (max_items is None or items <= max_items) and (max_bytes is None or size <= max_bytes):
            break
        if id_ not in kept:
            gone.append(id_)
            items, size = items - 1, size - entry_bytes
    return store.delete(gone) if gone else 0


def delete(store: Store, ids: Sequence[int]) -> int:
    """Delete entries; returns how many. Raises UserError, with nothing deleted, if one does not exist."""
    for id_ in ids:
        find(store, id_)
    return store.delete(dict.fromkeys(ids))


def reindex(folder: Path, embedder: TextEmbedder) -> int:
    """Embed all keys again with this embedder, which the memory then belongs to; returns how many entries there are.

    Also mends a memory whose reindexing was interrupted; until then nothing can be looked up in it.
    """
    with told(folder), Store(folder) as store:
        known: dict[str, np.ndarray] = {}

        def embed(key: str) -> np.ndarray:
            if key not in known:
                known[key] = embedder.embed([key])[0]
            return known[key]

        # Embedded before the rows are locked, which then takes a moment: other processes wait a minute at most.
        for (key,) in store.db.execute("SELECT DISTINCT key FROM entries").fetchall():
            embed(key)
        return store.rekey(embedder.identity, embedder.dimension, embed)


def merge(sources: Sequence[Path], into: Path) -> Merged:
    """Copy the entries of several memories into one, an existing memory or a new or empty folder.

    Entries get ids of the target; one that it has already (same namespace, key, prompt and value) is not copied again,
    so that merging once more, also after an interruption, changes nothing that is there. Damaged entries are left out.
    The sources are only read.

    Raises:
        UserError: The memories differ in embedder or signature, or one is no memory; nothing was copied then.
    """
    sources = [source for source in sources if not _same(source, into)]
    if not sources:
        raise UserError("there is nothing to merge", expected="a memory other than `into`")
    with ExitStack() as open_stores:
        opened = [open_stores.enter_context(Store(source, read_only=True)) for source in sources]
        exists = (into / "memory.json").exists()
        target = open_stores.enter_context(Store(into)) if exists else None
        _check_alike([*([target] if target else []), *opened])
        if target is None:
            created = Store.create(into, embedder=opened[0].embedder, dimension=opened[0].dimension)
            target = open_stores.enter_context(created)
        copied, present, damaged = 0, 0, []
        for source in opened:
            for entry in source.entries():
                try:
                    taken = target.take(entry, source.value_bytes(entry))
                except CorruptValue as error:
                    damaged.append((source.folder, entry.id, str(error)))
                    continue
                copied, present = copied + (taken is not None), present + (taken is None)
    return Merged(copied, present, tuple(damaged))


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def _check_alike(stores: Sequence[Store]) -> None:
    """Raise UserError unless keys can be compared and values loaded across all of them."""
    first, signed = stores[0], [(store, name) for store in stores for name in store.signatures()]
    for store in stores:
        if store.embedder.startswith(UNFINISHED):
            raise UserError(
                f"the memory {store.folder} has an {store.embedder}", remedy=f"ttom memory reindex {store.folder}"
            )
        if (store.embedder, store.dimension) != (first.embedder, first.dimension):
            raise UserError(
                f"{store.folder} has keys of the embedder {store.embedder} (dimension {store.dimension})",
                expected=f"that of {first.folder}: {first.embedder} (dimension {first.dimension})",
                remedy=f"ttom memory reindex {store.folder} with that embedder",
            )
    for store, name in signed:
        if name != signed[0][1]:
            raise UserError(
                f"{store.folder} holds adapters of: {name}",
                expected=f"those of {signed[0][0].folder}: {signed[0][1]}",
                remedy="merge only memories of the same model, `adapter` and `tto.blocks` settings",
            )
