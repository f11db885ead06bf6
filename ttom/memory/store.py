"""The durable part of the memory: entries in SQLite, values in content-addressed safetensors files.

    DIR/memory.json                  format, version, embedder identity, dimension
    DIR/entries.sqlite               one row an entry, write-ahead log, synchronous=FULL
    DIR/values/ab/ab12....safetensors  one file a value, named by the sha256 of its bytes
    DIR/quarantine/                  files that did not hold what their row says

A value is in place before its row is committed, and a row is gone before its value: after a crash at any point the
worst that is left is a file without a row, which the next opening removes. Renaming a value into place and removing
one happen under SQLite's write lock, so that one process never removes what another is about to commit.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ttom.errors import UserError
from ttom.memory.connections import connect, connect_to_copy, is_ours
from ttom.memory.entries import COLUMNS, CorruptValue, Entry, Findings, as_entry
from ttom.memory.files import (
    FORMAT,
    VERSION,
    is_left,
    part_path,
    read_meta,
    sync_folder,
    told,
    write_synced,
    write_whole,
)

if TYPE_CHECKING:
    from torch import Tensor

UNFINISHED = "unfinished reindex to"
"""Start of the embedder's name while a memory gets other embeddings: no embedder is called so, hence none fits."""


class Store:
    """Entries and their values in a folder; several processes may use it at once.

    Args:
        folder: An existing memory.
        read_only: Nothing in the folder is ever written, not even SQLite's side files: the store shows the state at
            opening. Otherwise opening removes orphans and quarantines entries without a value (see `found`).

    Raises:
        UserError: If the folder is no memory, of a newer version, or cannot be read or written.
    """

    def __init__(self, folder: str | Path, *, read_only: bool = False) -> None:
        self.folder, self.read_only = Path(folder), read_only
        self.meta = read_meta(self.folder)
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        self.found = Findings()
        with told(self.folder):
            if read_only:
                self._copy = tempfile.TemporaryDirectory(prefix="ttom-memory-")
                self.db = connect_to_copy(self.folder, Path(self._copy.name))
            else:
                self.db = connect(self.folder)
            self._check_keys()  # of the rows that were opened, not of those before
            if not read_only:
                self.found = self._reconcile()

    @classmethod
    def create(cls, folder: str | Path, *, embedder: str, dimension: int) -> Store:
        """Make an empty memory in a folder that is new or empty, and open it.

        If another process makes one there at the same time, that one is opened.
        """
        folder = Path(folder)
        if folder.exists() and not (folder.is_dir() and all(map(is_ours, folder.iterdir()))):
            raise UserError(
                f"{folder} exists and is no memory",
                expected="a memory, or a new or empty folder",
                remedy="another `memory.path`",
            )
        with told(folder):
            (folder / "values").mkdir(parents=True, exist_ok=True)
            meta = {"format": FORMAT, "version": VERSION, "embedder": embedder, "dimension": dimension}
            if not (folder / "memory.json").exists():
                write_whole(folder / "memory.json", json.dumps(meta, indent=1).encode())
        return cls(folder)

    @property
    def embedder(self) -> str:
        """Identity of the embedder that made the keys."""
        return self.meta["embedder"]

    @property
    def dimension(self) -> int:
        return self.meta["dimension"]

    def close(self) -> None:
        self.db.close()
        if self._copy is not None:
            self._copy.cleanup()
            self._copy = None

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Reading

    def __len__(self) -> int:
        return self.db.execute("SELECT count(*) FROM entries").fetchone()[0]

    def ids(self) -> list[int]:
        return [row[0] for row in self.db.execute("SELECT id FROM entries ORDER BY id")]

    def entries(self, ids: Sequence[int] | None = None, *, after: int = 0) -> Iterator[Entry]:
        """Entries by id, or all with an id above `after`, ascending; unknown ids are left out."""
        if ids is None:
            yield from map(
                as_entry, self.db.execute(f"SELECT {COLUMNS} FROM entries WHERE id > ? ORDER BY id", (after,))
            )
            return
        for id_ in ids:
            row = self.db.execute(f"SELECT {COLUMNS} FROM entries WHERE id = ?", (int(id_),)).fetchone()
            if row:
                yield as_entry(row)

    def embeddings(self, *, after: int = 0) -> tuple[np.ndarray, list[str], np.ndarray]:
        """Ids ``(n,)``, namespaces and embeddings ``(n, D)`` of the entries with an id above `after`."""
        rows = self.db.execute(
            "SELECT id, namespace, embedding FROM entries WHERE id > ? ORDER BY id", (after,)
        ).fetchall()
        if not self.read_only:
            self._check_keys()
        vectors = np.frombuffer(b"".join(row[2] for row in rows), np.float32).reshape(len(rows), self.dimension)
        return np.array([row[0] for row in rows], np.int64), [row[1] for row in rows], vectors

    def version(self) -> int:
        """A number that changes when another process has written."""
        return self.db.execute("PRAGMA data_version").fetchone()[0]

    def signatures(self) -> list[str]:
        return [row[0] for row in self.db.execute("SELECT DISTINCT signature FROM entries")]

    def total_bytes(self) -> int:
        """Bytes of all values; a value that two entries share counts once."""
        query = "SELECT coalesce(sum(bytes), 0) FROM (SELECT DISTINCT sha256, bytes FROM entries)"
        return self.db.execute(query).fetchone()[0]

    def value(self, entry: Entry) -> dict[str, Tensor]:
        """The tensors of an entry as stored. Raises CorruptValue if its file is missing or was changed."""
        from safetensors.torch import load

        return load(self.value_bytes(entry))

    def value_bytes(self, entry: Entry) -> bytes:
        """The file of an entry, checked against its sha256. Raises CorruptValue."""
        try:
            data = self.path(entry.sha256).read_bytes()
        except FileNotFoundError:
            raise CorruptValue("its value is missing") from None
        if hashlib.sha256(data).hexdigest() != entry.sha256:
            raise CorruptValue(f"its value was changed (sha256 differs, {len(data)} of {entry.bytes} bytes)")
        return data

    def path(self, sha256: str) -> Path:
        return self.folder / "values" / sha256[:2] / f"{sha256}.safetensors"

    # Writing

    def insert(
        self,
        state: dict[str, Tensor] | bytes,
        *,
        key: str,
        prompt: str,
        embedding: np.ndarray,
        signature: str,
        namespace: str = "default",
        layout: dict[str, Any] | None = None,
        losses: tuple[float | None, float | None] = (None, None),
    ) -> int:
        """Store a value and its entry; when this returns both are on the disk. Returns the entry's id."""
        vector = np.ascontiguousarray(embedding, np.float32)
        assert vector.shape == (self.dimension,), "an embedding of another dimension"
        now = time.time()
        text = json.dumps(layout) if layout is not None else None
        with self._placed(state) as (sha256, size):
            row = (namespace, key, prompt, vector.tobytes(), text, 0, now, now, *losses, signature, sha256, size)
            return self._add(row)

    def take(self, entry: Entry, data: bytes) -> int | None:
        """Store an entry of another memory as it is, counts and times too, under an id of this one.

        None, and nothing is done, if an equal one (namespace, key, prompt and value) is here already.
        """
        equal = "SELECT 1 FROM entries WHERE sha256 = ? AND namespace = ? AND key = ? AND prompt = ?"
        what = (entry.sha256, entry.namespace, entry.key, entry.prompt)
        if self.db.execute(equal, what).fetchone():
            return None
        values = {name: getattr(entry, name) for name in COLUMNS.split(", ") if name != "id"}
        values["embedding"] = entry.embedding.tobytes()
        values["layout"] = json.dumps(entry.layout) if entry.layout is not None else None
        with self._placed(data):
            # Asked again: another process may merge the same memories.
            return None if self.db.execute(equal, what).fetchone() else self._add(tuple(values.values()))

    def rekey(self, identity: str, dimension: int, embed: Callable[[str], np.ndarray]) -> int:
        """Give every entry its key's embedding by another embedder; returns how many entries there are.

        Rows and memory.json cannot change at once. So memory.json first names an embedder that there is none of, then
        the rows are committed, then it names the new one: after a crash in between, `Memory` refuses the memory until
        this is done again, and never compares vectors of two embedders. Processes that have the memory open look at
        memory.json after reading rows and, under the write lock, before adding one (`_check_keys`).
        """
        marker = f"{UNFINISHED} {identity}"
        with self._writing():
            rows = self.db.execute("SELECT id, key FROM entries").fetchall()
            vectors = ((np.ascontiguousarray(embed(key), np.float32).tobytes(), id_) for id_, key in rows)
            self.db.executemany("UPDATE entries SET embedding = ? WHERE id = ?", vectors)
            self._describe(marker, self.dimension)
        with self._writing():
            self._check_keys()
            self._describe(identity, dimension)
        return len(rows)

    def replace(self, id_: int, state: dict[str, Tensor] | bytes, *, loss_after: float | None) -> bool:
        """Give an entry another value; False if it is gone meanwhile."""
        old = next(self.entries([id_]), None)
        if old is None:
            return False
        with self._placed(state) as (sha256, size):
            query = "UPDATE entries SET sha256 = ?, bytes = ?, loss_after = ? WHERE id = ?"
            changed = self.db.execute(query, (sha256, size, loss_after, id_)).rowcount
        self._remove_values([old.sha256, sha256])
        return bool(changed)

    def used(self, ids: Iterable[int]) -> None:
        """Count a use of the entries."""
        with self._writing():
            self.db.executemany(
                "UPDATE entries SET uses = uses + 1, last_used = ? WHERE id = ?", [(time.time(), i) for i in ids]
            )

    def delete(self, ids: Iterable[int]) -> int:
        """Remove entries, then the values that no entry needs any more; returns how many entries there were."""
        ids = list(ids)
        values, count = [entry.sha256 for entry in self.entries(ids)], 0
        with self._writing():
            for id_ in ids:
                count += self.db.execute("DELETE FROM entries WHERE id = ?", (int(id_),)).rowcount
        self._remove_values(values)
        return count

    def least_used(self, namespace: str | None = None) -> Iterator[tuple[int, int]]:
        """Ids and bytes of entries in the order in which they are given up: fewest uses, then longest unused."""
        where, what = ("WHERE namespace = ?", (namespace,)) if namespace else ("", ())
        yield from self.db.execute(
            f"SELECT id, bytes FROM entries {where} ORDER BY uses, last_used, id", what
        ).fetchall()

    def quarantine(self, entry: Entry, reason: str) -> bool:
        """Take an entry out of the memory but keep its row and its file for inspection.

        False, and nothing is done, if another process has deleted it or replaced its value meanwhile.
        """
        data = {name: getattr(entry, name) for name in COLUMNS.split(", ") if name != "embedding"}
        with self._writing():
            now = self.db.execute("SELECT sha256 FROM entries WHERE id = ?", (entry.id,)).fetchone()
            if now != (entry.sha256,):
                return False
            row = (entry.id, reason, time.time(), json.dumps(data))
            self.db.execute("INSERT OR REPLACE INTO quarantined VALUES (?, ?, ?, ?)", row)
            self.db.execute("DELETE FROM entries WHERE id = ?", (entry.id,))
            others = self.db.execute("SELECT 1 FROM entries WHERE sha256 = ?", (entry.sha256,)).fetchone()
            if not others and self.path(entry.sha256).exists():
                (self.folder / "quarantine").mkdir(exist_ok=True)
                os.replace(self.path(entry.sha256), self.folder / "quarantine" / f"{entry.id}.safetensors")
            return True

    def quarantined(self) -> dict[int, str]:
        """{id: reason} of all entries taken out so far."""
        return dict(self.db.execute("SELECT id, reason FROM quarantined ORDER BY id"))

    def verify(self) -> Findings:
        """Read every value; in a writable store orphans are removed and bad entries quarantined."""
        bad: dict[int, str] = {}
        for entry in list(self.entries()):
            try:
                self.value_bytes(entry)
            except CorruptValue as error:
                if self.read_only or self.quarantine(entry, str(error)):
                    bad[entry.id] = str(error)
        if self.read_only:
            return Findings(tuple(file.name for file in self._orphans(self._files())), bad)
        return Findings(self._reconcile().orphans, bad)

    # Inside

    def _add(self, row: tuple) -> int:
        self._check_keys()
        names = COLUMNS.removeprefix("id, ")
        made = self.db.execute(f"INSERT INTO entries ({names}) VALUES ({', '.join('?' * len(row))})", row)
        assert made.lastrowid is not None
        return made.lastrowid

    def _check_keys(self) -> None:
        """Raise UserError if another process has given the entries other embeddings since memory.json was read."""
        if read_meta(self.folder) != self.meta:
            raise UserError(
                f"the memory {self.folder} was given another embedder meanwhile",
                expected=f"the embedder {self.embedder}",
                remedy="run again with the embedder that it has now",
            )

    def _describe(self, embedder: str, dimension: int) -> None:
        self.meta = {**self.meta, "embedder": embedder, "dimension": dimension}
        write_whole(self.folder / "memory.json", json.dumps(self.meta, indent=1).encode())

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """A transaction that holds the write lock."""
        assert not self.read_only, "the memory is open for reading"
        with told(self.folder):
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.db.execute("COMMIT")
            except BaseException:
                self.db.execute("ROLLBACK")
                raise

    @contextmanager
    def _placed(self, state: dict[str, Tensor] | bytes) -> Iterator[tuple[str, int]]:
        """Write a value; within, under the write lock, it is in place. Yields its sha256 and size."""
        data = state if isinstance(state, bytes) else _serialised(state)
        sha256 = hashlib.sha256(data).hexdigest()
        target = self.path(sha256)
        with told(self.folder):
            if not target.parent.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                sync_folder(target.parent.parent)
            part = part_path(target)
            try:
                write_synced(part, data)
                with self._writing():
                    os.replace(part, target)
                    sync_folder(target.parent)
                    yield sha256, len(data)
            finally:
                part.unlink(missing_ok=True)

    def _remove_values(self, values: Iterable[str]) -> None:
        """Remove those values that no entry refers to."""
        for sha256 in dict.fromkeys(values):
            with self._writing():
                if not self.db.execute("SELECT 1 FROM entries WHERE sha256 = ?", (sha256,)).fetchone():
                    self.path(sha256).unlink(missing_ok=True)

    def _files(self) -> list[os.DirEntry[str]]:
        folders = [folder for folder in os.scandir(self.folder / "values") if folder.is_dir()]
        return [file for folder in folders for file in os.scandir(folder)]

    def _orphans(self, files: Iterable[os.DirEntry[str]]) -> list[os.DirEntry[str]]:
        known = {row[0] for row in self.db.execute("SELECT sha256 FROM entries")}
        return [file for file in files if file.name.partition(".")[0] not in known and is_left(file)]

    def _reconcile(self) -> Findings:
        """Remove files without a row and quarantine rows without a file."""
        missing: list[Entry] = []
        with self._writing():
            files = self._files()
            orphans = self._orphans(files)
            for file in orphans:
                os.unlink(file.path)
            present = {file.name for file in files}
            rows = self.db.execute("SELECT id, sha256 FROM entries")
            lost = [id_ for id_, sha256 in rows if f"{sha256}.safetensors" not in present]
            missing += self.entries(lost)
        reason = "its value is missing"
        names = tuple(file.name for file in orphans)
        return Findings(names, {entry.id: reason for entry in missing if self.quarantine(entry, reason)})


def _serialised(state: dict[str, Tensor]) -> bytes:
    from safetensors.torch import save

    return save({name: tensor.contiguous() for name, tensor in state.items()})
