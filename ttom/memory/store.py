"""Durable storage of the memory: entries in SQLite, values in content-addressed safetensors files.

    DIR/memory.json                    format, version, embedder identity, dimension
    DIR/entries.sqlite                 one row per entry, rollback journal, synchronous=FULL
    DIR/values/ab/ab12....safetensors  one file per value, named by its sha256, with the entry's record in its metadata
    DIR/quarantine/                    damaged files, moved here for inspection
    DIR/memory.lock                    locked by every process that may write

A value is written and synced under a temporary name before its row is committed, and renamed to its final name
afterwards. A row is deleted, and its value listed as removed, before the file is deleted. So at any point of
interruption, every file with a final name either has a row or is listed as removed. If one does neither, the database
was lost or rolled back, and the store refuses to write until `rebuild` has recreated the database from the values.
Nothing else in the folder is ever removed or renamed.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ttom.errors import SetupError, UserError
from ttom.files import Scratch, remove_stale
from ttom.memory import database
from ttom.memory.copying import WRITERS
from ttom.memory.entries import (
    MAX_COUNT,
    MAX_NAME,
    MAX_VALUE_BYTES,
    SHA256,
    CorruptValue,
    Entry,
    Record,
    as_row,
)
from ttom.memory.files import NAME, VERSION, DamagedMemory, DiskFull, memory_errors, read_meta, write_meta
from ttom.memory.locks import Presence
from ttom.memory.recovery import check_new, check_old, recover, stored
from ttom.memory.rows import Keys, Rows
from ttom.memory.signature import Signature
from ttom.memory.value_format import Value, check, decode, encode, with_record
from ttom.memory.values import FOLDER, Listing, Placement, ValueFolder

if TYPE_CHECKING:
    from torch import Tensor

UNFINISHED = "unfinished reindex to"
"""Prefix of the embedder's name while a memory is being reindexed. No embedder has such a name, so none matches."""


