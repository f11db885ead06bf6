"""What a memory's SQLite base holds: its tables, an entry, and what checks of it find."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

COLUMNS = (
    "id, namespace, key, prompt, embedding, layout, uses, last_used, created, loss_before, loss_after, signature, "
    "sha256, bytes"
)
SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT, namespace TEXT NOT NULL, key TEXT NOT NULL, prompt TEXT NOT NULL,
    embedding BLOB NOT NULL, layout TEXT, uses INTEGER NOT NULL, last_used REAL NOT NULL, created REAL NOT NULL,
    loss_before REAL, loss_after REAL, signature TEXT NOT NULL, sha256 TEXT NOT NULL, bytes INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS by_namespace ON entries (namespace);
CREATE INDEX IF NOT EXISTS by_value ON entries (sha256);
CREATE INDEX IF NOT EXISTS by_use ON entries (uses, last_used);
CREATE TABLE IF NOT EXISTS quarantined (
    id INTEGER PRIMARY KEY, reason TEXT NOT NULL, at REAL NOT NULL, entry TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Entry:
    """One remembered optimisation.

    Attributes:
        id: Never used twice.
        namespace: Whose memory it is.
        key: The abstracted prompt.
        prompt: The prompt as given.
        embedding: ``(D,)`` float32, unit length.
        layout: The layout as its JSON object, or None.
        uses: How often it was read.
        last_used, created: Seconds since 1970.
        loss_before, loss_after: Alignment loss at the first and after the last iteration.
        signature: Of backbone and adapter; only equal ones may be loaded.
        sha256, bytes: Of the value's file.
    """

    id: int
    namespace: str
    key: str
    prompt: str
    embedding: np.ndarray
    layout: dict[str, Any] | None
    uses: int
    last_used: float
    created: float
    loss_before: float | None
    loss_after: float | None
    signature: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Findings:
    """What opening or `Store.verify` found: file names of orphans, and {id: reason} of quarantined entries."""

    orphans: tuple[str, ...] = ()
    quarantined: dict[int, str] | None = None

    @property
    def clean(self) -> bool:
        return not self.orphans and not self.quarantined


class CorruptValue(Exception):
    """A value's file is missing or is not what its row says."""


def as_entry(row: tuple) -> Entry:
    """A row of COLUMNS as an Entry."""
    values = dict(zip(COLUMNS.split(", "), row, strict=True))
    values["embedding"] = np.frombuffer(values["embedding"], np.float32)
    values["layout"] = json.loads(values["layout"]) if values["layout"] else None
    return Entry(**values)
