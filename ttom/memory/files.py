"""The memory's description in memory.json, and clear errors for disk and SQLite failures."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ttom.errors import SetupError, UserError
from ttom.files import FULL, write_bytes
from ttom.memory.entries import MAX_DIMENSION, MAX_NAME
from ttom.memory.values import read_regular

if TYPE_CHECKING:
    from ttom.memory.calibration import Calibration

NAME = "memory.json"
VERSION = 4
"""Version of the format. 2 added records to the values, and origins, turns and removals to the database; 3 stores
signatures in the database as JSON; 4 has keys that contain the layout, and calibrations."""
FORMAT = "ttom-memory"
MAX_BYTES = 65_536

_CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_TOOBIG)


class DamagedMemory(SetupError):
    """The database of a memory is missing, damaged or older than its values; it must be rebuilt before writing."""

    def __init__(self, folder: Path, problem: str) -> None:
        super().__init__(
            f"the memory {folder} {problem}",
            expected="an intact database with every value in it",
            remedy=f"ttom memory rebuild {folder} recreates it from the values; nothing has been removed",
        )


class DiskFull(SetupError):
    """The disk is full; everything stored before is intact."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"disk full: cannot write to the memory {folder}",
            expected="free space; everything stored so far is intact",
            remedy="free some space, delete entries with ttom memory prune, or move the memory",
        )


class NewerMemory(UserError):
    """The memory has a newer version than this package supports."""


def read_meta(folder: Path) -> dict[str, Any]:
    """Read memory.json. Raises UserError if the folder is not a memory or has a newer version."""
    remedy = "the path of a memory, or a new folder with `memory.mode=readwrite`"
    try:
        meta = json.loads(read_regular(folder / NAME, MAX_BYTES))
        version = meta["version"] if meta["format"] == FORMAT else None
        known = _is_description(meta)
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{folder} is not a memory", expected=f"a folder with a {NAME}", remedy=remedy) from None
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror}", remedy="another `memory.path`") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        version, known = None, False
    if isinstance(version, int) and version > VERSION:
        raise NewerMemory(
            f"{folder} is a memory of version {version}", expected=f"version {VERSION} or older", remedy="a newer ttom"
        )
    if version not in (1, 2, 3, VERSION) or not known:
        raise UserError(f"{folder / NAME} does not describe a memory", remedy=f"{remedy}; or ttom memory rebuild")
    return meta


def _is_description(meta: dict[str, Any]) -> bool:
    embedder, dimension = meta["embedder"], meta["dimension"]
    named = isinstance(embedder, str) and 0 < len(embedder) <= MAX_NAME and embedder.isprintable()
    return named and type(dimension) is int and 0 < dimension <= MAX_DIMENSION


def write_meta(folder: Path, embedder: str, dimension: int, calibration: Calibration | None = None) -> dict[str, Any]:
    """Write memory.json atomically; returns its content.

    Args:
        folder: The memory.
        embedder: Identity of its keys (`KeyMaker.identity`).
        dimension: Of its keys.
        calibration: Of these keys.
    """
    meta: dict[str, Any] = {"format": FORMAT, "version": VERSION, "embedder": embedder, "dimension": dimension}
    if calibration is not None:
        meta["calibration"] = calibration.model_dump()
    write_bytes(folder / NAME, json.dumps(meta, indent=1).encode())
    return meta


@contextmanager
def memory_errors(folder: Path) -> Iterator[None]:
    """Convert errors of the disk and of SQLite to SetupError, since they would affect the next prompt too."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise DiskFull(folder) from None
        raise SetupError(
            f"the memory {folder} cannot be used: {error.strerror or error}"[:500],
            remedy="use a folder that you can write to, or `memory.mode=read`",
        ) from None
    except UnicodeDecodeError:  # SQLite quotes the damaged schema, which Python cannot decode
        raise DamagedMemory(folder, "has a damaged database (its schema is not text)") from None
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            raise DiskFull(folder) from None
        if code in _CORRUPT:
            raise DamagedMemory(folder, f"has a damaged database ({str(error)[:200]})") from None
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise SetupError(
                f"the memory {folder} has been locked by another process for a minute",
                remedy="wait until it has finished",
            ) from None
        raise SetupError(
            f"the memory {folder} cannot be used: {str(error)[:200]}",
            remedy="check permissions and free space, or use another `memory.path`",
        ) from None
