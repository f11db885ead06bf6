"""Bits flipped, ends cut off and files removed, one at a time, in every file of a memory.

After each the next writer opens the memory, inserts, and asks `verify`; where it is stopped, `rebuild` is run. Counted
is what was lost of values that were not damaged themselves, and what was wrong without anybody saying so.
"""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments.faults import old, small
from experiments.faults.old import LOG
from experiments.faults.outcomes import outcomes
from ttom.memory.store import Store

ENTRIES = 8
DATABASE, JOURNAL, META = "entries.sqlite", "entries.sqlite-journal", "memory.json"


def run(folder: Path, times: int, seed: int = 0) -> dict[str, dict[str, Any]]:
    """Each kind of damage so many times (those with one outcome a tenth of that); returns counts by kind."""
    rng = random.Random(seed)
    clean, killed = _templates(folder)
    logged = old.unpack_logged(folder / "logged")
    logged_entries = old.entries(logged)
    kinds: dict[str, tuple[Path, Callable[[Path], set[int]], int]] = {
        "database: one bit flipped": (clean, lambda m: _flip(m / DATABASE, rng), times),
        "database: one bit flipped, journal beside it": (killed, lambda m: _flip(m / DATABASE, rng), times // 2),
        "database: end cut off": (clean, lambda m: _cut(m / DATABASE, rng), times // 2),
        "database: 100 random bytes": (clean, lambda m: _scribble(m / DATABASE, rng), times // 2),
        "database: emptied": (clean, lambda m: _write(m / DATABASE, b""), times // 10),
        "database: deleted": (clean, lambda m: _delete(m / DATABASE), times // 10),
        "journal: deleted": (killed, lambda m: _delete(m / JOURNAL), times // 10),
        "journal: one bit flipped": (killed, lambda m: _flip(m / JOURNAL, rng), times // 2),
        "journal: end cut off": (killed, lambda m: _cut(m / JOURNAL, rng), times // 2),
        "log of version 1: deleted": (logged, lambda m: _delete(m / LOG), times // 10),
        "log of version 1: one bit flipped": (logged, lambda m: _flip(m / LOG, rng), times // 2),
        "log of version 1: end cut off": (logged, lambda m: _cut(m / LOG, rng), times // 2),
        "memory.json: one bit flipped": (clean, lambda m: _flip(m / META, rng), times // 2),
        "memory.json: deleted": (clean, lambda m: _delete(m / META), times // 10),
        "value: one bit flipped": (clean, lambda m: _value(m, rng, _flip), times),
        "value: end cut off": (clean, lambda m: _value(m, rng, _cut), times // 2),
        "value: deleted": (clean, lambda m: _value(m, rng, lambda path, _: _delete(path)), times // 2),
        "value: swapped for another": (clean, lambda m: _swap(m, rng), times // 4),
    }
    results = {}
    for kind, (template, damage, count) in kinds.items():
        counts: Counter[str] = Counter(lost=0, wrong=0, errors=0)
        for _ in range(max(1, count)):
            memory = folder / "memory"
            shutil.copytree(template, memory)
            damaged = damage(memory)
            counts.update(old.trial(memory, logged_entries) if template == logged else _trial(memory, damaged))
            shutil.rmtree(memory)
        results[kind] = {"times": max(1, count), **counts}
    return results


def _templates(folder: Path) -> tuple[Path, Path]:
    """Two memories of the same entries: one closed properly, and one as a killed process leaves it."""
    clean, killed = folder / "clean", folder / "killed"
    with small.create(clean) as store:
        for number in range(ENTRIES):
            small.insert(store, number, prompt=f"{'x' * 3000} {number}")  # so that each has a page of its own
    shutil.copytree(clean, killed)
    small.leave_journal(killed, "prompt = upper(prompt), uses = uses + 1")
    return clean, killed


def _trial(memory: Path, damaged: set[int]) -> Counter[str]:
    """What the next processes make of it. `damaged`: numbers of entries whose value itself was damaged."""
    found = outcomes(memory, lambda store, number: small.insert(store, ENTRIES + number))
    there = small.intact(memory)
    with Store(memory, read_only=True) as store:
        wrong = {small.number_of(entry) for entry in store.entries()} - there
    return Counter(found) + Counter(lost=len(set(range(ENTRIES)) - there - damaged), wrong=len(wrong))


def _flip(path: Path, rng: random.Random) -> set[int]:
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return _write(path, bytes(data))


def _cut(path: Path, rng: random.Random) -> set[int]:
    data = path.read_bytes()
    return _write(path, data[: rng.randrange(len(data))])


def _scribble(path: Path, rng: random.Random) -> set[int]:
    data = bytearray(path.read_bytes())
    place = rng.randrange(len(data) - 100)
    data[place : place + 100] = rng.randbytes(100)
    return _write(path, bytes(data))


def _write(path: Path, data: bytes) -> set[int]:
    path.write_bytes(data)
    return set()


def _delete(path: Path) -> set[int]:
    path.unlink()
    return set()


def _value(memory: Path, rng: random.Random, damage: Callable[[Path, random.Random], Any]) -> set[int]:
    with Store(memory, read_only=True) as store:
        entry = rng.choice(list(store.entries()))
        damage(store.values.path(entry.sha256), rng)
    return {small.number_of(entry)}


def _swap(memory: Path, rng: random.Random) -> set[int]:
    with Store(memory, read_only=True) as store:
        entry, other = rng.sample(list(store.entries()), 2)
        store.values.path(entry.sha256).write_bytes(store.values.path(other.sha256).read_bytes())
    return {small.number_of(entry)}
