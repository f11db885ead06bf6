"""What the next processes make of a damaged memory."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from ttom.errors import UserError
from ttom.memory.files import NAME
from ttom.memory.maintenance import verify
from ttom.memory.rebuild import rebuild
from ttom.memory.store import Store


def outcomes(memory: Path, insert: Callable[[Store, int], object]) -> set[str]:
    """Two writers open the memory and insert, then it is verified, and rebuilt if it was found to be damaged.

    Args:
        memory: The memory; it is changed.
        insert: Inserts an entry, given the number of the writer, 0 or 1.

    Returns:
        Which of "writers stopped", "errors" (unclear ones), "quarantined", "found by verify", and "rebuilt" came true.
    """
    found = set()
    for number in range(2):
        try:
            with Store(memory) as store:
                insert(store, number)
        except UserError:
            found.add("writers stopped")
        except Exception as error:
            found.add("errors")
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
    try:
        if verify(memory).quarantined:
            found.add("quarantined")
    except UserError:
        found.add("found by verify")
    if found & {"writers stopped", "found by verify"}:
        try:
            rebuild(memory)
        except UserError:  # a bit made it a memory of the next version: its description must be removed first
            (memory / NAME).unlink()
            rebuild(memory)
        found.add("rebuilt")
    return found
