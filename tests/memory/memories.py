"""Small memories for tests: their signature, values of a few hundred bytes, and what lies in a folder."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from experiments.faults import old
from ttom.memory.entries import Entry, new_record
from ttom.memory.signature import Signature
from ttom.memory.store import Store

SIGNATURE = Signature.from_text("WanTransformer3DModel 0123456789ab, blocks 0-0 (1 layers), rank 2, alpha 4, to_q")
OTHER = Signature.from_text("CogVideoXTransformer3DModel 0123456789ab, blocks 0-0 (1 layers), rank 2, alpha 4, to_q")
VECTOR = np.array([1, 0, 0, 0], np.float32)
MODULE = "blocks.0.attn2.to_q"
OLD_SIGNATURE = Signature.from_text(
    "WanTransformer3DModel 0123456789ab, blocks 0-1 (2 layers), rank 2, alpha 4, to_q to_v"
)


def state(number: float = 1.0, inputs: int = 6) -> dict[str, np.ndarray]:
    """The tensors of an adapter; equal numbers give equal ones."""
    return {
        f"{MODULE}.lora_A.weight": np.full((2, inputs), number, np.float32),
        f"{MODULE}.lora_B.weight": np.ones((5, 2), np.float32),
    }


def number(store: Store, entry: Entry) -> float:
    """What `state` was called with."""
    return float(store.state(entry)[f"{MODULE}.lora_A.weight"][0, 0])


def new(folder: Path, **changes: Any) -> Store:
    return Store.create(folder, **{"embedder": "e", "dimension": 4, **changes})


def put(store: Store, value: float = 1.0, *, inputs: int = 6, **changes: Any) -> int:
    given = {"key": "<object A> moves", "prompt": "a cat moves", "embedding": VECTOR, "signature": SIGNATURE}
    return store.insert(state(value, inputs), new_record(**{**given, **changes}))


def get(store: Store, id_: int) -> Entry:
    return next(store.entries([id_]))


def file_of(store: Store, id_: int) -> Path:
    return store.values.path(get(store, id_).sha256)


def contents(folder: Path) -> dict[str, tuple[str, int]]:
    """Every file below a folder with its hash and time of change."""
    return {
        str(f.relative_to(folder)): (hashlib.sha256(f.read_bytes()).hexdigest(), f.stat().st_mtime_ns)
        for f in sorted(folder.rglob("*"))
        if f.is_file()
    }


def memory_of_version_2(folder: Path) -> Path:
    """A memory that version 2 itself wrote: three entries, the second used once, the third replaced once."""
    with zipfile.ZipFile(Path(__file__).with_name("memory-v2.zip")) as packed:
        packed.extractall(folder)
    return folder / "memory-v2"


def old_memory(folder: Path, *, orphan: bool = True) -> Path:
    """A memory that version 1 wrote: four entries, two with the same value, an unfinished file, and maybe an orphan."""
    return old.unpack(folder, orphan=orphan)
