"""The durable part of the memory: entries in SQLite, values in content-addressed safetensors files.

    DIR/memory.json                  format, version, embedder identity, dimension
    DIR/entries.sqlite               one row an entry, write-ahead log, synchronous=FULL
    DIR/values/ab/ab12....safetensors  one file a value, named by the sha256 of its bytes, its entry's record in it
    DIR/quarantine/                  files that did not hold what their row says
    DIR/memory.lock                  locked by every process that may write

A value is on the disk under a temporary name before its row is committed, and gets its final name after that. A row is
gone, and its value noted as removed, before the file is. So whatever is interrupted, a file with a final name has a
row or is noted; where that is not so, the database was lost or set back, and nothing is written until `rebuild` has
made it anew from the values. Nothing else in the folder is ever removed or renamed.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from ttom.errors import SetupError, UserError
from ttom.files import remove_stale
from ttom.memory import database
from ttom.memory.entries import (
    MAX_NAME,
    SHA256,
    CorruptValue,
    Entry,
    Record,
    as_row,
    first_problem,
)
from ttom.memory.files import NAME, VERSION, DamagedMemory, disk_errors, read_meta, write_meta
from ttom.memory.locks import PRESENCE, Presence, Scratch
from ttom.memory.rows import Keys, Rows
from ttom.memory.signature import Signature
from ttom.memory.value_format import Value, check, decode, encode
from ttom.memory.values import FOLDER, Placement, ValueFolder

if TYPE_CHECKING:
    from torch import Tensor

UNFINISHED = "unfinished reindex to"
"""Start of the embedder's name while a memory gets other embeddings: no embedder is called so, hence none fits."""


