"""Locks that show who uses a memory and which temporary files are still being written.

All are flock(2) locks on open files. They end with their holder, however it dies, and unlike process ids they mean the
same in every container that shares the folder.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import stat
import tempfile
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ttom.errors import SetupError

PRESENCE = "memory.lock"
WAIT_SECONDS = 60.0
"""How long a process waits for another one that is repairing or opening the memory."""

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


def try_lock(handle: int, kind: int = fcntl.LOCK_EX) -> bool:
    """Lock an open file if nobody holds it; False if somebody does or the file system does not support locks."""
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES, *_UNSUPPORTED):
            return False
        raise
    return True


@contextmanager
def suppress_unsupported() -> Iterator[None]:
    """Do without locks where the file system has none; then no process ever takes a file for abandoned."""
    try:
        yield
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


def create_locked(name: str, folder: int, mode: int = 0o666) -> int:
    """Create a file in an open folder and lock it, so that nobody takes it for abandoned while it is open.

    Raises OSError.
    """
    for _ in range(100):
        handle = os.open(name, _FLAGS | os.O_EXCL, mode, dir_fd=folder)
        try:
            # Another process may have found the file before it was locked, and be about to remove it: wait for that.
            with suppress_unsupported():
                fcntl.flock(handle, fcntl.LOCK_EX)
            if os.fstat(handle).st_nlink:
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
    raise OSError(errno.EBUSY, "another process keeps removing it", name)


class Presence:
    """Announces that this process may write to a memory, until it is closed.

    Attributes:
        alone: Whether no other process has the memory open for writing. None can open it until `share` or `close`.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / PRESENCE
        self._handle = os.open(path, _FLAGS, 0o666)
        try:
            if not stat.S_ISREG(os.fstat(self._handle).st_mode):
                raise OSError(errno.EINVAL, "not a regular file", str(path))
            self.alone = self._take(folder)
        except BaseException:
            os.close(self._handle)
            raise

    def _take(self, folder: Path) -> bool:
        started = time.monotonic()
        while True:
            if try_lock(self._handle, fcntl.LOCK_EX):
                return True
            try:
                fcntl.flock(self._handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return False
            except OSError as error:
                if error.errno in _UNSUPPORTED:
                    return False
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                    raise
            if time.monotonic() - started > WAIT_SECONDS:
                raise SetupError(
                    f"the memory {folder} is being repaired by another process", remedy="wait until it has finished"
                )
            time.sleep(0.02)

    def share(self) -> None:
        """Let other processes open the memory."""
        if self.alone:
            fcntl.flock(self._handle, fcntl.LOCK_SH)
            self.alone = False

    def close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


class Scratch:
    """A private temporary folder, removed when closed, garbage-collected, or when the interpreter exits.

    The owner holds a lock in it. Folders of killed processes are removed when the next one with the same prefix is
    created in the same place.

    Args:
        prefix: Start of its name.
        place: Parent folder; the system's temporary folder if None.
    """

    _LOCK = ".lock"

    def __init__(self, prefix: str, place: Path | None = None) -> None:
        where = str(place) if place is not None else tempfile.gettempdir()
        _remove_stale(prefix, where)
        for _ in range(100):
            made = tempfile.mkdtemp(prefix=prefix, dir=where)
            folder = os.open(made, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                handle = create_locked(self._LOCK, folder, 0o600)
            except FileNotFoundError:  # removed by another process before it was locked
                continue
            finally:
                os.close(folder)
            break
        else:
            raise OSError(errno.EBUSY, "another process keeps removing it", made)
        self.path = Path(made)
        self._end = weakref.finalize(self, _remove, made, handle)

    def close(self) -> None:
        self._end()

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        self.close()


def _remove(folder: str, handle: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os.close(handle)


def _remove_stale(prefix: str, place: str) -> None:
    """Remove this user's scratch folders whose lock nobody holds; everything else stays."""
    name = re.compile(re.escape(prefix) + r"[a-z0-9_]{8}")
    try:
        with os.scandir(place) as found:
            folders = [f.path for f in found if name.fullmatch(f.name) and f.is_dir(follow_symlinks=False)]
    except OSError:
        return
    for folder in folders:
        try:
            if os.lstat(folder).st_uid != os.geteuid():
                continue
            handle = os.open(os.path.join(folder, Scratch._LOCK), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:  # already gone, or not ours
            continue
        try:
            if stat.S_ISREG(os.fstat(handle).st_mode) and try_lock(handle):
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(handle)
