"""Merging memories from other people: they are read as data, and every row and value is checked before it is copied.

A checked entry is well-formed, finite and fits the model. No check can tell whether its adapter is any good, or whether
its embedding really belongs to its key, so merge only memories from people you trust.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from ttom.errors import UserError
from ttom.memory.calibration import keep_calibration, stored_calibration
from ttom.memory.entries import BadRow, CorruptValue, Entry
from ttom.memory.files import NAME, DamagedMemory, memory_errors
from ttom.memory.schema import check_integrity
from ttom.memory.store import Store
from ttom.memory.transactions import UNFINISHED
from ttom.memory.value_format import check, shapes_in

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Merged:
    """Result of `merge`: entries copied, entries already present, and (memory, id, reason) of those left out."""

    copied: int
    present: int
    damaged: tuple[tuple[Path, int, str], ...]


def merge(sources: Sequence[Path], into: Path) -> Merged:
    """Copy the entries of several memories into one, an existing memory or a new or empty folder.

    Entries get new ids. Those that the target already has (same namespace, key, prompt and value) are not copied again,
    so merging can be repeated, also after an interruption. Entries that are damaged, not finite, or of other shapes
    than the rest are left out. The sources are only read. A new memory gets the first calibration among them.

    Raises:
        UserError: The memories differ in embedder or signature, or one is not a memory or has a damaged database.
            Nothing has been copied then.
    """
    sources = [source for source in sources if not _same(source, into)]
    if not sources:
        raise UserError("there is nothing to merge", expected="a memory other than `into`")
    with ExitStack() as open_stores, memory_errors(into):
        opened = [open_stores.enter_context(open_foreign(source)) for source in sources]
        exists = (into / NAME).exists()
        target = open_stores.enter_context(Store(into)) if exists else None
        _check_alike([*([target] if target else []), *opened])
        if target is None:
            created = Store.create(into, embedder=opened[0].embedder, dimension=opened[0].dimension)
            target = open_stores.enter_context(created)
            calibrations = filter(None, (stored_calibration(source.meta) for source in opened))
            if (calibration := next(calibrations, None)) is not None:
                keep_calibration(target, calibration)
        shapes = common_shapes([target] if len(target) else opened)
        copied, present, damaged = 0, 0, []
        for source in opened:
            for id_, found in checked_entries(source, shapes):
                if isinstance(found, str):
                    damaged.append((source.folder, id_, found))
                    continue
                try:
                    taken = target.take(*found)
                except CorruptValue as error:
                    damaged.append((source.folder, id_, str(error)))
                    continue
                copied, present = copied + (taken is not None), present + (taken is None)
    return Merged(copied, present, tuple(damaged))


def open_foreign(folder: Path) -> Store:
    """Open a memory read-only and check its database and schema. Raises UserError."""
    store = Store(folder, read_only=True)
    try:
        with memory_errors(folder):
            check_integrity(store.db, folder)
    except BaseException:
        store.close()
        raise
    return store


def checked_entries(store: Store, shapes: Shapes | None) -> Iterator[tuple[int, tuple[Entry, bytes] | str]]:
    """Yield for each id the entry with the bytes of its value, or the reason why it cannot be taken.

    Args:
        store: The memory.
        shapes: Required tensor shapes; see `common_shapes`.
    """
    for id_ in store.ids():
        with memory_errors(store.folder):
            found = next(store.rows([id_]))[1]
        try:
            if isinstance(found, BadRow):
                raise found
            if len(found.embedding) != store.dimension:
                raise BadRow(f"embedding: {len(found.embedding)} numbers, not {store.dimension}")
            data = store.values.read(found.sha256)
            check(store.checked(found, data), found.signature, shapes)
            yield id_, (found, data)
        except (BadRow, CorruptValue) as error:
            yield id_, str(error)
        except DamagedMemory as error:
            yield id_, error.problem


def common_shapes(stores: Sequence[Store]) -> Shapes | None:
    """The most common tensor shapes, so that one wrong value does not make the others look wrong; None if empty."""
    counted: Counter[tuple[tuple[str, tuple[int, ...]], ...]] = Counter()
    for store in stores:
        for entry in store.entries():
            with suppress(CorruptValue):
                counted[tuple(sorted(shapes_in(store.values.header(entry.sha256)).items()))] += 1
    return dict(counted.most_common(1)[0][0]) if counted else None


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def _check_alike(stores: Sequence[Store]) -> None:
    """Raise UserError unless keys can be compared and values loaded across all of them."""
    first, signed = stores[0], [(store, signature) for store in stores for signature in store.signatures()]
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
    for store, signature in signed:
        if signature != signed[0][1]:
            raise UserError(
                f"{store.folder} holds adapters of: {signature}",
                expected=f"those of {signed[0][0].folder}: {signed[0][1]}",
                remedy="merge only memories of the same model, `adapter` and `tto.blocks` settings",
            )
