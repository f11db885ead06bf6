"""Locks that show who uses a memory and which of its files are still being written.

All are flock(2) locks on open files. They end with their holder, however it dies, and unlike process ids they mean the
same in every container that shares the folder. Without them, and without the similar locks of SQLite, two writers could
damage the memory, so a file system that has no locks is refused for writing.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from pathlib import Path

from ttom.errors import SetupError
from ttom.files import try_lock

PRESENCE = "memory.lock"
WAIT_SECONDS = 60.0
"""How long a process waits for another one that is repairing or opening the memory."""

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


def create_locked(name: str, folder: int, mode: int = 0o666) -> int:
    """Create a file in an open folder and lock it, so that nobody takes it for abandoned while it is open.

    Raises OSError.
    """
    for _ in range(100):
        handle = os.open(name, _FLAGS | os.O_EXCL, mode, dir_fd=folder)
        try:
            # Another process may have found the file before it was locked, and be about to remove it: wait for that.
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

    Raises:
        SetupError: The file system has no locks, or another process has kept the memory to itself for a minute.
        OSError: The lock file is no regular file, or cannot be written.
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
            if try_lock(self._handle):
                return True
            try:
                fcntl.flock(self._handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return False
            except OSError as error:
                if error.errno in _UNSUPPORTED:
                    raise SetupError(
                        f"the file system of the memory {folder} has no locks: {error.strerror}",
                        expected="a file system that supports flock, which local disks do",
                        remedy="move the memory to a local disk, or only read it with `memory.mode=read`",
                    ) from None
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
