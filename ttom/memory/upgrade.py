"""Upgrading memories that earlier versions wrote, when they are opened for writing."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from ttom.errors import SetupError
from ttom.memory.entries import CorruptValue
from ttom.memory.files import DiskFull
from ttom.memory.transactions import Transactions
from ttom.memory.value_format import has_record, with_record


def check_alone(folder: Path, version: int, *, alone: bool) -> None:
    """Raise SetupError if a process of version 2 or 3 has the memory open: it could not read what this one writes."""
    if not alone:
        raise SetupError(
            f"the memory {folder} is of version {version} and open for writing in another process",
            expected="no process of an older version",
            remedy="wait until that process has finished; the memory is upgraded then",
        )


def add_records(memory: Transactions) -> None:
    """Add records to values of version 1, and then set the memory to the current version.

    Memories of version 2 can contain such values too, since that version merged them as they were. After an
    interruption the next writer goes on. If the disk is full, the memory can still be used, and the next writer tries
    again.
    """
    with suppress(DiskFull):
        for id_ in memory.ids() if memory.meta["version"] < 3 else ():
            entry = next(memory.entries([id_]), None)
            if entry is None:
                continue
            try:
                if has_record(memory.values.header(entry.sha256)):
                    continue
                data = memory.values.read(entry.sha256)
                upgraded = with_record(data, entry, embedder=memory.embedder)
            except CorruptValue:  # found when it is read
                continue
            if upgraded is not data:
                memory.change_value(id_, upgraded, only=entry.sha256)
        with memory.writing():
            memory.describe(memory.embedder, memory.dimension)
