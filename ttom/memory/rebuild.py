"""Rebuilding the database of a memory from its values, each of which contains its entry's record.

Whatever can still be read from the old database is kept: ids, counters, and the rows of version-1 values, which have no
record and get one here. The new database is written beside the old one and replaces it atomically; after an
interruption at any point, the next rebuild continues.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ttom.errors import SetupError, UserError
from ttom.files import replace, sync_folder
from ttom.memory import database
from ttom.memory.calibration import Calibration, stored_calibration
from ttom.memory.copying import copy
from ttom.memory.entries import MAX_NAME, Record, as_row
from ttom.memory.files import DamagedMemory, NewerMemory, memory_errors, read_meta, write_meta
from ttom.memory.locks import Presence
from ttom.memory.recovery import stored
from ttom.memory.salvage import Good, OldRows, embedder_of, look_through, read_old
from ttom.memory.transactions import UNFINISHED
from ttom.memory.values import ValueFolder


@dataclass(frozen=True)
class Rebuilt:
    """Result of `rebuild`.

    Attributes:
        entries: Number of entries in the new database.
        recovered: How many of them were not in the old database.
        upgraded: Number of version-1 values that got a record.
        quarantined: {id: reason} of entries of the old database whose value is missing or damaged.
        damaged: sha256 of damaged values, which were moved to quarantine.
        set_aside: sha256 of values of version 1 that no entry refers to, which were moved to quarantine too.
        reindex: Whether some keys come from another embedder, so that the memory must be reindexed before use.
    """

    entries: int
    recovered: int
    upgraded: int
    quarantined: dict[int, str]
    damaged: tuple[str, ...]
    set_aside: tuple[str, ...]
    reindex: bool


def rebuild(folder: Path) -> Rebuilt:
    """Rebuild the database of a memory so that it contains every good value.

    If the old database is lost, so are ids, counters and the list of quarantined entries, and an entry deleted just
    before a crash may reappear. Only version-1 values that were rewritten are removed. A damaged database is copied,
    and damaged values are moved, to the quarantine folder; so are version-1 values that no entry refers to, since they
    may be what a lost log has left, and the database then.

    Raises:
        UserError: The folder is not a memory, its values are missing, no entry can be restored from them, or other
            processes have it open for writing.
    """
    folder = Path(folder)
    with memory_errors(folder):
        _check_folder(folder)
        with _alone(folder):
            _put_in_place(folder)  # if an interrupted rebuild had got that far
            values = ValueFolder(folder)
            old = read_old(folder)
            embedder, dimension = embedder_of(folder, values)
            calibration = _calibration(folder)
            look = look_through(values, old.rows, old.removed, embedder)
            if look.unknown and not look.found and not old.rows:
                raise SetupError(
                    f"the memory {folder} cannot be rebuilt: its {len(look.unknown)} values are of version 1, which "
                    "kept everything else in the database",
                    expected="values with a record",
                    remedy=f"put back its {database.NAME} and {database.NAME}-wal; nothing has been changed",
                )
            rows, reindex = _rows(look.found, old, embedder, dimension)
            lost = {
                row.id: look.damaged.get(row.sha256, "its value is missing") for row in old.rows if row.id not in rows
            }
            if not old.intact or look.unknown:  # first, so that an interrupted rebuild has done it
                _keep_damaged(folder, values)
            for sha256 in (*look.damaged, *look.unknown):
                values.quarantine(sha256)
            quarantined = [*old.quarantined, *((id_, reason, time.time(), "{}") for id_, reason in lost.items())]
            database.build(folder, rows.values(), quarantined, old.removed | look.outdated, old.last_id)
            if reindex and not embedder.startswith(UNFINISHED):
                embedder = f"{UNFINISHED} {embedder}"[:MAX_NAME]
            write_meta(folder, embedder, dimension, calibration)
            _put_in_place(folder)
    return Rebuilt(
        entries=len(rows),
        recovered=len(rows.keys() - {row.id for row in old.rows}),
        upgraded=len(look.outdated),
        quarantined=lost,
        damaged=tuple(look.damaged),
        set_aside=tuple(look.unknown),
        reindex=embedder.startswith(UNFINISHED),
    )


def _check_folder(folder: Path) -> None:
    """Raise UserError unless the folder is a memory, or contains values from which one can be rebuilt."""
    try:
        read_meta(folder)
    except NewerMemory:
        raise
    except UserError:
        values = ValueFolder(folder)
        with suppress(OSError):
            if any(stored(values, sha256) for sha256 in values.look_through().values):
                return
        raise
    database.check_writable(folder)
    with suppress(DamagedMemory):  # no damaged journal is applied
        database.check_beside(folder)


def _calibration(folder: Path) -> Calibration | None:
    with suppress(UserError):  # no memory.json
        return stored_calibration(read_meta(folder))
    return None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    presence = Presence(folder)
    try:
        if not presence.alone:
            raise SetupError(
                f"other processes have the memory {folder} open for writing",
                expected="exclusive access",
                remedy="stop them first",
            )
        yield
    finally:
        presence.close()


def _rows(found: Sequence[Good], old: OldRows, embedder: str, dimension: int) -> tuple[dict[int, dict[str, Any]], bool]:
    """The new rows by id, and whether the memory must be reindexed.

    If the database was rolled back, a value that it does not know may be an update of an entry that it does know.
    """
    there = {f.sha256 for f in found} | {f.row.sha256 for f in found if f.row is not None}
    earlier = {_identity(row): row for row in old.rows if row.sha256 not in there}
    next_id = max([old.last_id, *(row.id for row in old.rows), *(row[0] for row in old.quarantined)], default=0) + 1
    rows: dict[int, dict[str, Any]] = {}
    reindex = False
    for f in sorted(found, key=lambda f: (f.record.created, f.sha256)):
        row = f.row or earlier.pop(_identity(f.record), None)
        vector: np.ndarray | None = None
        if f.embedder == embedder and len(f.record.embedding) == dimension:
            vector = f.record.embedding
        elif row is not None and len(row.embedding) == dimension:
            vector = row.embedding  # the memory was reindexed after the value was written
        if vector is None:
            reindex, vector = True, np.eye(1, dimension, dtype=np.float32)[0]
        uses, last_used, turn, id_ = 0, f.record.created, 0, next_id
        if row is not None:
            uses, last_used, turn, id_ = row.uses, row.last_used, row.turn, row.id
        else:
            next_id += 1
        counters = {"id": id_, "uses": uses, "last_used": last_used, "turn": turn}
        columns = as_row(f.record, **counters, sha256=f.sha256, bytes=f.bytes)
        rows[id_] = columns | {"embedding": vector.tobytes()}
    return rows, reindex


def _identity(record: Record) -> tuple[str, str, str, float]:
    return record.namespace, record.key, record.prompt, record.created


def _keep_damaged(folder: Path, values: ValueFolder) -> None:
    """Copy the damaged database and its journal to the quarantine folder, under a number that nothing there has."""
    names = (database.NAME, *database.JOURNALS)
    with values.open_quarantine() as target:
        taken = set(os.listdir(target))
        number = next(n for n in itertools.count(1) if taken.isdisjoint(_numbered(name, n) for name in names))
        for name in names:
            copy(folder / name, _numbered(name, number), target)
        os.fsync(target)


def _numbered(name: str, number: int) -> str:
    return name.replace("entries", f"entries-{number}")


def _put_in_place(folder: Path) -> None:
    """Move a rebuilt database into place. The old journal goes first, or SQLite would apply it to the new database."""
    if not os.path.lexists(folder / database.REBUILT):
        return
    database.check_rebuilt(folder)
    for name in database.BESIDE:
        (folder / name).unlink(missing_ok=True)
    sync_folder(folder)
    replace(folder / database.REBUILT, folder / database.NAME)
