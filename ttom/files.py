"""Writing files so that a reader sees the whole new file or the old one, and never half of either.

Single files go through a temporary file beside their place, several files through a temporary folder (`staged`).
Temporary files and folders are called ``.ttom-`` and 16 hex digits and are locked while their process lives. What a
killed process left is removed by the next one that writes there and can prove, by the lock, that the owner is gone.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
import tempfile
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ttom.errors import SetupError, UserError

try:
    import fcntl
except ImportError:  # Windows: nothing is locked, so nothing is ever taken for stale
    fcntl = None  # type: ignore[assignment]

_TEMPORARY = re.compile(r"\.ttom-[0-9a-f]{16}")
"""What the names of our temporary files and folders look like."""
LOCK = ".ttom-lock"
"""Name of the file in a folder that its only writer holds."""
_GRACE_SECONDS = 60.0
"""A younger temporary may belong to a process that is just about to lock it."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a disk that is full, or of a file that may not grow."""


def write_bytes(path: str | Path, data: bytes, stage: str | Path | None = None) -> None:
    """Write a file whole or not at all, flushed to the disk, with mode 0644.

    Args:
        path: The file.
        data: What it holds.
        stage: Folder of the temporary file, on the same disk; by default beside the file.

    Raises:
        OSError: If the folder does not exist or cannot be written; the old file, if any, is still there.
    """
    path = Path(path)
    part = (path.parent if stage is None else Path(stage)) / _temporary_name()
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        with os.fdopen(descriptor, "wb") as file:
            try_lock(file.fileno())
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 file whole or not at all. Raises OSError, as `write_bytes`."""
    write_bytes(path, text.encode())


def write_json(path: str | Path, value: Any, *, indent: int | None = 2) -> None:
    """Write strict JSON (no NaN), whole or not at all.

    Raises:
        OSError: As `write_bytes`.
        ValueError: If the value holds a number that JSON cannot express.
    """
    write_text(path, json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False) + "\n")


def replace(source: str | Path, target: str | Path) -> None:
    """Rename a file or folder, in place of what is at the target, durably.

    Raises:
        OSError: The target cannot be replaced; both are as they were.
    """
    os.replace(source, target)
    sync_folder(Path(target).parent)


def sync_folder(folder: str | Path) -> None:
    """Make a rename in the folder durable, where the platform can."""
    with suppress(OSError):
        _sync(folder)


def _sync(path: str | Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def disk_errors(path: str | Path, remedy: str = "name another folder") -> Iterator[None]:
    """Within the block an OSError becomes an error message about this file or folder.

    Raises:
        SetupError: The disk is full, or the system refuses the place: every later write would fail too.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in FULL:
            raise SetupError(f"disk full: cannot write to {path}: {reason}", remedy="free space there") from error
        raise SetupError(f"cannot write to {path}: {reason}", remedy=remedy) from error


class Scratch:
    """A private temporary folder, removed when closed, garbage-collected, or when the interpreter exits.

    Those of killed processes in the same place are removed first (`remove_stale`).

    Args:
        place: Its parent folder; the system's temporary folder if None.

    Raises:
        OSError: The place cannot be written.
    """

    def __init__(self, place: Path | None = None) -> None:
        place = Path(tempfile.gettempdir()) if place is None else place
        remove_stale(place)
        self.path = place / _temporary_name()
        self.path.mkdir(mode=0o700)
        descriptor = os.open(self.path, os.O_RDONLY) if fcntl is not None else None
        if descriptor is not None:
            try_lock(descriptor)
        self._end = weakref.finalize(self, _remove, self.path, descriptor)

    def close(self) -> None:
        self._end()

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        self.close()


def _remove(folder: Path, descriptor: int | None) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if descriptor is not None:
        os.close(descriptor)


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A temporary folder whose files move into ``folder`` when the block ends well and vanish when it does not.

    Raises:
        SetupError: The folder cannot be written.
    """
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with Scratch(folder) as stage:
            yield stage
            made = sorted(stage.iterdir())
            for path in made:
                _sync(path)
            for path in made:
                os.replace(path, folder / path.name)
            sync_folder(folder)


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Within the block no other process gets into this block for the same folder. The folder is made if need be.

    A lock that ends with its process, whatever kills that; on file systems without locks the block is entered anyway.

    Raises:
        SetupError: Another process is in the block, or the folder cannot be written.
    """
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = _lock_file(folder / LOCK)
    if descriptor is None:
        remedy = "wait until it ends, or name another folder"
        raise SetupError(f"another process writes to {folder}", expected="one at a time", remedy=remedy)
    try:
        yield
    finally:
        (folder / LOCK).unlink(missing_ok=True)
        os.close(descriptor)


def _lock_file(path: Path) -> int | None:
    """An open and locked file; None if another process holds it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
        try:
            if fcntl is not None:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                os.close(descriptor)
                return None
        with suppress(FileNotFoundError):  # its last holder may have removed it between opening and locking
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        os.close(descriptor)


def check_folder(folder: Path) -> None:
    """Raise UserError if files could not be written to the folder; leaves nothing behind, not even the folder."""
    remedy = "name another folder"
    try:
        folder.absolute().stat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:  # no right to look there, a name too long
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot write to {folder}: {reason}", remedy=remedy) from None
    for place in (folder, *folder.absolute().parents):
        if place.is_dir():
            break
        if place.exists() or place.is_symlink():
            raise UserError(f"cannot write to {folder}: {place} is not a folder", remedy=remedy)
    probe = place / _temporary_name()
    with disk_errors(folder, remedy):
        probe.mkdir()
        probe.rmdir()


def remove_stale(folder: Path) -> list[Path]:
    """Remove temporary files and folders in ``folder`` whose processes are gone, and return their paths.

    A process holds a lock on its temporaries for as long as it lives, in whichever container it runs. Only what can be
    locked here, and is older than a minute, is removed; links are never followed.
    """
    removed: list[Path] = []
    if fcntl is None:
        return removed
    with suppress(OSError), os.scandir(folder) as found:
        for item in found:
            if _TEMPORARY.fullmatch(item.name) and not item.is_symlink() and _is_abandoned(item):
                path = Path(item.path)
                if item.is_dir(follow_symlinks=False):
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
                removed.append(path)
    return removed


def _temporary_name() -> str:
    return f".ttom-{secrets.token_hex(8)}"


def _is_abandoned(item: os.DirEntry[str]) -> bool:
    try:
        if time.time() - item.stat(follow_symlinks=False).st_mtime < _GRACE_SECONDS:
            return False
        descriptor = os.open(item.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        return try_lock(descriptor)
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Lock an open file or folder until it is closed; False if another process holds it, or there are no locks here."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