class Store(Rows):
    """Entries and their values in a folder; several processes may use it at once.

    Args:
        folder: An existing memory.
        read_only: Nothing in the folder is ever written, not even SQLite's side files: the store shows the state at
            opening, until `refresh`.

    Raises:
        DamagedMemory: The database is missing, damaged, or behind its values.
        UserError: The folder is no memory, of a newer version, or cannot be read or written.
    """

    def __init__(self, folder: str | Path, *, read_only: bool = False) -> None:
        self.folder, self.read_only = Path(folder), read_only
        self.values = ValueFolder(self.folder)
        self.meta = read_meta(self.folder)
        self._scratch: Scratch | None = None
        self._presence: Presence | None = None
        self._file: tuple[int, int] | None = None
        self.db: sqlite3.Connection
        try:
            with disk_errors(self.folder):
                if read_only:
                    self._scratch = Scratch("ttom-memory-")
                    self.db = database.connect_to_copy(self.folder, self._scratch.path)
                    self._check_keys()  # of the rows that were copied, not of those before
                else:
                    self._open_for_writing()
        except BaseException:
            self.close()
            raise

    @classmethod
    def create(cls, folder: str | Path, *, embedder: str, dimension: int) -> Store:
        """Make an empty memory in a folder that is new or empty, and open it.

        If another process makes one there at the same time, that one is opened.

        Raises:
            UserError: The folder holds anything else, or cannot be written.
        """
        folder = Path(folder)
        _check_new(folder)
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            presence = Presence(folder)
            try:
                if presence.alone and not (folder / NAME).exists():
                    (folder / FOLDER).mkdir(exist_ok=True)
                    database.create(folder / database.NAME)
                    write_meta(folder, embedder, dimension)  # last: this makes it a memory
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
            database.WRITERS.leave(self._file)
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
        """Show the present state in a store that is open for reading."""
        assert self.read_only and self._scratch is not None
        with disk_errors(self.folder):
            self.db.close()
            self.meta = read_meta(self.folder)
            self.db = database.connect_to_copy(self.folder, self._scratch.path)
            self._check_keys()

    # Reading

    def keys(self, *, after: int = 0) -> Keys:
        found = super().keys(after=after)
        if not self.read_only:
            self._check_keys()
        return found

    def state(self, entry: Entry, signature: Signature | None = None) -> dict[str, Tensor]:
        """The tensors of an entry as stored.

        Args:
            entry: Of this memory.
            signature: Of the model in use; its shapes are demanded if given.

        Raises:
            CorruptValue: Its file is missing, was changed, or holds anything but such tensors, all finite.
            DamagedMemory: The row is not the one that the value was written with.
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
        """The value of an entry, from its file's bytes. Raises as `state`."""
        value = decode(data)
        check(value, signature or entry.signature)
        if value.stored is not None:
            # A reindex gives the rows other embeddings and leaves the values as they are.
            same = value.stored.embedder == self.embedder
            field = value.stored.record.differs(entry, embedding=same)
            if field is not None:
                self._check_keys()  # the row may be a moment younger
                raise DamagedMemory(self.folder, f"has a damaged row: the {field} of entry {entry.id} is not its own")
        return value

    # Writing

    def insert(
        self,
        state: Mapping[str, Tensor] | Mapping[str, np.ndarray],
        *,
        key: str,
        prompt: str,
        embedding: np.ndarray,
        signature: Signature,
        namespace: str = "default",
        layout: dict[str, Any] | None = None,
        losses: tuple[float | None, float | None] = (None, None),
        origin: str | None = None,
    ) -> int:
        """Store a value and its entry; when this returns both are on the disk. Returns the entry's id.

        An entry of the same namespace and origin is replaced: a job that is repeated leaves one entry, not two.

        Raises:
            UserError: A field is too long or not what it should be, the tensors are not finite or not what the
                signature says, or the disk refuses.
        """
        now = time.time()
        record = _record(
            namespace=namespace, key=key, prompt=prompt, layout=layout, embedding=embedding, signature=signature,
            loss_before=losses[0], loss_after=losses[1], created=now, origin=origin,
        )  # fmt: skip
        assert record.embedding.shape == (self.dimension,), "an embedding of another dimension"
        data = self._encoded(state, record)
        with self._placing(data) as placed:
            with self._writing():
                self._remove_rows(self._of_origin(record))
                id_ = self._add(record, placed, uses=0, last_used=now)
            placed.place()
        self._sweep()
        return id_

    def take(self, entry: Entry, data: bytes) -> int | None:
        """Store an entry of another memory as it is, counts and times too, under an id of this one.

        None, and nothing is done, if an equal one (namespace, key, prompt and value) is here already.

        Args:
            entry: Validated, with an embedding of this memory's embedder.
            data: Its value's file, checked.
        """
        if self._has(entry):
            return None
        with self._placing(data) as placed:
            with self._writing():
                # Asked again: another process may merge the same memories.
                id_ = None if self._has(entry) else self._add(entry, placed, entry.uses, entry.last_used)
            if id_ is not None:
                placed.place()
        return id_

    def rekey(self, identity: str, dimension: int, embed: Callable[[str], np.ndarray]) -> int:
        """Give every entry its key's embedding by another embedder; returns how many entries there are.

        Rows and memory.json cannot change at once. So memory.json first names an embedder that there is none of, then
        the rows are committed, then it names the new one: after a crash in between, `Memory` refuses the memory until
        this is done again, and never compares vectors of two embedders. Processes that have the memory open look at
        memory.json after reading rows and, under the write lock, before adding one (`_check_keys`).
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
        """Give an entry another value; False if it is gone meanwhile. Raises as `insert`."""
        old = next(self.entries([id_]), None)
        if old is None:
            return False
        record = _record(**{name: getattr(old, name) for name in Record.model_fields} | {"loss_after": loss_after})
        data = self._encoded(state, record)
        with self._placing(data) as placed:
            with self._writing():
                # Whatever value it has by now: another process may have replaced it too.
                now = self.db.execute("SELECT sha256 FROM entries WHERE id = ?", (id_,)).fetchone()
                if now is not None:
                    query = "UPDATE entries SET sha256 = ?, bytes = ?, loss_after = ? WHERE id = ?"
                    self.db.execute(query, (placed.sha256, placed.bytes, loss_after, id_))
                    self._note_removed([now[0]])
            if now is not None:
                placed.place()
        self._sweep()
        return now is not None

    def used(self, ids: Iterable[int]) -> None:
        """Count a use of the entries."""
        with self._writing():
            turn = self._turn()
            self.db.executemany(
                "UPDATE entries SET uses = uses + 1, last_used = ?, turn = ? WHERE id = ?",
                [(time.time(), turn, id_) for id_ in ids],
            )

    def delete(self, ids: Iterable[int]) -> list[int]:
        """Remove entries, then the values that no entry needs any more; returns the ids that there were."""
        with self._writing():
            gone = self._remove_rows(ids)
        self._sweep()
        return gone

    def quarantine(self, entry: Entry, reason: str) -> bool:
        """Take an entry out of the memory but keep its row and its file for inspection.

        False, and nothing is done, if another process has deleted it or replaced its value meanwhile.
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

        Raises DamagedMemory, with nothing done, if its value holds what the row should be.
        """
        with self._writing():
            row = self.db.execute("SELECT * FROM entries WHERE id = ?", (id_,)).fetchone()
            sha256 = self.db.execute("SELECT sha256 FROM entries WHERE id = ?", (id_,)).fetchone()
            if sha256 is not None and SHA256.fullmatch(str(sha256[0])) and self._has_record(sha256[0]):
                raise DamagedMemory(self.folder, f"has a damaged row: entry {id_}, {reason}")
            self._take_out(id_, reason, json.dumps([str(value)[:1000] for value in row or ()]))

    # Inside

    def _open_for_writing(self) -> None:
        database.check_writable(self.folder)
        self._presence = Presence(self.folder)
        path = self.folder / database.NAME
        if path.exists():
            self._file = database.WRITERS.enter(path)
        self.db = database.connect(self.folder, alone=self._presence.alone)
        self._check_keys()  # of the rows that were opened, not of those before
        if self.meta["version"] < VERSION:
            with self._writing():
                self._describe(self.embedder, self.dimension)
        self._recover()
        remove_stale(self.folder)
        self._presence.share()

    def _recover(self) -> None:
        """Finish what an interrupted process began. Raises DamagedMemory if a value has no row."""
        with self._writing():
            listing = self.values.look_through()
            rows = self.needed_values()
            removed = {row[0] for row in self.db.execute("SELECT sha256 FROM removed")}
            for sha256 in sorted(listing.values - rows - removed):
                if self._has_record(sha256):
                    raise DamagedMemory(
                        self.folder, f"has values that its database does not know, such as {sha256[:12]}"
                    )
            for sha256, part in listing.parts:
                self.values.settle(sha256, part, wanted=sha256 in rows and sha256 not in listing.values)
        self._sweep()

    def _encoded(self, state: Mapping[str, Any], record: Record) -> bytes:
        """A value's bytes. Raises UserError for one that could not be read again."""
        data = encode(state, record, embedder=self.embedder)
        try:
            check(decode(data), record.signature)
        except CorruptValue as error:
            raise UserError(f"this cannot be remembered: {error}") from None
        return data

    def _has_record(self, sha256: str) -> bool:
        """Whether the value could make its row anew; those of version 1 cannot."""
        try:
            return decode(self.values.read(sha256)).stored is not None
        except CorruptValue:
            return False

    def _add(self, record: Record, placed: Placement, uses: int, last_used: float) -> int:
        self._check_keys()
        counters = {"uses": uses, "last_used": last_used, "turn": self._turn()}
        row = as_row(record, **counters, sha256=placed.sha256, bytes=placed.bytes)
        row.pop("id", None)
        # A value that was to be removed may come back by a merge.
        self.db.execute("DELETE FROM removed WHERE sha256 = ?", (placed.sha256,))
        marks = ", ".join("?" * len(row))
        made = self.db.execute(f"INSERT INTO entries ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))
        assert made.lastrowid is not None
        return made.lastrowid

    def _sweep(self) -> None:
        """Remove the files that are noted as removed. What the disk refuses now is tried again later."""
        if self.db.execute("SELECT 1 FROM removed LIMIT 1").fetchone() is None:
            return
        with suppress(UserError), self._writing():
            for (sha256,) in self.db.execute("SELECT sha256 FROM removed").fetchall():
                if isinstance(sha256, str) and SHA256.fullmatch(sha256) and not self._needed(sha256):
                    self.values.remove(sha256)
            self.db.execute("DELETE FROM removed")

    def _check_keys(self) -> None:
        """Raise SetupError if another process has given the entries other embeddings since memory.json was read."""
        now = read_meta(self.folder)
        if (now["embedder"], now["dimension"]) != (self.embedder, self.dimension):
            raise SetupError(
                f"the memory {self.folder} was given another embedder meanwhile",
                expected=f"the embedder {self.embedder}",
                remedy="run again with the embedder that it has now",
            )

    def _describe(self, embedder: str, dimension: int) -> None:
        self.meta = write_meta(self.folder, embedder, dimension)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """A transaction that holds the write lock."""
        assert not self.read_only, "the memory is open for reading"
        with disk_errors(self.folder):
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.db.execute("COMMIT")
            except BaseException:
                # On a full disk SQLite may have rolled back already.
                if self.db.in_transaction:
                    with suppress(sqlite3.DatabaseError):
                        self.db.execute("ROLLBACK")
                raise

    @contextmanager
    def _placing(self, data: bytes) -> Iterator[Placement]:
        assert not self.read_only, "the memory is open for reading"
        with disk_errors(self.folder), self.values.placing(data) as placed:
            yield placed


def _record(**fields: Any) -> Record:
    """The record of an entry to be. Raises UserError if a field is too long or not what it should be."""
    try:
        return Record(**fields)
    except ValidationError as error:
        raise UserError(f"this cannot be remembered: {first_problem(error)}") from None


def _check_new(folder: Path) -> None:
    """Raise UserError unless a memory may be made here: nothing is there, or what an interrupted creation left."""
    if not os.path.lexists(folder):
        return
    refused = UserError(
        f"{folder} exists and is no memory",
        expected="a memory, or a new or empty folder",
        remedy="another `memory.path`",
    )
    if not folder.is_dir():
        raise refused
    with disk_errors(folder):
        names = set(os.listdir(folder))
        if NAME in names:
            return  # of another process, just now
        values = folder / FOLDER
        filled = FOLDER in names and (values.is_symlink() or not values.is_dir() or any(values.iterdir()))
    if filled and database.NAME in names:
        raise DamagedMemory(folder, f"has lost its {NAME}")
    ours = {PRESENCE, FOLDER, database.NAME, f"{database.NAME}-wal", f"{database.NAME}-shm"}
    strange = {name for name in names - ours if not name.startswith(".ttom-")}
    begun = PRESENCE in names or names <= {FOLDER}  # the lock comes first
    if strange or filled or not begun:
        raise refused
