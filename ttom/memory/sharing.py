"""Sharing a whole memory on the Hugging Face Hub."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from ttom.errors import UserError
from ttom.files import Scratch, check_folder, replace
from ttom.memory import copying, database
from ttom.memory.calibration import stored_calibration
from ttom.memory.entries import MAX_VALUE_BYTES, BadRow, CorruptValue, Entry, as_row
from ttom.memory.files import MAX_BYTES, NAME, memory_errors, write_meta
from ttom.memory.merging import checked_entries, common_shapes, open_foreign
from ttom.memory.store import Store
from ttom.memory.transactions import UNFINISHED
from ttom.memory.value_format import with_record
from ttom.memory.values import FOLDER, ValueFolder, read_regular

_PUSHED = [NAME, database.NAME, f"{FOLDER}/*"]  # "*" matches slashes too
_NOT_OURS = {".gitattributes", "README.md"}  # what a new or documented repository holds besides
_VALUE = re.compile(FOLDER + r"/([0-9a-f]{2})/(\1[0-9a-f]{62})\.safetensors")


def push(folder: Path, repo_id: str, *, private: bool = True) -> str:
    """Upload a snapshot of the memory to a model repository on the Hugging Face Hub; returns its URL.

    Quarantined entries are not uploaded. The contents of an earlier push are replaced.

    Args:
        folder: The memory; it is only read.
        repo_id: ``owner/name``; created if there is none.
        private: Whether a new repository is private; a memory contains its users' prompts.

    Raises:
        UserError: A row or value is damaged, the repository contains something else, or the Hub refuses or cannot be
            reached.
    """
    from huggingface_hub import HfApi

    with memory_errors(folder), Scratch() as stage:
        _snapshot(folder, stage)
        with _hub(f"the memory {folder} cannot be pushed to {repo_id!r}"):
            api = HfApi()
            address = api.create_repo(repo_id, private=private, exist_ok=True)
            there = set(api.list_repo_files(repo_id))
            if there - _NOT_OURS and NAME not in there:
                raise UserError(
                    f"the repository {repo_id} contains other files than a memory: {min(there - _NOT_OURS)[:100]!r}",
                    expected="a new repository, or one with a memory",
                    remedy="another name",
                )
            api.upload_folder(
                repo_id=repo_id,
                folder_path=str(stage),
                allow_patterns=_PUSHED,
                delete_patterns=[f"{FOLDER}/*"],
                commit_message="ttom memory push",
            )
    return str(address)


def pull(repo_id: str, folder: Path) -> int:
    """Download a memory from the Hub into a new or empty folder; returns how many entries it has.

    The repository is treated as untrusted data: only files that belong to a memory are accepted, every row and value is
    checked, and the database is written from scratch.

    Raises:
        UserError: The folder is not empty, or the repository cannot be read, does not fit on the disk, or does not
            contain an intact memory. The folder is unchanged then.
    """
    from huggingface_hub import HfApi

    if os.path.lexists(folder) and (not folder.is_dir() or folder.is_symlink() or any(folder.iterdir())):
        raise UserError(f"{folder} is not empty", expected="a new or empty folder", remedy="another folder")
    place = folder.absolute().parent
    check_folder(place)
    with memory_errors(folder):
        place.mkdir(parents=True, exist_ok=True)
        with Scratch(place) as scratch:
            stage, made = scratch / "downloaded", scratch / "memory"
            with _hub(f"the memory cannot be pulled from {repo_id!r}"):
                api = HfApi()
                info = api.model_info(repo_id, files_metadata=True)
                _check_files(repo_id, {file.rfilename: file.size for file in info.siblings or []}, place)
                api.snapshot_download(repo_id, revision=info.sha, local_dir=stage, allow_patterns=_PUSHED)
            (stage / FOLDER).mkdir(exist_ok=True)  # git does not store the empty folder of an empty memory
            count = _adopt(stage, made, repo_id)
            replace(made, folder)
    return count


def _check_files(repo_id: str, sizes: dict[str, int | None], place: Path) -> None:
    """Raise UserError unless a repository has the files of a memory, within limits, and they fit on the disk."""
    limits = {NAME: MAX_BYTES, database.NAME: copying.MAX_BYTES}
    if not limits.keys() <= sizes.keys():
        raise UserError(f"the repository {repo_id} does not contain a memory", expected=" and ".join(limits))
    wanted = {name: size or 0 for name, size in sizes.items() if name in limits or name.startswith(f"{FOLDER}/")}
    for name, size in wanted.items():
        if size > limits.get(name, MAX_VALUE_BYTES) or not (name in limits or _VALUE.fullmatch(name)):
            raise UserError(
                f"the repository {repo_id} contains {name[:100]!r} ({size} bytes)",
                expected="only the files of a memory",
            )
    total, free = sum(wanted.values()), shutil.disk_usage(place).free
    if total > free:
        raise UserError(
            f"the memory in the repository {repo_id} has {total} bytes", expected=f"at most {free}, which are free"
        )


def _adopt(stage: Path, made: Path, repo_id: str) -> int:
    """Build a memory from the downloaded files; returns the number of entries.

    Raises UserError unless every row and value is valid.
    """
    reason = None
    try:
        with closing(open_foreign(stage)) as store:
            (made / FOLDER).mkdir(parents=True)
            shapes = common_shapes([store])
            rows: list[dict[str, Any]] = []
            for id_, found in checked_entries(store, shapes):
                if isinstance(found, str):
                    raise BadRow(f"entry {id_}: {found}")
                rows.append(_adopt_entry(*found, store, ValueFolder(made)))
            database.build(made, rows, [], [], 0)
            replace(made / database.REBUILT, made / database.NAME)
            write_meta(made, store.embedder, store.dimension, stored_calibration(store.meta))
            return len(rows)
    except (BadRow, CorruptValue, UserError) as error:
        reason = str(error).splitlines()[0].replace(str(stage), repo_id)
    raise UserError(
        f"the memory in the repository {repo_id} is damaged: {reason[:300]}",
        remedy="push it again from an intact copy; if a push was in progress, pull again later",
    )


def _adopt_entry(entry: Entry, data: bytes, store: Store, values: ValueFolder) -> dict[str, Any]:
    """Link a value, or write one of version 1 with a record; returns the row. Raises CorruptValue."""
    recorded = with_record(data, entry, embedder=store.embedder)
    sha256 = entry.sha256 if recorded is data else hashlib.sha256(recorded).hexdigest()
    target = values.path(sha256)
    target.parent.mkdir(exist_ok=True)
    if not target.exists():
        if recorded is data:
            os.link(store.values.path(sha256), target, follow_symlinks=False)
        else:
            target.write_bytes(recorded)
    return as_row(entry, sha256=sha256, bytes=len(recorded))


def _snapshot(folder: Path, stage: Path) -> None:
    """Write a snapshot of the memory: a single SQLite file without a log, and the values it refers to."""
    with Store(folder, read_only=True) as store:
        if store.embedder.startswith(UNFINISHED):
            raise UserError(f"the memory {folder} has an {store.embedder}", remedy=f"ttom memory reindex {folder}")
        write_meta(stage, store.embedder, store.dimension, stored_calibration(store.meta))
        for id_, entry in store.rows():
            problem = str(entry) if isinstance(entry, BadRow) else _copy_value(store, entry.sha256, stage)
            if problem is not None:
                raise UserError(
                    f"entry {id_} of the memory {folder} is damaged: {problem}",
                    remedy=f"ttom memory verify {folder}, then push again",
                )
        for table in ("quarantined", "removed"):
            store.db.execute(f"DELETE FROM {table}")  # only in the copy that a read-only store works on
        # Not copied: the free pages of the file may still contain prompts of deleted entries.
        store.db.execute("VACUUM INTO ?", (str(stage / database.NAME),))


def _copy_value(store: Store, sha256: str, stage: Path) -> str | None:
    """Link or copy a value; returns the problem if it is damaged."""
    target = stage / store.values.path(sha256).relative_to(store.folder)
    if target.exists():
        return None
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        # Value files are never modified, so a hard link will do; on another file system they are copied.
        os.link(store.values.path(sha256), target, follow_symlinks=False)
        if not stat.S_ISREG(os.lstat(target).st_mode):
            return "its value is not a regular file"
        if hashlib.sha256(read_regular(target, MAX_VALUE_BYTES)).hexdigest() == sha256:
            return None
    except OSError:
        pass
    with contextlib.suppress(FileNotFoundError):
        target.unlink()
    try:
        target.write_bytes(store.values.read(sha256))
    except CorruptValue as error:
        return str(error)
    return None


@contextmanager
def _hub(what: str) -> Iterator[None]:
    """Convert errors of the Hub client to UserError, without any token that they may quote."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # the Hub client raises its HTTP library's errors too
        lines = [line.strip() for line in str(error)[:10_000].splitlines() if line.strip()] or [type(error).__name__]
        reason = re.sub(r"hf_\w+|(?<=Bearer )[^'\"\s]+", "(token)", " ".join(lines[:2]))
        raise UserError(
            f"{what}: {reason[:300]}",
            expected="a repository owner/name that can be reached",
            remedy="check the name and the network; `hf auth login` or HF_TOKEN for what is not public",
        ) from None
