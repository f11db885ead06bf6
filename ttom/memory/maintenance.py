"""Inspecting, verifying, pruning and reindexing memories. Nothing here prints or imports torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ttom.errors import SetupError, UserError
from ttom.memory.entries import BadRow, CorruptValue, Entry
from ttom.memory.files import DamagedMemory, memory_errors
from ttom.memory.key_maker import KeyMaker
from ttom.memory.quarantine import find_orphans, set_aside, take_out_entry, take_out_row
from ttom.memory.query import descriptor_of
from ttom.memory.schema import check_integrity
from ttom.memory.signature import Signature
from ttom.memory.store import Store

if TYPE_CHECKING:
    from ttom.memory.embedders import TextEmbedder


@dataclass(frozen=True)
class Stats:
    """Statistics of a memory: {namespace: entries}, total bytes of the values, oldest and newest creation time."""

    entries: int
    namespaces: dict[str, int]
    bytes: int
    embedder: str
    dimension: int
    signatures: tuple[Signature, ...]
    quarantined: dict[int, str]
    oldest: float | None
    newest: float | None


@dataclass(frozen=True)
class Findings:
    """Result of `verify`.

    Attributes:
        entries: Number of entries whose row and value are unchanged.
        quarantined: {id: reason} of the entries that were quarantined.
        orphans: sha256 of values without an entry and without a record to restore one.
        set_aside: The orphans that were moved to quarantine.
        strange: Paths of foreign files in the folder of values; never touched.
    """

    entries: int = 0
    quarantined: dict[int, str] | None = None
    orphans: tuple[str, ...] = ()
    set_aside: tuple[str, ...] = ()
    strange: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        return not self.orphans and not self.quarantined


# Looking


def find(store: Store, id_: int) -> Entry:
    """The entry with this id. Raises UserError if it does not exist, was quarantined, or has a damaged row."""
    with memory_errors(store.folder):
        found = next(store.rows([id_]), None) if abs(id_) < 2**63 else None  # more than SQLite can ask for
        if found is not None and isinstance(found[1], Entry):
            return found[1]
        reason = store.quarantined().get(id_)
    state = f"is in quarantine: {reason}" if reason else "does not exist"
    if found is not None:
        state = f"has a damaged row: {found[1]}"
    raise UserError(
        f"entry {id_} of the memory {store.folder} {state}",
        expected="an id of an entry",
        remedy=f"ttom memory {'verify' if found is not None else 'list'} {store.folder}",
    )


def newest(store: Store, *, namespace: str | None = None, limit: int = 20) -> list[tuple[int, Entry | BadRow]]:
    """Up to `limit` entries, newest first, of one namespace if given; BadRow in place of invalid rows."""
    if limit < 1:
        raise UserError(f"`limit` is {limit}", expected="a whole number of at least 1")
    check_namespace(namespace)
    with memory_errors(store.folder):
        return list(store.rows(store.newest(limit, namespace)))


def stats(store: Store) -> Stats:
    """Statistics of the memory."""
    with memory_errors(store.folder):
        oldest, last = store.made_between()
        return Stats(
            entries=len(store),
            namespaces=store.namespaces(),
            bytes=store.total_bytes(),
            embedder=store.embedder,
            dimension=store.dimension,
            signatures=tuple(store.signatures()),
            quarantined=store.quarantined(),
            oldest=oldest,
            newest=last,
        )


def verify(folder: Path, *, repair: bool = False) -> Findings:
    """Check the database and every value, and quarantine entries that are damaged or whose value is missing.

    Args:
        folder: The memory.
        repair: Also move values of version 1 without an entry to quarantine. Interrupted processes of version 1 could
            leave them, and so does a lost log. Only files whose name is the sha256 of their content are moved.

    Raises:
        DamagedMemory: The database is damaged or older than its values, and must be rebuilt.
    """
    with memory_errors(folder), Store(folder, tolerant=repair) as store:
        check_integrity(store.db, folder)
        bad: dict[int, str] = {}
        wrong: DamagedMemory | None = None
        sound = 0
        for id_, found in list(store.rows()):
            try:
                if isinstance(found, BadRow):
                    take_out_row(store, id_, str(found))
                    bad[id_] = str(found)
                    continue
                store.checked(found, store.values.read(found.sha256))
                sound += 1
            except CorruptValue as error:
                if isinstance(found, Entry) and take_out_entry(store, found, str(error)):
                    bad[id_] = str(error)
            except DamagedMemory as error:
                wrong = wrong or error
        if wrong is not None:
            raise wrong
        listing, orphans = find_orphans(store)
        moved = [sha256 for sha256 in orphans if repair and set_aside(store, sha256)]
        return Findings(sound, bad, tuple(orphans), tuple(moved), listing.other)


# Changing


def check_namespace(namespace: str | None) -> None:
    """Raise UserError for an invalid name; None stands for all namespaces."""
    if namespace is not None and not (namespace.strip() and namespace.isprintable()):
        raise UserError(
            f"`namespace` is {namespace!r:.100}",
            expected="a name of printable characters; leave it out for all namespaces",
        )


def prune(
    store: Store,
    *,
    max_items: int | None = None,
    max_bytes: int | None = None,
    namespace: str | None = None,
    keep: Iterable[int] = (),
) -> list[int]:
    """Evict least-used entries, of one namespace if given, until the rest is within the limits; returns their ids.

    Entries in `keep` are never evicted. A shared value counts for each of its entries.
    """
    gone = least_needed(store, max_items=max_items, max_bytes=max_bytes, namespace=namespace, keep=keep)
    return store.delete(gone) if gone else []


def least_needed(
    store: Store,
    *,
    max_items: int | None = None,
    max_bytes: int | None = None,
    namespace: str | None = None,
    keep: Iterable[int] = (),
) -> list[int]:
    """The ids that `prune` would evict.

    Damaged rows are neither counted nor evicted. Sizes are those of the files, so that a damaged number in a row does
    not widen what is evicted.
    """
    for name, limit in (("`max_items`", max_items), ("`max_bytes`", max_bytes)):
        if limit is not None and limit < 1:
            raise UserError(f"{name} is {limit}", expected="a whole number of at least 1")
    check_namespace(namespace)
    order, kept = store.least_used(namespace), set(keep)
    sizes = [store.values.size(sha256) if max_bytes is not None else 0 for _, sha256 in order]
    items, size, gone = len(order), sum(sizes), []
    for (id_, _), entry_bytes in zip(order, sizes, strict=True):
        if (max_items is None or items <= max_items) and (max_bytes is None or size <= max_bytes):
            break
        if id_ not in kept:
            gone.append(id_)
            items, size = items - 1, size - entry_bytes
    return gone


def delete(store: Store, ids: Sequence[int]) -> list[int]:
    """Delete entries; returns their ids. Raises UserError, with nothing deleted, if one does not exist."""
    return store.delete(check_ids(store, ids))


def check_ids(store: Store, ids: Sequence[int]) -> list[int]:
    """The ids without duplicates. Raises UserError if one does not exist."""
    for id_ in ids:
        if abs(id_) >= 2**63 or not list(store.rows([id_])):
            find(store, id_)  # says why
    return list(dict.fromkeys(ids))


def reindex(folder: Path, keys: TextEmbedder | KeyMaker) -> int:
    """Recompute all keys, which are required from then on; returns the number of entries.

    Also repairs a memory whose reindexing was interrupted, which cannot be used until then. A calibration of the old
    keys is dropped.

    Args:
        folder: The memory.
        keys: Makes the new keys: a text embedder, or a `KeyMaker`.

    Raises:
        SetupError: The keys need layouts, and an entry has none (see `without_layout`); nothing has changed then.
    """
    maker = keys if isinstance(keys, KeyMaker) else KeyMaker(keys, "text")
    with memory_errors(folder), Store(folder) as store:
        known: dict[tuple[int, str], np.ndarray] = {}

        def embed(id_: int, key: str) -> np.ndarray:
            if (id_, key) not in known:
                entry = next(store.entries([id_]), None) if maker.kind != "text" else None
                prompt, layout = (entry.prompt, entry.layout) if entry is not None else ("", None)
                known[id_, key] = maker.of_entry(key, prompt, layout)
            return known[id_, key]

        # Embedded before the rows are locked: other processes wait for the lock for a minute at most.
        for id_, key in store.db.execute("SELECT id, key FROM entries").fetchall():
            embed(id_, key)
        return store.rekey(maker.identity, maker.dimension, embed)


def without_layout(folder: Path) -> int:
    """Number of entries whose layout cannot be part of a key, since there is none or it is not one of the prompt."""
    with Store(folder, read_only=True) as store:
        return len(store) - sum(descriptor_of(entry.prompt, entry.layout) is not None for entry in store.entries())


def check_signature(store: Store, ours: Signature) -> None:
    """Raise SetupError if the adapters are of another model, or of the same model with other adapter settings."""
    theirs = next((signature for signature in store.signatures() if signature != ours), None)
    if theirs is None:
        return
    if theirs.model != ours.model:
        raise SetupError(
            f"the memory {store.folder} holds adapters of another model: {theirs}",
            expected=f"adapters of {ours.model} ({ours.family})",
            remedy="use the model it was made with, or another `memory.path`; adapters cannot be converted",
        )
    raise SetupError(
        f"the memory {store.folder} holds adapters of: {theirs}",
        expected=f"adapters of: {ours}",
        remedy="use the `adapter` and `tto.blocks` settings it was made with, or another `memory.path`",
    )


def check_model(folder: Path, model: str) -> None:
    """Raise UserError if the adapters belong to another model, since reindexing would not make them usable.

    Args:
        folder: The memory; only read.
        model: Class and configuration of the transformer, as `Signature.model`.
    """
    with Store(folder, read_only=True) as store:
        others = [signature for signature in store.signatures() if signature.model != model]
    if others:
        raise UserError(
            f"the memory {folder} holds adapters of another model: {others[0]}",
            expected=f"adapters of {model}",
            remedy="use the model that it was made with; reindexing would not make its adapters fit this one",
        )
