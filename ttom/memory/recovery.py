"""What happens when a memory is created or opened for writing: interrupted work is completed, damage is noticed."""

from __future__ import annotations

import os
from pathlib import Path

from ttom.errors import UserError
from ttom.memory import database
from ttom.memory.entries import CorruptValue
from ttom.memory.files import NAME, DamagedMemory, disk_errors
from ttom.memory.locks import PRESENCE
from ttom.memory.rows import Rows
from ttom.memory.value_format import Stored, decode
from ttom.memory.values import FOLDER, ValueFolder


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
    with disk_errors(folder):
        names = set(os.listdir(folder))
        if NAME in names:
            return  # another process has just created it
        values = folder / FOLDER
        filled = FOLDER in names and (values.is_symlink() or not values.is_dir() or any(values.iterdir()))
    if filled and database.NAME in names:
        raise DamagedMemory(folder, f"has lost its {NAME}")
    ours = {PRESENCE, FOLDER, database.NAME, *database.JOURNALS, f"{database.NAME}-shm"}
    strange = {name for name in names - ours if not name.startswith(".ttom-")}
    begun = PRESENCE in names or names <= {FOLDER}  # creation starts with the lock
    if strange or filled or not begun:
        raise refused


def recover(rows: Rows, values: ValueFolder) -> None:
    """Complete what interrupted writers left unfinished, within a transaction that holds the write lock.

    Raises:
        DamagedMemory: A value has no row although it carries a record: the database was lost or rolled back.
    """
    listing = values.look_through()
    needed, removed = rows.needed_values(), rows.removed_values()
    for sha256 in sorted(listing.values - needed - removed):
        # Version 1 could leave values without a row, but these carry no record.
        if stored(values, sha256) is not None:
            raise DamagedMemory(values.memory, f"has values that are not in its database, such as {sha256[:12]}")
    for sha256, part in listing.parts:
        values.settle(sha256, part, wanted=sha256 in needed and sha256 not in listing.values)


def stored(values: ValueFolder, sha256: str) -> Stored | None:
    """The metadata of a value; None if it is damaged, or of version 1."""
    try:
        return decode(values.read(sha256)).stored
    except CorruptValue:
        return None