class Store(Rows):
    """Entries and their values in a folder; several processes may use it at once.

    Args:
        folder: An existing memory.
        read_only: Never write to the folder, not even SQLite's side files. The store shows the state at opening until
            `refresh` is called.
        tolerant: Open the memory although it has values of version 1 without an entry; these may be what is left of
            lost ones.

    Raises:
        DamagedMemory: The database is missing, damaged, or behind its values.
        UserError: The folder is not a memory, has a newer version, or cannot be read or written.
    """

    def __init__(self, folder: str | Path, *, read_only: bool = False, tolerant: bool = False) -> None:
        self.folder, self.read_only = Path(folder), read_only
        self.values = ValueFolder(self.folder)
        self.meta = read_meta(self.folder)
        self._scratch: Scratch | None = None
        self._presence: Presence | None = None
        self._file: tuple[int, int] | None = None
        self.db: sqlite3.Connection
        try:
            with memory_errors(self.folder):
                if read_only:
                    self._scratch = Scratch()
                    self.db = database.connect_to_copy(self.folder, self._scratch.path)
                    self._check_keys()  # memory.json was read before the rows
                else:
                    self._open_for_writing(tolerant)
        except BaseException:
            self.close()
            raise

    @classmethod
    def create(cls, folder: str | Path, *, embedder: str, dimension: int) -> Store:
        """Create an empty memory in a new or empty folder and open it.

        If another process creates one there at the same time, that one is opened.

        Raises:
            UserError: The folder holds anything else, or cannot be written.
        """
        folder = Path(folder)
        check_new(folder)
        with memory_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            presence = Presence(folder)
            try:
                if presence.alone and not (folder / NAME).exists():
                    (folder / FOLDER).mkdir(exist_ok=True)
                    database.create(folder / database.NAME)
                    write_meta(folder, embedder, dimension)  # last, since it turns the folder into a memory
            finally:
                presence.close()
        return cls(folder)

    @property
    def embedder(self) -> str:
        """Identity of the embedder that made the keys."""
        return self.meta["embedder"]

    @property
    def dimension(self) -> int:
        return self.meta["dimension"]

    def close(self) -> None:
        if hasattr(self, "db"):
            self.db.close()
        if self._file is not None:
            WRITERS.leave(self._file)
            self._file = None
        if self._presence is not None:
            self._presence.close()
        if self._scratch is not None:
            self._scratch.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def refresh(self) -> None:
        """Read the current state again; for a store that is open read-only."""
        if self._scratch is None:
            raise ValueError("the memory is open for writing")
        with memory_errors(self.folder):
            self.db.close()
            self.meta = read_meta(self.folder)
            self.db = database.connect_to_copy(self.folder, self._scratch.path)
            self._check_keys()

    # Reading

    def keys(self, *, after: int = 0) -> Keys:
        """Keys of the entries with an id above `after`."""
        found = self.keys_of(self.dimension, after=after)
        if not self.read_only:
            self._check_keys()
        return found

    def state(self, entry: Entry, signature: Signature | None = None) -> dict[str, Tensor]:
        """The tensors of an entry as stored.

        Args:
            entry: An entry of this memory.
            signature: Of the model in use. If given, the tensors must have its shapes.

        Raises:
            CorruptValue: The file is missing, was changed, is not safetensors, or its tensors are not finite or do not
                match the signature.
            DamagedMemory: The row differs from the record that the value was written with.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load

        data = self.values.read(entry.sha256)
        self.checked(entry, data, signature)
        try:
            return load(data)
        except SafetensorError as error:
            raise CorruptValue(f"its value is not a safetensors file ({str(error)[:100]})") from None

    def checked(self, entry: Entry, data: bytes, signature: Signature | None = None) -> Value:
        """Decode and check the bytes of an entry's file. Raises the same errors as `state`."""
        value = decode(data)
        check(value, signature or entry.signature)
        field = "bytes" if len(data) != entry.bytes else None
        if field is None and value.stored is not None:
            # Reindexing changes the embeddings in the rows and leaves the values as they are.
            same = value.stored.embedder == self.embedder and not self.embedder.startswith(UNFINISHED)
            field = value.stored.record.differs(entry, embedding=same)
        if field is not None:
            self._check_keys()  # another process may have reindexed since the row was read
            raise DamagedMemory(
                self.folder, f"has a damaged row: the {field} of entry {entry.id} differs from its value's"
            )
        return value

    # Writing

    def insert(self, state: Mapping[str, Tensor] | Mapping[str, np.ndarray], record: Record) -> int:
        """Store a value and its entry and return the entry's id. Both are durable when this returns.

        An entry with the same namespace and origin is replaced, so that repeating a job leaves one entry, not two.

        Args:
            state: The tensors of the adapter.
            record: Everything else about it (`new_record`); its embedding comes from this memory's embedder.

        Raises:
            UserError: The tensors are not finite or do not match the signature.
            SetupError: The disk is full or cannot be written.
        """
        if record.embedding.shape != (self.dimension,):
            raise ValueError(f"an embedding of shape {record.embedding.shape}, not ({self.dimension},)")
        data = self._encoded(state, record)
        with self._placing(data) as placed:
            with self._writing():
                self._remove_rows(self._of_origin(record))
                id_ = self._add(record, placed, uses=0, last_used=record.created)
            self._place(placed)
        self._sweep()
        return id_

    def take(self, entry: Entry, data: bytes) -> int | None:
        """Copy an entry of another memory, with its counters and times, under a new id; its value gets a record.

        Returns None and does nothing if this memory already has an equal one (namespace, key, prompt and value).

        Args:
            entry: A validated entry whose embedding comes from this memory's embedder.
            data: The bytes of its value, already checked.

        Raises:
            CorruptValue: The value is too large for a record.
        """
        data = with_record(data, entry, embedder=self.embedder)
        entry = entry.model_copy(update={"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)})
        if self._has(entry):
            return None
        with self._placing(data) as placed:
            with self._writing():
                # Checked again under the lock: another process may be merging the same memories.
                id_ = None if self._has(entry) else self._add(entry, placed, entry.uses, entry.last_used)
            if id_ is not None:
                self._place(placed)
        return id_

    def rekey(self, identity: str, dimension: int, embed: Callable[[str], np.ndarray]) -> int:
        """Replace all embeddings by those of another embedder; returns the number of entries.

        Rows and memory.json cannot change atomically. So memory.json first names an embedder that does not exist, then
        the rows are committed, and then it names the new one. After a crash in between, `Memory` refuses to open the
        memory until this has been repeated, and never compares vectors of two embedders. Processes that have the
        memory open check memory.json after reading rows and, under the write lock, before adding one (`_check_keys`).
        """
        marker = f"{UNFINISHED} {identity}"[:MAX_NAME]
        with self._writing():
            rows = self.db.execute("SELECT id, key FROM entries").fetchall()
            vectors = ((np.ascontiguousarray(embed(key), np.float32).tobytes(), id_) for id_, key in rows)
            self.db.executemany("UPDATE entries SET embedding = ? WHERE id = ?", vectors)
            self._describe(marker, self.dimension)
        with self._writing():
            self._check_keys()
            self._describe(identity, dimension)
        return len(rows)

    def replace(
        self, id_: int, state: Mapping[str, Tensor] | Mapping[str, np.ndarray], *, loss_after: float | None
    ) -> bool:
        """Replace the value of an entry; False if the entry no longer exists. Raises the same errors as `insert`."""
        old = next(self.entries([id_]), None)
        if old is None:
            return False
        record = Record(**{name: getattr(old, name) for name in Record.model_fields} | {"loss_after": loss_after})
        data = self._encoded(state, record)
        return self._change_value(id_, data, loss_after=loss_after)

    def used(self, ids: Iterable[int]) -> None:
        """Count one use of each entry."""
        with self._writing():
            turn = self._turn()
            self.db.executemany(
                f"UPDATE entries SET uses = min(uses + 1, {MAX_COUNT}), last_used = ?, turn = ? WHERE id = ?",
                [(time.time(), turn, id_) for id_ in ids],
            )

    def delete(self, ids: Iterable[int]) -> list[int]:
        """Delete entries, then the values that no entry needs any more; returns the ids that existed."""
        with self._writing():
            gone = self._remove_rows(ids)
        self._sweep()
        return gone

    def quarantine(self, entry: Entry, reason: str) -> bool:
        """Take an entry out of the memory but keep its row and file for inspection.

        Returns False and does nothing if another process has deleted the entry or replaced its value.
        """
        with self._writing():
            now = self.db.execute("SELECT sha256 FROM entries WHERE id = ?", (entry.id,)).fetchone()
            if now != (entry.sha256,):
                return False
            self._take_out(entry.id, reason, entry.model_dump_json(exclude={"embedding"}))
            if not self._needed(entry.sha256):
                self.values.quarantine(entry.sha256)
            return True

    def quarantine_row(self, id_: int, reason: str) -> None:
        """Take out a row that cannot be read as an entry; files stay where they are.

        Raises DamagedMemory, and does nothing, if the value's record could restore the row.
        """
        with self._writing():
            row = self.db.execute("SELECT * FROM entries WHERE id = ?", (id_,)).fetchone()
            sha256 = self.db.execute("SELECT sha256 FROM entries WHERE id = ?", (id_,)).fetchone()
            if sha256 is not None and SHA256.fullmatch(str(sha256[0])) and stored(self.values, sha256[0]) is not None:
                raise DamagedMemory(self.folder, f"has a damaged row: entry {id_}, {reason}")
            self._take_out(id_, reason, json.dumps([str(value)[:1000] for value in row or ()]))

    def orphans(self) -> tuple[Listing, list[str]]:
        """The contents of the folder of values, and the sha256 of those that no entry needs and nothing will remove."""
        with self._writing():
            listing = self.values.look_through()
            return listing, sorted(listing.values - self.needed_values() - self.removed_values())

    def set_aside(self, sha256: str) -> bool:
        """Move an orphan to quarantine; False if it is none by now, or its name is not the sha256 of its content."""
        with self._writing():
            if self._needed(sha256) or sha256 in self.removed_values():
                return False
            try:
                self.values.read(sha256)
            except CorruptValue:
                return False
            self.values.quarantine(sha256)
            return True

    # Inside

    def _open_for_writing(self, tolerant: bool) -> None:
        database.check_writable(self.folder)
        self._presence = Presence(self.folder)
        self.meta = read_meta(self.folder)  # another process may just have upgraded it
        if self.meta["version"] == 1 and not tolerant:
            check_old(self.folder, self.values)
        if self.meta["version"] == 2:
            self._check_upgradable()
        path = self.folder / database.NAME
        if path.exists():
            self._file = WRITERS.enter(path)
        self.db = database.connect(self.folder, alone=self._presence.alone)
        self._check_keys()  # memory.json was read before the rows
        with self._writing():
            recover(self, self.values, tolerant=tolerant)
        self._sweep()
        if self.meta["version"] < VERSION:
            self._upgrade()
        remove_stale(self.folder)
        self._presence.share()

    def _check_upgradable(self) -> None:
        """Raise SetupError if a process of version 2 has the memory open: it could not read what this one writes."""
        if self._presence is not None and not self._presence.alone:
            raise SetupError(
                f"the memory {self.folder} is of version 2 and open for writing in another process",
                expected="no process of an older version",
                remedy="wait until that process has finished; the memory is upgraded then",
            )
        self._describe(self.embedder, self.dimension)

    def _upgrade(self) -> None:
        """Give every value of version 1 a record, and then the memory the current version.

        After an interruption the next writer goes on. If the disk is too full, it can still be used, and the next
        writer tries again.
        """
        with suppress(DiskFull):
            for id_ in self.ids():
                entry = next(self.entries([id_]), None)
                if entry is None:
                    continue
                try:
                    data = self.values.read(entry.sha256)
                    upgraded = with_record(data, entry, embedder=self.embedder)
                except CorruptValue:  # found when it is read
                    continue
                if upgraded is not data:
                    self._change_value(id_, upgraded, only=entry.sha256)
            with self._writing():
                self._describe(self.embedder, self.dimension)

    def _change_value(self, id_: int, data: bytes, *, only: str | None = None, **columns: Any) -> bool:
        """Replace the value of an entry, and columns; False if it no longer exists, or has not the value `only`."""
        with self._placing(data) as placed:
            with self._writing():
                # The row as it is now: another process may have replaced the value in the meantime.
                now = self.db.execute("SELECT sha256 FROM entries WHERE id = ?", (id_,)).fetchone()
                changed = now is not None and only in (None, now[0])
                if changed:
                    columns |= {"sha256": placed.sha256, "bytes": placed.bytes}
                    marks = ", ".join(f"{name} = ?" for name in columns)
                    self.db.execute(f"UPDATE entries SET {marks} WHERE id = ?", (*columns.values(), id_))
                    self._note_removed([now[0]])
            if changed:
                self._place(placed)
        self._sweep()
        return changed

    def _place(self, placed: Placement) -> None:
        """Rename a value whose row was committed, unless another process has deleted the row in the meantime.

        Raises DamagedMemory if the file has vanished.
        """
        with self._writing():
            if self._needed(placed.sha256) and not placed.place():
                raise DamagedMemory(self.folder, f"lost the value {placed.sha256[:12]} while it was written")

    def _encoded(self, state: Mapping[str, Any], record: Record) -> bytes:
        """Encode a value. Raises UserError for one that `state` would reject."""
        data = encode(state, record, embedder=self.embedder)
        try:
            if len(data) > MAX_VALUE_BYTES:
                raise CorruptValue(f"its value has {len(data)} bytes; the limit is {MAX_VALUE_BYTES}")
            check(decode(data), record.signature)
        except CorruptValue as error:
            raise UserError(f"cannot store this adapter: {error}") from None
        return data

    def _add(self, record: Record, placed: Placement, uses: int, last_used: float) -> int:
        self._check_keys()
        counters = {"uses": uses, "last_used": last_used, "turn": self._turn()}
        row = as_row(record, **counters, sha256=placed.sha256, bytes=placed.bytes)
        row.pop("id", None)
        # A merge may bring back a value that is about to be removed.
        self.db.execute("DELETE FROM removed WHERE sha256 = ?", (placed.sha256,))
        marks = ", ".join("?" * len(row))
        made = self.db.execute(f"INSERT INTO entries ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))
        assert made.lastrowid is not None
        return made.lastrowid

    def _sweep(self) -> None:
        """Delete the files listed as removed. If the disk refuses, the next writer tries again."""
        if self.db.execute("SELECT 1 FROM removed LIMIT 1").fetchone() is None:
            return
        with suppress(UserError), self._writing():
            for sha256 in self.removed_values():
                if not self._needed(sha256):
                    self.values.remove(sha256)
            self.db.execute("DELETE FROM removed")

    def _check_keys(self) -> None:
        """Raise SetupError if another process has reindexed the memory since memory.json was read."""
        now = read_meta(self.folder)
        if (now["embedder"], now["dimension"]) != (self.embedder, self.dimension):
            raise SetupError(
                f"the memory {self.folder} has been reindexed with another embedder",
                expected=f"the embedder {self.embedder}",
                remedy="run again with its new embedder",
            )

    def _describe(self, embedder: str, dimension: int) -> None:
        self.meta = write_meta(self.folder, embedder, dimension)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """A transaction that holds the write lock."""
        if self.read_only:
            raise ValueError("the memory is open for reading")
        with memory_errors(self.folder):
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.db.execute("COMMIT")
            except BaseException:
                # SQLite rolls back by itself when the disk is full.
                if self.db.in_transaction:
                    with suppress(sqlite3.DatabaseError):
                        self.db.execute("ROLLBACK")
                raise

    @contextmanager
    def _placing(self, data: bytes) -> Iterator[Placement]:
        """Write a value's file; however this ends, the file stays if a row needs it."""
        if self.read_only:
            raise ValueError("the memory is open for reading")
        with memory_errors(self.folder), self.values.placing(data) as placed:
            try:
                yield placed
            finally:
                # An interrupt may arrive right after a commit. If in doubt, the next writer decides.
                placed.keep = True
                with suppress(sqlite3.DatabaseError):
                    placed.keep = self._needed(placed.sha256)
