"""Files of the memory: its description, writes that are whole or absent, and what the disk refuses in one error."""

from __future__ import annotations

import errno
import json
import os
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ttom import files
from ttom.errors import UserError
from ttom.files import sync_folder as sync_folder

VERSION = 1
FORMAT = "ttom-memory"
FORGOTTEN_SECONDS = 3600.0
"""Age at which an unfinished file of an unknown process is removed."""


def part_path(target: Path) -> Path:
    """A name beside the target for the unfinished file; it tells who writes."""
    return target.with_name(f".part-{os.getpid()}-{secrets.token_hex(6)}")


def read_meta(folder: Path) -> dict[str, Any]:
    remedy = "the path of a memory, or a new folder with `memory.mode=readwrite`"
    try:
        meta = json.loads((folder / "memory.json").read_text())
        version = meta["version"] if meta["format"] == FORMAT else None
        known = isinstance(meta["embedder"], str) and isinstance(meta["dimension"], int)
    except FileNotFoundError:
        raise UserError(f"{folder} is no memory", expected="a folder with a memory.json", remedy=remedy) from None
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror}", remedy="another `memory.path`") from None
    except (ValueError, KeyError, TypeError):
        version, known = None, False
    if isinstance(version, int) and version > VERSION:
        raise UserError(
            f"{folder} is a memory of version {version}", expected=f"version {VERSION} or older", remedy="a newer ttom"
        )
    if version != VERSION or not known:
        raise UserError(f"{folder / 'memory.json'} does not describe a memory", remedy=remedy)
    return meta


def is_left(file: os.DirEntry[str]) -> bool:
    """Whether a file without a row can be removed: a value always, an unfinished one if its writer is gone."""
    if not file.name.startswith(".part-"):
        return True
    try:
        os.kill(int(file.name.split("-")[1]), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, ValueError, IndexError):
        pass
    try:
        return time.time() - file.stat().st_mtime > FORGOTTEN_SECONDS
    except FileNotFoundError:
        return False


def write_synced(path: Path, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def write_whole(path: Path, data: bytes) -> None:
    """Write a whole file or nothing."""
    files.write_bytes(path, data)


@contextmanager
def told(folder: Path) -> Iterator[None]:
    """Turn what the disk refuses into one clear error."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "free some space" if full else "a folder that you may write to, or `memory.mode=read`"
        raise UserError(f"the memory {folder} cannot be used: {error.strerror}", remedy=remedy) from None
    except sqlite3.DatabaseError as error:
        raise UserError(
            f"the memory {folder} cannot be used: {error}",
            remedy="free some space, check the permissions of the folder, or another `memory.path`",
        ) from None
