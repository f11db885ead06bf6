"""Small memories whose every entry can be checked: its tensors follow from one number."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ttom.memory.entries import CorruptValue, Entry, new_record
from ttom.memory.signature import Signature
from ttom.memory.store import Store
from ttom.memory.value_format import decode

EMBEDDER, DIMENSION, RANK = "faults", 8, 2
SIGNATURE = Signature("WanTransformer3DModel", "0" * 12, 0, 0, 1, RANK, 2.0, ("to_q",))
A, B = "blocks.0.attn2.to_q.lora_A.weight", "blocks.0.attn2.to_q.lora_B.weight"
WIDTHS = (16, 2_000, 40_000)
"""Columns of A: values of about 1, 20 and 320 kB, so that kills meet all stages of a write."""


_KILLED = """
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA cache_size = 1")
db.execute("BEGIN IMMEDIATE")
db.execute(f"UPDATE entries SET {sys.argv[2]}")
os._exit(1)
"""
"""A process killed in the middle of a transaction, some of which is in the database already."""


def tensors(number: int) -> dict[str, np.ndarray]:
    """The adapter of a number."""
    rng = np.random.default_rng(number)
    width = WIDTHS[number % len(WIDTHS)]
    return {
        A: rng.standard_normal((RANK, width), np.float32),
        B: rng.standard_normal((4, RANK), np.float32),
    }


def embedding(number: int) -> np.ndarray:
    vector = np.random.default_rng(number + 10**9).standard_normal(DIMENSION, np.float32)
    return vector / np.linalg.norm(vector)


def create(folder: Path) -> Store:
    return Store.create(folder, embedder=EMBEDDER, dimension=DIMENSION)


def insert(store: Store, number: int, **changes: Any) -> int:
    """Insert the entry of a number, which its prompt tells."""
    given = {
        "key": f"<object A> moves {number}",
        "prompt": f"prompt {number}",
        "embedding": embedding(number),
        "layout": {"number": number},
        "signature": SIGNATURE,
        "loss_before": 0.5,
        "loss_after": 0.25,
    }
    return store.insert(tensors(number), new_record(**{**given, **changes}))


def is_whole(store: Store, entry: Entry, number: int) -> bool:
    """Whether an entry's file holds the tensors of a number, bit for bit."""
    try:
        found = decode(store.values.read(entry.sha256)).tensors
    except CorruptValue:
        return False
    wanted = tensors(number)
    return found.keys() == wanted.keys() and all(bytes(found[name][2]) == wanted[name].tobytes() for name in wanted)


def number_of(entry: Entry) -> int:
    return int(entry.prompt.split()[-1])


def intact(folder: Path) -> set[int]:
    """The numbers of all entries that are there, with a row and a value that are what they were."""
    with Store(folder, read_only=True) as store:
        return {
            number_of(entry)
            for entry in store.entries()
            if is_whole(store, entry, number_of(entry))
            and entry.key == f"<object A> moves {number_of(entry)}"
            and np.array_equal(entry.embedding, embedding(number_of(entry)))
            and entry.layout == {"number": number_of(entry)}
        }


def leave_journal(memory: Path, change: str) -> Path:
    """Kill a process while it changes all entries; returns the path of the journal that it leaves."""
    subprocess.run([sys.executable, "-c", _KILLED, str(memory / "entries.sqlite"), change], check=False)
    journal = memory / "entries.sqlite-journal"
    assert journal.stat().st_size > 0
    return journal
