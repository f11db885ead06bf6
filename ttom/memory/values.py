"""The folder of values: one file per value, ``values/ab/<sha256>.safetensors``, named by the sha256 of its bytes.

A file is written under a temporary name that contains its sha256, locked by its writer, and renamed once its row is
committed. So a file with a final name has or had a row. A file with a temporary name may have one too, if its writer
was killed before the rename, and readers accept it.

Only regular files with these names are ever renamed or removed, and no path component below the memory is followed if
it is a symbolic link.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ttom.files import try_lock
from ttom.memory.entries import MAX_VALUE_BYTES, SHA256, CorruptValue
from ttom.memory.locks import create_locked
from ttom.memory.value_format import header_bytes

FOLDER = "values"
QUARANTINE = "quarantine"
_SUFFIX = ".safetensors"
_VALUE = re.compile(r"([0-9a-f]{64})\.safetensors")
_PART = re.compile(r"\.part-([0-9a-f]{64})-[0-9a-f]{16}")
_SUBFOLDER = re.compile(r"[0-9a-f]{2}")
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # so that a FIFO does not block


@dataclass(frozen=True)
class Listing:
    """Contents of the folder.

    Attributes:
        values: sha256 of each file with a final name.
        parts: (sha256, name) of each file with a temporary name.
        other: Paths, relative to the folder, of everything else; never touched.
    """

    values: frozenset[str]
    parts: tuple[tuple[str, str], ...]
    other: tuple[str, ...]


class Placement:
    """A value written under a temporary name; `place` renames it to its final one.

    Attributes:
        keep: Whether its row is committed, so that the file must stay whatever happens.
    """

    def __init__(self, sha256: str, size: int, name: str, folder: int) -> None:
        self.sha256, self.bytes, self.name, self._folder = sha256, size, name, folder
        self.keep = False

    def place(self) -> bool:
        """Give the file its final name; False if it is gone. Call this once its row is committed."""
        try:
            os.rename(self.name, self.sha256 + _SUFFIX, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        except FileNotFoundError:
            return False
        return True


class ValueFolder:
    """The values of a memory.

    Args:
        memory: The memory's folder.
    """

    def __init__(self, memory: Path) -> None:
        self.memory = memory

    def path(self, sha256: str) -> Path:
        """Path of a value, to show or to copy it. Raises ValueError for anything but a sha256."""
        _check_name(sha256)
        return self.memory / FOLDER / sha256[:2] / f"{sha256}{_SUFFIX}"

    def read(self, sha256: str) -> bytes:
        """The bytes of a value, checked against its sha256. Raises CorruptValue if it is missing or was changed."""
        data = self._read(sha256)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise CorruptValue(f"its value was changed (sha256 differs, {len(data)} bytes)")
        return data

    def size(self, sha256: str) -> int:
        """Size of a value in bytes; 0 if it is missing."""
        try:
            return os.stat(self.path(sha256), follow_symlinks=False).st_size
        except OSError:
            return 0

    def header(self, sha256: str) -> bytes:
        """The start of a value up to the end of its header, unchecked. Raises CorruptValue."""
        return self._read(sha256, 8 + header_bytes(self._read(sha256, 8)))

    def exists(self, sha256: str) -> bool:
        try:
            with self._subfolder(sha256) as folder:
                return self._name(folder, sha256) is not None
        except OSError:
            return False

    def look_through(self) -> Listing:
        """List the folder. Raises OSError if it is missing or a symbolic link."""
        values: set[str] = set()
        parts: list[tuple[str, str]] = []
        other: list[str] = []
        with self._open() as top, os.scandir(top) as subfolders:
            for sub in subfolders:
                if not (_SUBFOLDER.fullmatch(sub.name) and sub.is_dir(follow_symlinks=False)):
                    other.append(sub.name)
                    continue
                handle = os.open(sub.name, _OPEN_FOLDER, dir_fd=top)
                try:
                    with os.scandir(handle) as files:
                        for file in files:
                            found = _VALUE.fullmatch(file.name) or _PART.fullmatch(file.name)
                            if not found or found[1][:2] != sub.name or not file.is_file(follow_symlinks=False):
                                other.append(f"{sub.name}/{file.name}")
                            elif file.name.endswith(_SUFFIX):
                                values.add(found[1])
                            else:
                                parts.append((found[1], file.name))
                finally:
                    os.close(handle)
        return Listing(frozenset(values), tuple(parts), tuple(sorted(other)))

    @contextmanager
    def placing(self, data: bytes) -> Iterator[Placement]:
        """Write and sync a value under a temporary name; it is removed again unless it is placed or kept."""
        sha256 = hashlib.sha256(data).hexdigest()
        with self._subfolder(sha256, create=True) as folder:
            name = f".part-{sha256}-{secrets.token_hex(8)}"
            handle = create_locked(name, folder)
            made = Placement(sha256, len(data), name, folder)
            try:
                write_all(handle, data)
                os.fsync(handle)
                os.fsync(folder)
                yield made
            finally:
                if not made.keep:  # nothing happens if it was renamed
                    with suppress(OSError):
                        os.unlink(name, dir_fd=folder)
                os.close(handle)

    def settle(self, sha256: str, part: str, *, wanted: bool) -> None:
        """Rename a file that a killed writer left under its temporary name, or remove it unless it is wanted.

        Nothing happens while the writer is alive.
        """
        with suppress(FileNotFoundError), self._subfolder(sha256) as folder:
            handle = os.open(part, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=folder)
            try:
                if not try_lock(handle):
                    return
                if wanted:
                    os.rename(part, sha256 + _SUFFIX, src_dir_fd=folder, dst_dir_fd=folder)
                else:
                    os.unlink(part, dir_fd=folder)
            finally:
                os.close(handle)

    def remove(self, sha256: str) -> None:
        """Remove a value, under either name, if it exists; but no file that another process is just writing."""
        with suppress(FileNotFoundError), self._subfolder(sha256) as folder:
            for part in self._parts(folder, sha256):
                self.settle(sha256, part, wanted=False)
            os.unlink(sha256 + _SUFFIX, dir_fd=folder)

    def quarantine(self, sha256: str) -> None:
        """Move a value's file, if it exists, to the quarantine folder, where it replaces nothing."""
        with self.open_quarantine() as target, suppress(FileNotFoundError), self._subfolder(sha256) as folder:
            name = self._name(folder, sha256)
            if name is not None:
                taken = set(os.listdir(target))
                free = next(new for new in _numbered(sha256) if new not in taken)
                os.rename(name, free, src_dir_fd=folder, dst_dir_fd=target)

    @contextmanager
    def open_quarantine(self) -> Iterator[int]:
        """Create the quarantine folder if need be, and open it. Raises OSError if it is a link or not a folder."""
        with self._folder_of_memory() as memory:
            with suppress(FileExistsError):
                os.mkdir(QUARANTINE, dir_fd=memory)
            try:
                target = os.open(QUARANTINE, _OPEN_FOLDER, dir_fd=memory)
            except NotADirectoryError as error:  # what Linux says of a link, too
                raise NotADirectoryError(error.errno, f"{QUARANTINE} is a link or a file, not a folder") from None
        try:
            yield target
        finally:
            os.close(target)

    def _read(self, sha256: str, size: int = -1) -> bytes:
        try:
            with self._subfolder(sha256) as folder:
                for _ in range(3):  # the file may be renamed between two lookups
                    name = self._name(folder, sha256)
                    if name is None:
                        continue
                    with suppress(FileNotFoundError):
                        return read_regular(name, MAX_VALUE_BYTES, folder, size)
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
                raise  # not a problem of this file
            raise CorruptValue(f"its value cannot be read: {error.strerror}") from None
        raise CorruptValue("its value is missing")

    def _name(self, folder: int, sha256: str) -> str | None:
        with suppress(FileNotFoundError):
            os.stat(sha256 + _SUFFIX, dir_fd=folder, follow_symlinks=False)
            return sha256 + _SUFFIX
        return next(iter(self._parts(folder, sha256)), None)

    def _parts(self, folder: int, sha256: str) -> list[str]:
        with os.scandir(folder) as files:
            found = ((_PART.fullmatch(file.name), file) for file in files)
            return [f.name for match, f in found if match and match[1] == sha256 and f.is_file(follow_symlinks=False)]

    @contextmanager
    def _folder_of_memory(self) -> Iterator[int]:
        handle = os.open(self.memory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield handle
        finally:
            os.close(handle)

    @contextmanager
    def _open(self) -> Iterator[int]:
        with self._folder_of_memory() as memory:
            handle = os.open(FOLDER, _OPEN_FOLDER, dir_fd=memory)
        try:
            yield handle
        finally:
            os.close(handle)

    @contextmanager
    def _subfolder(self, sha256: str, *, create: bool = False) -> Iterator[int]:
        _check_name(sha256)
        with self._open() as top:
            if create:
                with suppress(FileExistsError):
                    os.mkdir(sha256[:2], dir_fd=top)
                    os.fsync(top)
            handle = os.open(sha256[:2], _OPEN_FOLDER, dir_fd=top)
        try:
            yield handle
        finally:
            os.close(handle)


def _check_name(sha256: str) -> None:
    """Raise ValueError for anything that may not be part of a path."""
    if not SHA256.fullmatch(sha256):
        raise ValueError(f"{sha256!r:.100} is not a sha256 in 64 hexadecimal digits")


def _numbered(sha256: str) -> Iterator[str]:
    """Names for a file in the quarantine folder, where an earlier one of the same name may be."""
    yield sha256 + _SUFFIX
    yield from (f"{sha256}-{n}{_SUFFIX}" for n in itertools.count(2))


def read_regular(name: str | Path, limit: int, folder: int | None = None, size: int = -1) -> bytes:
    """Read a regular file of bounded size; links, FIFOs and devices are refused. Raises OSError.

    Args:
        name: Path of the file, or its name in an open folder.
        limit: Maximum size in bytes.
        folder: Descriptor of the folder.
        size: Number of bytes to read from the start; all if negative.
    """
    handle = os.open(name, _READ, dir_fd=folder)
    try:
        info = os.fstat(handle)
        if not stat.S_ISREG(info.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(name))
        if info.st_size > limit:
            raise OSError(errno.EFBIG, f"larger than {limit} bytes", str(name))
        with open(handle, "rb", closefd=False) as file:
            return file.read(limit if size < 0 else min(size, limit))
    finally:
        os.close(handle)


def write_all(handle: int, data: bytes) -> None:
    """Write all of the data to an open file. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
