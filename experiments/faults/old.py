"""Memories that version 1 itself wrote: four entries without records, two of which share a value."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np

from experiments.faults.outcomes import outcomes
from ttom.memory.entries import CorruptValue, new_record
from ttom.memory.store import Store
from ttom.memory.value_format import Value, decode

FIXTURE = Path(__file__).parents[2] / "tests" / "memory" / "memory-v1.zip"
ORPHAN = "values/6b/6bffedd292652f3b363d2fc6cfdb8856dd05d8b3969f24d6a47acafddf283469.safetensors"
"""A value that an interrupted process of version 1 left without an entry."""
LOG = "entries.sqlite-wal"

_LOGGED = """
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
rows = db.execute("SELECT * FROM entries WHERE id > 1 ORDER BY id DESC").fetchall()
db.execute("DELETE FROM entries WHERE id > 1")
db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
db.executemany(f"INSERT INTO entries VALUES ({', '.join('?' * len(rows[0]))})", rows)
os._exit(1)
"""
"""A process of version 1 that was killed: three of its entries are in the log alone.

The one that shares its value with the first is written first. If it alone were lost, no value would show it.
"""


def unpack(folder: Path, *, orphan: bool = False) -> Path:
    """Unpack the memory into a folder; returns its path."""
    with zipfile.ZipFile(FIXTURE) as packed:
        packed.extractall(folder)
    if not orphan:
        (folder / "memory-v1" / ORPHAN).unlink()
    return folder / "memory-v1"


def unpack_logged(folder: Path) -> Path:
    """The same memory as a killed process leaves it: all entries but the first are in the log alone."""
    memory = unpack(folder)
    subprocess.run([sys.executable, "-c", _LOGGED, str(memory / "entries.sqlite")], check=False)
    assert (memory / LOG).stat().st_size > 0
    return memory


def tensors(value: Value) -> str:
    """A digest of a value's tensors, whatever its record."""
    parts = [f"{name} {dtype} {shape} {bytes(data).hex()}" for name, (dtype, shape, data) in value.tensors.items()]
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()


def entries(memory: Path) -> dict[str, str]:
    """{prompt: digest of its tensors} of the entries whose values are intact."""
    with Store(memory, read_only=True) as store:
        return {entry.prompt: tensors(decode(store.values.read(entry.sha256))) for entry in store.entries()}


def on_disk(memory: Path) -> set[str]:
    """The digests of all values that are there, with or without an entry, also in quarantine."""
    found = set()
    for path in memory.rglob("*.safetensors"):
        try:
            found.add(tensors(decode(path.read_bytes())))
        except CorruptValue:
            continue
    return found


def trial(memory: Path, wanted: dict[str, str]) -> Counter[str]:
    """What the next processes make of a damaged memory that had these entries.

    Lost is a value that is nowhere. Wrong is an entry that is missing, or other than it was, though no writer was
    stopped. "entries gone with the log" are those that were nowhere else, so that nothing could restore them.
    """
    found = outcomes(memory, _insert)
    there = entries(memory)
    same = {prompt for prompt in wanted if there.get(prompt) == wanted[prompt]}
    gone = wanted.keys() - same
    silent = len(gone) if "writers stopped" not in found else 0
    lost = len({wanted[prompt] for prompt in wanted} - on_disk(memory))
    return Counter(found) + Counter({"lost": lost, "wrong": silent, "entries gone with the log": len(gone) - silent})


def _insert(store: Store, number: int) -> None:
    first = next(store.entries())
    value = decode(store.values.read(first.sha256))
    state = {
        name: np.frombuffer(data, "<f4").reshape(shape) + number + 1 for name, (_, shape, data) in value.tensors.items()
    }
    given = {"embedding": first.embedding, "signature": first.signature}
    store.insert(state, new_record(key="new", prompt=f"new {number}", **given))
