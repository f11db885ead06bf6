"""Queries and statements on the tables of a memory's database. Transactions are the store's business."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from ttom.memory.entries import COLUMNS, MAX_COUNT, MAX_VALUE_BYTES, SHA256, BadRow, Entry, Record, as_entry, is_unit
from ttom.memory.signature import Signature

_SELECT = f"SELECT {', '.join(COLUMNS)} FROM entries"
_SOUND = f"""typeof(uses) = 'integer' AND uses BETWEEN 0 AND {MAX_COUNT}
    AND typeof(turn) = 'integer' AND turn BETWEEN 0 AND {MAX_COUNT}
    AND typeof(sha256) = 'text' AND length(sha256) = 64 AND sha256 NOT GLOB '*[^0-9a-f]*'"""
"""Condition for a row whose place in the order of eviction and whose value are known."""


def worth(uses: int, age: int) -> float:
    """How much an entry is worth keeping: its uses, which count less the longer ago the last one was.

    Plain counts of uses, as the paper has them, would evict every newcomer of a full memory at the next insertion, and
    keep for ever what was popular once.

    Args:
        uses: Number of times it was read.
        age: Turns of the memory since it was last read, or inserted.
    """
    return (uses + 1.0) ** 2 / (max(age, 0) + 1.0)


@dataclass(frozen=True)
class Keys:
    """The columns that matching needs.

    Attributes:
        ids: ``(n,)``, ascending.
        namespaces, origins, texts: One per id; texts are the abstracted prompts.
        vectors: Embeddings ``(n, D)``.
        unusable: Ids of other entries, whose embeddings are invalid.
    """

    ids: np.ndarray
    namespaces: list[str]
    origins: list[str | None]
    texts: list[str]
    vectors: np.ndarray
    unusable: list[int]


class Rows:
    """Entries as the database stores them, without their values.

    Args:
        db: A connection to a database of the current version.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db

    def __len__(self) -> int:
        return self.db.execute("SELECT count(*) FROM entries").fetchone()[0]

    def ids(self) -> list[int]:
        return [row[0] for row in self.db.execute("SELECT id FROM entries ORDER BY id")]

    def entries(self, ids: Sequence[int] | None = None) -> Iterator[Entry]:
        """Entries by id, or all in ascending order. Unknown ids and invalid rows are skipped."""
        for _, found in self.rows(ids):
            if isinstance(found, Entry):
                yield found

    def rows(self, ids: Sequence[int] | None = None) -> Iterator[tuple[int, Entry | BadRow]]:
        """Like `entries`, but with a BadRow in place of each invalid row."""
        for id_ in self.ids() if ids is None else ids:
            try:
                row = self.db.execute(f"{_SELECT} WHERE id = ?", (int(id_),)).fetchone()
                if row is not None:
                    yield row[0], as_entry(row)
            except BadRow as error:
                yield id_, error
            except sqlite3.DataError:  # a field beyond the connection's length limit
                yield id_, BadRow("a field of megabytes")

    def keys_of(self, dimension: int, *, after: int = 0) -> Keys:
        """Keys of the entries with an id above `after`, and embeddings of this dimension."""
        rows = self.db.execute(
            "SELECT id, namespace, origin, key, "
            "iif(typeof(embedding) = 'blob' AND length(embedding) = ?, embedding, NULL) "
            "FROM entries WHERE id > ? ORDER BY id",
            (4 * dimension, after),
        ).fetchall()
        whole = [row for row in rows if row[4] is not None]
        vectors = np.frombuffer(b"".join(row[4] for row in whole), np.float32).reshape(len(whole), dimension)
        good = is_unit(vectors)
        kept = [row for row, is_good in zip(whole, good.tolist(), strict=True) if is_good]
        ids = np.array([row[0] for row in kept], np.int64)
        unusable = sorted({row[0] for row in rows}.difference(ids.tolist())) if len(kept) < len(rows) else []
        vectors = vectors if len(kept) == len(whole) else vectors[good]
        namespaces, origins, texts = ([row[column] for row in kept] for column in (1, 2, 3))
        return Keys(ids, namespaces, origins, texts, vectors, unusable)

    def version(self) -> int:
        """A number that changes whenever another process has written."""
        return self.db.execute("PRAGMA data_version").fetchone()[0]

    def signatures(self) -> list[Signature]:
        """The distinct signatures of all entries; invalid ones are skipped."""
        found = []
        for (text,) in self.db.execute("SELECT DISTINCT signature FROM entries ORDER BY signature"):
            with suppress(ValueError, TypeError):
                found.append(Signature.from_json(text))
        return found

    def total_bytes(self) -> int:
        """Bytes of all values; a value that two entries share counts once, and a damaged number counts 0."""
        sound = f"typeof(bytes) = 'integer' AND bytes BETWEEN 0 AND {MAX_VALUE_BYTES}"
        query = f"SELECT coalesce(sum(bytes), 0) FROM (SELECT DISTINCT sha256, bytes FROM entries WHERE {sound})"
        return self.db.execute(query).fetchone()[0]

    def least_used(self, namespace: str | None = None) -> list[tuple[int, str]]:
        """Ids and sha256 in the order of eviction (see `worth`), the least worth first; no rows with damaged ones."""
        now = self._turn()
        where, what = ("AND namespace = ?", (namespace,)) if namespace is not None else ("", ())
        query = f"SELECT id, sha256, uses, turn FROM entries WHERE {_SOUND} {where}"
        rows = self.db.execute(query, what).fetchall()
        rows.sort(key=lambda row: (worth(row[2], now - row[3]), row[3], row[0]))
        return [(id_, sha256) for id_, sha256, _, _ in rows]

    def quarantined(self) -> dict[int, str]:
        """{id: reason} of all quarantined entries."""
        return dict(self.db.execute("SELECT id, reason FROM quarantined ORDER BY id"))

    def needed_values(self) -> set[str]:
        """The sha256 of every value that an entry refers to."""
        return {row[0] for row in self.db.execute("SELECT sha256 FROM entries")}

    def removed_values(self) -> set[str]:
        """The sha256 of every value whose file is still to be deleted."""
        found = (row[0] for row in self.db.execute("SELECT sha256 FROM removed"))
        return {sha256 for sha256 in found if isinstance(sha256, str) and SHA256.fullmatch(sha256)}

    def namespaces(self) -> dict[str, int]:
        """{namespace: entries}."""
        query = "SELECT namespace, count(*) FROM entries GROUP BY namespace ORDER BY namespace"
        return dict(self.db.execute(query))

    def made_between(self) -> tuple[float | None, float | None]:
        """Creation times of the oldest and the newest entry."""
        query = "SELECT min(created), max(created) FROM entries WHERE typeof(created) IN ('real', 'integer')"
        return self.db.execute(query).fetchone()

    def newest(self, limit: int, namespace: str | None = None) -> list[int]:
        """Ids of the newest entries, of one namespace if given."""
        where, what = ("WHERE namespace = ?", (namespace,)) if namespace is not None else ("", ())
        query = f"SELECT id FROM entries {where} ORDER BY created DESC, id DESC LIMIT ?"
        return [row[0] for row in self.db.execute(query, (*what, min(limit, 2**31)))]

    # Statements within a transaction

    def _of_origin(self, record: Record) -> list[int]:
        if record.origin is None:
            return []
        query = "SELECT id FROM entries WHERE origin = ? AND namespace = ?"
        return [row[0] for row in self.db.execute(query, (record.origin, record.namespace))]

    def _has(self, entry: Entry) -> bool:
        equal = "SELECT 1 FROM entries WHERE sha256 = ? AND namespace = ? AND key = ? AND prompt = ?"
        what = (entry.sha256, entry.namespace, entry.key, entry.prompt)
        return self.db.execute(equal, what).fetchone() is not None

    def needs(self, sha256: str) -> bool:
        return self.db.execute("SELECT 1 FROM entries WHERE sha256 = ?", (sha256,)).fetchone() is not None

    def _turn(self) -> int:
        """The next turn: a logical clock, since the system's clock may go back. Damaged ones do not advance it."""
        query = f"SELECT coalesce(max(turn), 0) + 1 FROM entries WHERE turn < {MAX_COUNT} AND typeof(turn) = 'integer'"
        return self.db.execute(query).fetchone()[0]

    def take_out(self, id_: int, reason: str, entry: str) -> None:
        row = (id_, reason, time.time(), entry)
        self.db.execute("INSERT OR REPLACE INTO quarantined VALUES (?, ?, ?, ?)", row)
        self.db.execute("DELETE FROM entries WHERE id = ?", (id_,))

    def _remove_rows(self, ids: Iterable[int]) -> list[int]:
        """Delete rows and list their values as removed; returns the ids that existed."""
        gone = []
        for id_ in dict.fromkeys(map(int, ids)):
            row = self.db.execute("DELETE FROM entries WHERE id = ? RETURNING sha256", (id_,)).fetchone()
            if row is not None:
                gone.append(id_)
                self._note_removed([row[0]])
        return gone

    def _note_removed(self, values: Iterable[Any]) -> None:
        for sha256 in values:  # in a damaged row this may be anything
            if isinstance(sha256, str) and SHA256.fullmatch(sha256) and not self.needs(sha256):
                self.db.execute("INSERT OR IGNORE INTO removed VALUES (?)", (sha256,))
