"""The run folder: its header, its manifest, its videos and its locks.

What is there survives a kill at any moment: a video appears under its name when it is whole, a row after its video. A
row that was cut off by a crash is dropped when the next one is written, and its video made again.
"""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from pydantic import ValidationError

from eval.types import Case, ManifestRow, RunHeader
from ttom import files
from ttom.errors import UserError

try:
    import fcntl
except ImportError:  # Windows: no locks
    fcntl = None  # type: ignore[assignment]

HEADER, MANIFEST, VIDEOS, CASES = "run.json", "manifest.jsonl", "videos", "cases"
_LOCK, _STAGING = ".lock", ".staging"
_IDENTITY_FIELDS = (
    "suite", "suite_revision", "model", "model_digest", "method", "settings", "dtype", "runtime", "streaming", "window",
    "memory_digest",
)  # fmt: skip


class RunFolder:
    """A run folder that this process may write to; see `open_run`.

    Attributes:
        rows: The last row of each case, by case id.
        ignores_case: Whether names that differ only in upper and lower case are one file here.
    """

    def __init__(self, path: Path, header: RunHeader, rows: dict[str, ManifestRow]) -> None:
        self.path, self.header, self.rows = path, header, rows
        self.ignores_case = (path / _LOCK.upper()).exists()

    def is_done(self, case: Case, identity: str) -> bool:
        """Whether this very case was made, with its video still there, or refused; a failed one is tried again."""
        row = self.rows.get(case.id)
        if row is None or row.identity != identity or row.status == "failed":
            return False
        if row.status == "refused":
            return True
        try:
            return (self.path / VIDEOS / case.video).stat().st_size == row.bytes
        except OSError:
            return False

    def add(self, row: ManifestRow, video: bytes | None = None, extra: Mapping[str, bytes] | None = None) -> None:
        """Write a case's video, its further files and then its row.

        Raises:
            UserError: The folder cannot be written; SetupError if the disk is full.
        """
        target = self.path / VIDEOS / row.case.video
        with files.disk_errors(self.path, "free up space there, then run it again"):
            if extra:
                with files.staged(self.path / CASES / row.case.id) as stage:
                    for name, data in extra.items():
                        (stage / name).write_bytes(data)
            if video is not None:
                target.parent.mkdir(parents=True, exist_ok=True)
                # The toolkits read whole folders: an unfinished video lies elsewhere.
                files.write_bytes(target, video, stage=self.path / _STAGING)
            else:
                target.unlink(missing_ok=True)  # of an earlier version of the case
            self._append(row)
        self.rows[row.case.id] = row

    def refresh(self, case: Case) -> None:
        """Rewrite the row of a finished case if what metrics read of the case has changed."""
        row = self.rows[case.id]
        if row.case != case:
            self.rows[case.id] = row.model_copy(update={"case": case})
            with files.disk_errors(self.path):
                self._append(self.rows[case.id])

    def _append(self, row: ManifestRow) -> None:
        line = row.model_dump_json().encode() + b"\n"
        with open(self.path / MANIFEST, "a+b") as file, _locked(file):
            _drop_torn_line(file)
            file.write(line)
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def open_run(path: Path, header: RunHeader, shard: tuple[int, int] | None = None) -> Iterator[RunFolder]:
    """A run folder, new or to be continued, locked against other replays for the length of the block.

    Shards of one run share its folder: each locks its own part, and rows are appended under a lock of the manifest. The
    header of a run that failed before its first row is replaced, but not by a shard: another one may be about to write.

    Raises:
        UserError: The folder holds something else, another run, or is being written to; or it cannot be written.
    """
    check_free(path)
    with ExitStack() as held:
        with files.disk_errors(path):
            (path / _STAGING).mkdir(parents=True, exist_ok=True)
            held.enter_context(_only_writer(path, path / _LOCK, shared=shard is not None))
            if shard is not None:
                held.enter_context(_only_writer(path, path / f"{_LOCK}-{shard[0]}-of-{shard[1]}", shared=False))
            else:
                for left in (path / _STAGING).iterdir():
                    left.unlink()
            there = read_header(path) if (path / HEADER).exists() else None
            replaced = there is not None and there.identity != header.identity and shard is None and _is_empty(path)
            if there is not None and not replaced:
                _check_same(path, there, header)
            else:
                files.write_text(path / HEADER, header.model_dump_json(indent=1) + "\n")
        yield RunFolder(path, read_header(path), last_rows(path))


