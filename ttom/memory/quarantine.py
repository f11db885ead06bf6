"""Taking damaged entries, and values without an entry, out of a memory: they are moved, and nothing is deleted."""

from __future__ import annotations

import json

from ttom.memory.entries import SHA256, CorruptValue, Entry
from ttom.memory.files import DamagedMemory
from ttom.memory.recovery import stored
from ttom.memory.transactions import Transactions
from ttom.memory.values import Listing


def take_out_entry(memory: Transactions, entry: Entry, reason: str) -> bool:
    """Take an entry out of the memory but keep its row and file for inspection.

    Returns False and does nothing if another process has deleted the entry or replaced its value.
    """
    with memory.writing():
        now = memory.db.execute("SELECT sha256 FROM entries WHERE id = ?", (entry.id,)).fetchone()
        if now != (entry.sha256,):
            return False
        memory.take_out(entry.id, reason, entry.model_dump_json(exclude={"embedding"}))
        if not memory.needs(entry.sha256):
            memory.values.quarantine(entry.sha256)
        return True


def take_out_row(memory: Transactions, id_: int, reason: str) -> None:
    """Take out a row that cannot be read as an entry; files stay where they are.

    Raises DamagedMemory, and does nothing, if the value's record could restore the row.
    """
    with memory.writing():
        row = memory.db.execute("SELECT * FROM entries WHERE id = ?", (id_,)).fetchone()
        sha256 = memory.db.execute("SELECT sha256 FROM entries WHERE id = ?", (id_,)).fetchone()
        if sha256 is not None and SHA256.fullmatch(str(sha256[0])) and stored(memory.values, sha256[0]) is not None:
            raise DamagedMemory(memory.folder, f"has a damaged row: entry {id_}, {reason}")
        memory.take_out(id_, reason, json.dumps([str(value)[:1000] for value in row or ()]))


def find_orphans(memory: Transactions) -> tuple[Listing, list[str]]:
    """The contents of the folder of values, and the sha256 of those that no entry needs and nothing will remove."""
    with memory.writing():
        listing = memory.values.look_through()
        return listing, sorted(listing.values - memory.needed_values() - memory.removed_values())


def set_aside(memory: Transactions, sha256: str) -> bool:
    """Move an orphan to quarantine; False if it is none by now, or its name is not the sha256 of its content."""
    with memory.writing():
        if memory.needs(sha256) or sha256 in memory.removed_values():
            return False
        try:
            memory.values.read(sha256)
        except CorruptValue:
            return False
        memory.values.quarantine(sha256)
        return True
