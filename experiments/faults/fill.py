"""Disks that are full: a file system of a given size, or a system call that fails at a given moment.

A trial is one such disk. Counted are the trials, those in which the disk was full at some point ("full"), and the
error messages in all of them, since a trial goes on after the first.
"""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from experiments.faults import small
from ttom.errors import SetupError, UserError
from ttom.memory.maintenance import verify
from ttom.memory.rebuild import rebuild
from ttom.memory.store import Store

SIZES = range(300, 3600, 150)
"""Kilobytes of the file systems."""


def run(folder: Path, moments: int) -> dict[str, Any]:
    """Fill file systems of all SIZES, if they can be mounted, and let system calls fail at so many moments each."""
    folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {
        "file systems": dict(_filled(folder)) if _can_mount(folder) else "cannot be mounted here"
    }
    calls = {"write": "ttom.memory.values.os.write", "sync": "ttom.memory.values.os.fsync"}
    calls |= {"rename": "ttom.memory.values.os.rename", "database": ""}
    for name, target in calls.items():
        counts: Counter[str] = Counter(full=0, messages=0, lost=0, wrong=0, unclear=0)
        for moment in range(moments):
            trial = _failing(folder / f"{name}-{moment}", target, moment)
            counts.update(trial + Counter(full=int(trial["messages"] > 0)))
        results[f"failing {name}"] = {"times": moments, **counts}
    return results


def _filled(folder: Path) -> Counter[str]:
    counts: Counter[str] = Counter(full=0, messages=0, lost=0, wrong=0, unclear=0)
    for size in SIZES:
        with _mounted(folder / "small", size) as place:
            counts["times"] += 1
            memory, before = place / "memory", counts["messages"]
            known = _until_full(memory, counts)
            counts["full"] += counts["messages"] > before
            _check(memory, known, counts)
            with contextlib.suppress(UserError), Store(memory) as store:  # room again
                gone = store.ids()[: len(known) // 2]
                known -= {small.number_of(entry) for entry in store.entries(gone)}
                store.delete(gone)
                if gone:
                    small.insert(store, 999_999)
                    known.add(999_999)
                    counts["went on after deleting"] += 1
            _check(memory, known, counts)
    return counts


def _until_full(memory: Path, counts: Counter[str]) -> set[int]:
    """Insert until the disk is full; returns the numbers that were acknowledged."""
    known: set[int] = set()
    try:
        with small.create(memory) as store:
            for number in range(10_000):
                small.insert(store, number)
                known.add(number)
                if number % 3 == 2:
                    store.replace(store.ids()[-1], small.tensors(number), loss_after=0.1)
    except SetupError as error:
        counts["messages" if "disk full" in str(error) else "unclear"] += 1
    except Exception as error:
        counts["unclear"] += 1
        print(f"{type(error).__name__}: {error}")
    return known


def _failing(memory: Path, target: str, moment: int) -> Counter[str]:
    """One operation after another with the call failing at its n-th time."""
    counts: Counter[str] = Counter()
    known: set[int] = set()
    with small.create(memory) as store:
        for number in range(3):
            small.insert(store, number)
            known.add(number)
        with mock.patch(target, _fails_at(moment, target)) if target else _full_database(store, moment):
            for number in range(3, 9):
                try:
                    small.insert(store, number, prompt=f"{'x' * 3000} {number}")  # so that the database must grow
                    known.add(number)
                    store.replace(1, small.tensors(0), loss_after=0.1)
                    store.used([1])
                except SetupError as error:
                    counts["messages" if "disk full" in str(error) else "unclear"] += 1
        small.insert(store, 100)  # whatever failed, the connection works on
        known.add(100)
    _check(memory, known, counts)
    (memory / "entries.sqlite").unlink()
    rebuild(memory)
    _check(memory, known, counts)
    return counts


def _check(memory: Path, known: set[int], counts: Counter[str]) -> None:
    if not (memory / "memory.json").exists():  # no room even for an empty one
        counts["lost"] += len(known)
        return
    there = small.intact(memory)
    counts["lost"] += len(known - there)
    with contextlib.suppress(SetupError):  # on a full disk verify may find no room for its lock
        counts["wrong"] += bool(verify(memory).quarantined)


def _fails_at(moment: int, target: str) -> Callable[..., Any]:
    real: Callable[..., Any] = getattr(os, target.rpartition(".")[2])
    calls = iter(range(10**9))

    def call(*arguments: Any, **named: Any) -> Any:
        if next(calls) in (moment, moment + 1):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*arguments, **named)

    return call


@contextmanager
def _full_database(store: Store, pages: int) -> Iterator[None]:
    """SQLite may not grow the file by more than so many pages."""
    count = store.db.execute("PRAGMA page_count").fetchone()[0]
    store.db.execute(f"PRAGMA max_page_count = {count + pages // 4}")
    try:
        yield
    finally:
        store.db.execute(f"PRAGMA max_page_count = {2**30}")


def _can_mount(folder: Path) -> bool:
    try:
        with _mounted(folder / "probe", 300):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


@contextmanager
def _mounted(place: Path, kilobytes: int) -> Iterator[Path]:
    """A file system in memory of that size; needs the right to mount."""
    place.mkdir(parents=True, exist_ok=True)
    options = f"size={kilobytes}k"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "ttom-faults", str(place)], check=True, capture_output=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)