def check_free(path: Path) -> None:
    """Raise UserError if the folder holds files that are no run's."""
    files.check_folder(path)
    try:
        strangers = [] if (path / HEADER).exists() else [p.name for p in path.iterdir() if not p.name.startswith(".")]
    except FileNotFoundError:
        return
    if strangers:
        raise UserError(
            f"{path} exists and is not a run: it holds {strangers[0]!r}",
            expected="a run to continue, or a new or empty folder",
            remedy="name another folder",
        )


def read_header(path: Path) -> RunHeader:
    """The header of a run. Raises UserError if it is missing or broken."""
    try:
        return RunHeader.model_validate_json((path / HEADER).read_bytes())
    except OSError as error:
        raise UserError(f"{path / HEADER} cannot be read: {error.strerror}", expected="a run of eval.replay") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(f"{path / HEADER} is not a run header: {where}: {first['msg']}") from None


def read_rows(path: Path) -> Iterator[ManifestRow]:
    """All rows in the order of writing; lines that are not whole are left out."""
    try:
        with open(path / MANIFEST, "rb") as file:
            for line in file:
                try:
                    yield ManifestRow.model_validate_json(line)
                except ValidationError:
                    continue
    except FileNotFoundError:
        return


def last_rows(path: Path) -> dict[str, ManifestRow]:
    """The last row of each case, by case id: what the run holds now."""
    return {row.case.id: row for row in read_rows(path)}


def _is_empty(path: Path) -> bool:
    """Whether a run has neither a row nor a video."""
    return next(read_rows(path), None) is None and not any(file.is_file() for file in (path / VIDEOS).rglob("*"))


def collisions(cases: Iterable[Case]) -> dict[str, Case]:
    """{case id: an earlier case whose video's name differs only in upper and lower case}."""
    first: dict[str, Case] = {}
    found = {}
    for case in cases:
        other = first.setdefault(case.video.casefold(), case)
        if other is not case:
            found[case.id] = other
    return found


def _check_same(path: Path, there: RunHeader, wanted: RunHeader) -> None:
    if there.identity == wanted.identity:
        return
    differing = list(_differences(there, wanted))
    raise UserError(
        f"{path} holds a run with other settings: {'; '.join(differing[:5]) or 'another identity'}",
        expected="one folder for each set of settings",
        remedy="name another folder, or give the settings of the run that is there",
    )


def _differences(there: RunHeader, wanted: RunHeader) -> Iterator[str]:
    """Fields that differ, settings by dotted names."""
    for name in _IDENTITY_FIELDS:
        old, new = _flat(name, getattr(there, name)), _flat(name, getattr(wanted, name))
        for key in dict.fromkeys((*old, *new)):
            if old.get(key) != new.get(key):
                yield f"{key} is {old.get(key)} there and {new.get(key)} here"


def _flat(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {name: json.loads(json.dumps(value))}
    inside = [_flat(key if name in ("settings", "runtime") else f"{name}.{key}", item) for key, item in value.items()]
    return {key: item for part in inside for key, item in part.items()}


@contextmanager
def _only_writer(path: Path, lock: Path, *, shared: bool) -> Iterator[None]:
    """Hold a lock file; it says who holds it."""
    with open(lock, "a+b") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                    raise  # a file system without locks: better an error than two writers
                file.seek(0)
                owner = file.read(200).decode(errors="replace").strip() or "another process"
                raise UserError(
                    f"another replay is writing to {path}: {owner}",
                    expected="one replay for each folder, or shards of one run",
                    remedy="wait until it ends, or name another folder",
                ) from None
        if not shared:
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())
            file.flush()
        yield


@contextmanager
def _locked(file: IO[bytes]) -> Iterator[None]:
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_UN)


def _drop_torn_line(file: IO[bytes]) -> None:
    """Cut off what a crash left of a line."""
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - 1))
    if end and file.read(1) != b"\n":
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
