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
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ttom.errors import UserError
from ttom.files import Scratch, remove_stale
from ttom.memory import database
from ttom.memory.copying import WRITERS
from ttom.memory.entries import (
    MAX_COUNT,
    MAX_VALUE_BYTES,
    CorruptValue,
    Entry,
    Record,
)
from ttom.memory.files import NAME, VERSION, DamagedMemory, memory_errors, read_meta, write_meta
from ttom.memory.locks import Presence
from ttom.memory.recovery import check_new, check_old, recover
from ttom.memory.rows import Keys
from ttom.memory.signature import Signature
from ttom.memory.transactions import UNFINISHED, Transactions
from ttom.memory.upgrade import add_records, check_alone
from ttom.memory.value_format import Value, check, decode, encode, with_record
from ttom.memory.values import FOLDER

if TYPE_CHECKING:
    from torch import Tensor


class Store(Transactions):
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
        super().__init__(Path(folder), read_meta(Path(folder)), read_only=read_only)
        self._scratch: Scratch | None = None
        self._presence: Presence | None = None
        self._file: tuple[int, int] | None = None
        try:
            with memory_errors(self.folder):
                if read_only:
                    self._scratch = Scratch()
                    self.db = database.connect_to_copy(self.folder, self._scratch.path)
                    self.check_keys()  # memory.json was read before the rows
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
            self.check_keys()

    # Reading

    def keys(self, *, after: int = 0) -> Keys:
        """Keys of the entries with an id above `after`."""
        found = self.keys_of(self.dimension, after=after)
        if not self.read_only:
            self.check_keys()
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
            self.check_keys()  # another process may have reindexed since the row was read
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
        with self.placing(data) as placed:
            with self.writing():
                self._remove_rows(self._of_origin(record))
                id_ = self.add(record, placed, uses=0, last_used=record.created)
            self.place(placed)
        self.sweep()
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
        with self.placing(data) as placed:
            with self.writing():
                # Checked again under the lock: another process may be merging the same memories.
                id_ = None if self._has(entry) else self.add(entry, placed, entry.uses, entry.last_used)
            if id_ is not None:
                self.place(placed)
        return id_

    def replace(
        self, id_: int, state: Mapping[str, Tensor] | Mapping[str, np.ndarray], *, loss_after: float | None
    ) -> bool:
        """Replace the value of an entry; False if the entry no longer exists. Raises the same errors as `insert`."""
        old = next(self.entries([id_]), None)
        if old is None:
            return False
        record = Record(**{name: getattr(old, name) for name in Record.model_fields} | {"loss_after": loss_after})
        data = self._encoded(state, record)
        return self.change_value(id_, data, loss_after=loss_after)

    def used(self, ids: Iterable[int]) -> None:
        """Count one use of each entry."""
        with self.writing():
            turn = self._turn()
            self.db.executemany(
                f"UPDATE entries SET uses = min(uses + 1, {MAX_COUNT}), last_used = ?, turn = ? WHERE id = ?",
                [(time.time(), turn, id_) for id_ in ids],
            )

    def delete(self, ids: Iterable[int]) -> list[int]:
        """Delete entries, then the values that no entry needs any more; returns the ids that existed."""
        with self.writing():
            gone = self._remove_rows(ids)
        self.sweep()
        return gone

    # Inside

    def _open_for_writing(self, tolerant: bool) -> None:
        database.check_writable(self.folder)
        self._presence = Presence(self.folder)
        self.meta = read_meta(self.folder)  # another process may just have upgraded it
        if self.meta["version"] == 1 and not tolerant:
            check_old(self.folder, self.values)
        if self.meta["version"] in (2, 3):
            check_alone(self.folder, self.meta["version"], alone=self._presence.alone)
        path = self.folder / database.NAME
        if path.exists():
            self._file = WRITERS.enter(path)
        self.db = database.connect(self.folder, alone=self._presence.alone)
        self.check_keys()  # memory.json was read before the rows
        with self.writing():
            recover(self, self.values, tolerant=tolerant)
        self.sweep()
        if self.meta["version"] < VERSION:
            add_records(self)
        remove_stale(self.folder)
        self._presence.share()

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
