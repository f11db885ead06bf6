"""What can still be read of a memory whose database is lost or damaged."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ttom.errors import UserError
from ttom.files import Scratch
from ttom.memory import database
from ttom.memory.entries import COLUMNS, BadRow, CorruptValue, Entry, Record, as_entry
from ttom.memory.files import read_meta
from ttom.memory.recovery import stored
from ttom.memory.schema import check_integrity, check_schema, current_signature, entry_columns
from ttom.memory.value_format import check, decode, with_record
from ttom.memory.values import Listing, ValueFolder


@dataclass
class OldRows:
    """What could be read from the old database; `intact` if it was undamaged."""

    rows: list[Entry] = field(default_factory=list)
    removed: set[str] = field(default_factory=set)
    quarantined: list[tuple[Any, ...]] = field(default_factory=list)
    last_id: int = 0
    intact: bool = False


@dataclass(frozen=True)
class Good:
    """A good value: its record, the embedder of its key, and its row in the old database if it has one."""

    record: Record
    sha256: str
    bytes: int
    embedder: str
    row: Entry | None


@dataclass
class Look:
    """Result of reading all files.

    Attributes:
        found: The good values, those of version 1 in the form that they have been rewritten in.
        outdated, upgraded: The sha256 of version-1 values, and of what they have become.
        unknown: Version-1 values that no row refers to.
        damaged: {sha256: reason}.
    """

    found: list[Good] = field(default_factory=list)
    outdated: set[str] = field(default_factory=set)
    upgraded: set[str] = field(default_factory=set)
    unknown: list[str] = field(default_factory=list)
    damaged: dict[str, str] = field(default_factory=dict)


def read_old(folder: Path) -> OldRows:
    """Read as much as possible of the old database."""
    old = OldRows()
    with (
        suppress(sqlite3.DatabaseError, UnicodeDecodeError, OSError, UserError),
        Scratch() as scratch,
        closing(database.open_copy(folder, scratch)) as db,
    ):
        columns = entry_columns(db)
        place = columns.index("signature")
        missing = (None, 0)[: len(COLUMNS) - len(columns)]  # in version 1: origin and turn
        for row in db.execute(f"SELECT {', '.join(columns)} FROM entries ORDER BY id"):
            with suppress(BadRow):
                old.rows.append(as_entry((*row[:place], current_signature(row[place]), *row[place + 1 :], *missing)))
        version = check_schema(db, folder)
        check_integrity(db, folder)
        old.quarantined = db.execute("SELECT id, reason, at, entry FROM quarantined").fetchall()
        old.last_id = max([0, *(row[0] for row in db.execute("SELECT seq FROM sqlite_sequence"))])
        if version > 1:
            old.removed = {row[0] for row in db.execute("SELECT sha256 FROM removed")}
        old.intact = True
    return old


def embedder_of(folder: Path, values: ValueFolder) -> tuple[str, int]:
    """Embedder and dimension according to memory.json, or else according to most values."""
    with suppress(UserError):
        meta = read_meta(folder)
        return meta["embedder"], meta["dimension"]
    found = filter(None, (stored(values, sha256) for sha256 in values.look_through().values))
    return Counter((s.embedder, len(s.record.embedding)) for s in found).most_common(1)[0][0]


def look_through(values: ValueFolder, rows: Sequence[Entry], removed: set[str], embedder: str) -> Look:
    """Read all files, those with an old row first, since version-1 values are rewritten under new names."""
    look, listing = Look(), values.look_through()
    known: dict[str, list[Entry]] = {}
    for row in rows:
        known.setdefault(row.sha256, []).append(row)
    names = listing.values | {sha256 for sha256, _ in listing.parts}
    for sha256 in sorted(names, key=lambda name: (name not in known, name)):
        if sha256 not in known and (sha256 in removed or sha256 in look.upgraded):
            continue
        try:
            _look_at(sha256, values, known.get(sha256, []), embedder, look)
            _finish_part(sha256, values, listing)
        except CorruptValue as error:
            if sha256 in listing.values or sha256 in known:
                look.damaged[sha256] = str(error)
    return look


def _look_at(sha256: str, values: ValueFolder, rows: list[Entry], embedder: str, look: Look) -> None:
    """Read one value and add it to the result. Raises CorruptValue."""
    data = values.read(sha256)
    value = decode(data)
    for signature in {row.signature for row in rows} | ({value.stored.record.signature} if value.stored else set()):
        check(value, signature)
    if value.stored is not None:
        # Only version-1 values can be shared by several rows.
        row = rows[0] if rows else None
        look.found.append(Good(value.stored.record, sha256, len(data), value.stored.embedder, row))
        return
    if not rows:
        look.unknown.append(sha256)
    for row in rows:
        look.found.append(_upgraded(values, data, row, embedder))
        look.upgraded.add(look.found[-1].sha256)
        look.outdated.add(sha256)


def _upgraded(values: ValueFolder, data: bytes, row: Entry, embedder: str) -> Good:
    """Rewrite a version-1 value with its record. Raises CorruptValue if it is too large for one."""
    record = Record(**{name: getattr(row, name) for name in Record.model_fields})
    with values.placing(with_record(data, record, embedder=embedder)) as placed:
        placed.place()
    return Good(record, placed.sha256, placed.bytes, embedder, row)


def _finish_part(sha256: str, values: ValueFolder, listing: Listing) -> None:
    for name, part in listing.parts:
        if name == sha256:
            values.settle(sha256, part, wanted=True)
