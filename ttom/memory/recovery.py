"""What happens when a memory is created or opened for writing: interrupted work is completed, damage is noticed."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

from ttom.errors import UserError
from ttom.files import Scratch
from ttom.memory import database
from ttom.memory.entries import CorruptValue
from ttom.memory.files import NAME, DamagedMemory, memory_errors
from ttom.memory.locks import PRESENCE
from ttom.memory.rows import Rows
from ttom.memory.value_format import Stored, Value, decode
from ttom.memory.values import FOLDER, Listing, ValueFolder


def check_new(folder: Path) -> None:
    """Raise UserError unless a memory may be created here: in a new or empty folder, or one left by a crash."""
    if not os.path.lexists(folder):
        return
    refused = UserError(
        f"{folder} exists and is not a memory",
        expected="a memory, or a new or empty folder",
        remedy="another `memory.path`",
    )
    if not folder.is_dir():
        raise refused
    with memory_errors(folder):
        names = set(os.listdir(folder))
        if NAME in names:
            return  # another process has just created it
        values = folder / FOLDER
        filled = FOLDER in names and (values.is_symlink() or not values.is_dir() or any(values.iterdir()))
    if filled and database.NAME in names:
        raise DamagedMemory(folder, f"has lost its {NAME}")
    ours = {PRESENCE, FOLDER, database.NAME, *database.BESIDE}
    strange = {name for name in names - ours if not name.startswith(".ttom-")}
    begun = PRESENCE in names or names <= {FOLDER}  # creation starts with the lock
    if strange or filled or not begun:
        raise refused


def check_old(folder: Path, values: ValueFolder) -> None:
    """Raise DamagedMemory if a memory of version 1 does not know a value that is there; nothing is changed.

    Version 1 wrote to a log, and if that is lost or damaged, its entries are gone without a trace. Their values have no
    record. So this is asked before the database is migrated, of a copy: the log may still be found.
    """
    listing = values.look_through()
    with Scratch() as scratch, closing(database.connect_to_copy(folder, scratch)) as db:
        check_known(Rows(db), values, listing)


def check_known(rows: Rows, values: ValueFolder, listing: Listing, *, tolerant: bool = False) -> None:
    """Raise DamagedMemory if the database does not know an intact value that is there: it was lost or rolled back.

    Args:
        rows: The database.
        values: The folder of values.
        listing: Its contents, listed before or under the lock.
        tolerant: Allow values without a record, from which no entry could be restored.
    """
    for sha256 in sorted(listing.values - rows.needed_values() - rows.removed_values()):
        value = _intact(values, sha256)
        if value is not None and not (tolerant and value.stored is None):
            raise DamagedMemory(values.memory, f"has values that are not in its database, such as {sha256[:12]}")


def recover(rows: Rows, values: ValueFolder, *, tolerant: bool = False) -> None:
    """Complete what interrupted writers left unfinished, within a transaction that holds the write lock.

    Raises:
        DamagedMemory: As `check_known`.
    """
    listing = values.look_through()
    check_known(rows, values, listing, tolerant=tolerant)
    needed = rows.needed_values()
    for sha256, part in listing.parts:
        values.settle(sha256, part, wanted=sha256 in needed and sha256 not in listing.values)


def stored(values: ValueFolder, sha256: str) -> Stored | None:
    """The metadata of a value; None if it is damaged, or of version 1."""
    value = _intact(values, sha256)
    return value.stored if value is not None else None


def _intact(values: ValueFolder, sha256: str) -> Value | None:
    try:
        return decode(values.read(sha256))
    except CorruptValue:
        return None
