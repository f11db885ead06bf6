"""Copying a SQLite database that may be in use, also by this process."""

from __future__ import annotations

import os
import stat
import threading
from collections import Counter
from pathlib import Path

from ttom.errors import UserError

MAX_BYTES = 2**36
"""Maximum size of a database; a million entries with 768-dimensional embeddings take 4e9."""


class Writers:
    """Databases that this process has open for writing, and descriptors that must not be closed in the meantime.

    Closing any descriptor of a file drops all POSIX locks that the process holds on it, including SQLite's. Another
    process could then believe that our connection is gone and remove the log it writes to, and acknowledged entries
    would be lost. So descriptors used for copying stay open as long as there is a connection to the same file.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: Counter[tuple[int, int]] = Counter()
        self._parked: dict[tuple[int, int], list[int]] = {}

    def enter(self, path: Path) -> tuple[int, int]:
        """Register a connection before it is opened; returns the key for `leave`."""
        info = os.stat(path)
        with self._lock:
            self._open[info.st_dev, info.st_ino] += 1
        return info.st_dev, info.st_ino

    def leave(self, file: tuple[int, int]) -> None:
        """Unregister a connection after it was closed."""
        with self._lock:
            self._open[file] -= 1
            if self._open[file] <= 0:
                del self._open[file]
                for handle in self._parked.pop(file, []):
                    os.close(handle)

    def parked(self, file: tuple[int, int]) -> int | None:
        """An open descriptor of the file, if there is one."""
        with self._lock:
            return next(iter(self._parked.get(file, [])), None)

    def close(self, handle: int) -> None:
        """Close a descriptor now, or together with the last connection to its file."""
        info = os.fstat(handle)
        with self._lock:
            if self._open[info.st_dev, info.st_ino] > 0:
                self._parked.setdefault((info.st_dev, info.st_ino), []).append(handle)
            else:
                os.close(handle)


WRITERS = Writers()


def state(path: Path) -> tuple[int, int, int] | None:
    try:
        info = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return info.st_ino, info.st_mtime_ns, info.st_size


def copy(source: Path, target: str | Path, folder: int | None = None) -> None:
    """Copy a database or its log, if it exists. Links, FIFOs, devices and oversized files are refused.

    Args:
        source: The file.
        target: Path of a new file, or its name in an open folder.
        folder: Descriptor of the folder.

    Raises:
        FileExistsError: There is something at the target, if only a link; it is unchanged.
    """
    try:
        info = os.stat(source, follow_symlinks=False)
        parked = WRITERS.parked((info.st_dev, info.st_ino))
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        handle = parked if parked is not None else os.open(source, flags)
    except FileNotFoundError:
        return
    try:
        info = os.fstat(handle)
        if not stat.S_ISREG(info.st_mode) or info.st_size > MAX_BYTES:
            raise UserError(
                f"{source} is not a database of a memory", expected=f"a regular file of at most {MAX_BYTES} bytes"
            )
        made = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=folder)
        with open(made, "wb") as copy:
            done = 0
            while done < info.st_size and (chunk := os.pread(handle, 2**20, done)):
                copy.write(chunk)
                done += len(chunk)
    finally:
        if parked is None:
            WRITERS.close(handle)
