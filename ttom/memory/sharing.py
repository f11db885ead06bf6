"""A whole memory on the Hugging Face Hub."""

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
from ttom.files import check_folder
from ttom.memory import database
from ttom.memory.entries import MAX_VALUE_BYTES, BadRow, CorruptValue, as_row
from ttom.memory.files import MAX_BYTES, NAME, disk_errors, write_meta
from ttom.memory.locks import Scratch
from ttom.memory.merging import checked_entries, common_shapes, open_foreign
from ttom.memory.store import UNFINISHED, Store
from ttom.memory.values import FOLDER, read_regular

_PUSHED = [NAME, database.NAME, f"{FOLDER}/*"]  # "*" matches slashes too
_NOT_OURS = {".gitattributes", "README.md"}  # what a new or documented repository holds besides
_VALUE = re.compile(FOLDER + r"/([0-9a-f]{2})/(\1[0-9a-f]{62})\.safetensors")


def push(folder: Path, repo_id: str, *, private: bool = True) -> str:
    """Upload the memory, as it is at one moment, to a model repository of the Hugging Face Hub; returns its address.

    Quarantined entries stay at home. What the repository held of an earlier push is replaced.

    Args:
        folder: The memory; it is only read.
        repo_id: ``owner/name``; created if there is none.
        private: Of a new repository: a memory holds the prompts of its users.

    Raises:
        UserError: A row or value is damaged, the repository holds something else, or the Hub refuses or cannot be
            reached.
    """
    from huggingface_hub import HfApi

    with disk_errors(folder), Scratch("ttom-push-") as stage:
        _snapshot(folder, stage)
        with _hub(f"the memory {folder} cannot be pushed to {repo_id!r}"):
            api = HfApi()
            address = api.create_repo(repo_id, private=private, exist_ok=True)
            there = set(api.list_repo_files(repo_id))
            if there - _NOT_OURS and NAME not in there:
                raise UserError(
                    f"the repository {repo_id} holds something else than a memory: {min(there - _NOT_OURS)[:100]!r}",
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

    The repository is read as data: its files are those of a memory, and every row and value is checked. The database
    is written anew from the rows.

    Raises:
        UserError: The folder holds something, the repository cannot be read, does not fit the disk, or holds no sound
            memory; the folder is as it was then.
    """
    from huggingface_hub import HfApi

    if os.path.lexists(folder) and (not folder.is_dir() or folder.is_symlink() or any(folder.iterdir())):
        raise UserError(f"{folder} is not empty", expected="a new or empty folder", remedy="another folder")
    place = folder.absolute().parent
    check_folder(place)
    with disk_errors(folder):
        place.mkdir(parents=True, exist_ok=True)
        with Scratch(".ttom-pull-", place) as scratch:
            stage, made = scratch / "downloaded", scratch / "memory"
            with _hub(f"the memory cannot be pulled from {repo_id!r}"):
                api = HfApi()
                info = api.model_info(repo_id, files_metadata=True)
                _check_files(repo_id, {file.rfilename: file.size for file in info.siblings or []}, place)
                api.snapshot_download(repo_id, revision=info.sha, local_dir=stage, allow_patterns=_PUSHED)
            (stage / FOLDER).mkdir(exist_ok=True)  # of an empty memory, which git does not keep
            count = _adopt(stage, made, repo_id)
            made.replace(folder)
    return count


def _check_files(repo_id: str, sizes: dict[str, int | None], place: Path) -> None:
    """Raise UserError unless a repository has the files of a memory, none too large, and the disk room for them."""
    limits = {NAME: MAX_BYTES, database.NAME: database.MAX_DATABASE}
    if not limits.keys() <= sizes.keys():
        raise UserError(f"the repository {repo_id} holds no memory", expected=" and ".join(limits))
    wanted = {name: size or 0 for name, size in sizes.items() if name in limits or name.startswith(f"{FOLDER}/")}
    for name, size in wanted.items():
        if size > limits.get(name, MAX_VALUE_BYTES) or not (name in limits or _VALUE.fullmatch(name)):
            raise UserError(
                f"the repository {repo_id} holds {name[:100]!r} ({size} bytes)", expected="nothing but a memory's files"
            )
    total, free = sum(wanted.values()), shutil.disk_usage(place).free
    if total > free:
        raise UserError(
            f"the memory in the repository {repo_id} has {total} bytes", expected=f"at most {free}, which are free"
        )


def _adopt(stage: Path, made: Path, repo_id: str) -> int:
    """Make a memory of what was downloaded; returns how many entries it has.

    Raises UserError unless each row and value is as a memory has it.
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
                entry, _ = found
                target = made / FOLDER / entry.sha256[:2] / f"{entry.sha256}.safetensors"
                target.parent.mkdir(exist_ok=True)
                if not target.exists():
                    os.link(store.values.path(entry.sha256), target, follow_symlinks=False)
                rows.append(as_row(entry))
            database.build(made, rows, [], [], 0)
            os.replace(made / database.REBUILT, made / database.NAME)
            write_meta(made, store.embedder, store.dimension)
            return len(rows)
    except (BadRow, CorruptValue, UserError) as error:
        reason = str(error).splitlines()[0].replace(str(stage), repo_id)
    raise UserError(
        f"the memory in the repository {repo_id} is damaged: {reason[:300]}",
        remedy="push it again from where it is whole, or pull again later if that was going on",
    )


def _snapshot(folder: Path, stage: Path) -> None:
    """A copy of the memory as it is now: one SQLite file without a log beside it, and the values that it needs."""
    with Store(folder, read_only=True) as store:
        if store.embedder.startswith(UNFINISHED):
            raise UserError(f"the memory {folder} has an {store.embedder}", remedy=f"ttom memory reindex {folder}")
        write_meta(stage, store.embedder, store.dimension)
        for id_, entry in store.rows():
            problem = str(entry) if isinstance(entry, BadRow) else _copy_value(store, entry.sha256, stage)
            if problem is not None:
                raise UserError(
                    f"entry {id_} of the memory {folder} is damaged: {problem}",
                    remedy=f"ttom memory verify {folder}, then push again",
                )
        for table in ("quarantined", "removed"):
            store.db.execute(f"DELETE FROM {table}")  # in the copy that a read-only store works on
        # Written anew: a copied file would still hold the prompts of deleted entries in its free pages.
        store.db.execute("VACUUM INTO ?", (str(stage / database.NAME),))


def _copy_value(store: Store, sha256: str, stage: Path) -> str | None:
    """Link or copy a value; returns what is wrong with it."""
    target = stage / store.values.path(sha256).relative_to(store.folder)
    if target.exists():
        return None
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        # A value's file is never written again. On another file system it is copied.
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
    """Whatever the Hub client raises, as one error, and never with a token in it (a malformed one is quoted)."""
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
