"""Inserting into, reading from and opening a memory: python -m experiments.bench.memory --out RESULT.json

Beside each figure stands its floor, measured in the same call on the same disk: inserting must write the bytes to the
disk once and hash them, reading must read and hash them, opening must read all embeddings and list all values.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from experiments.bench.generate import spread
from ttom.memory import database
from ttom.memory.entries import Record, as_row, new_record
from ttom.memory.signature import Signature
from ttom.memory.store import Store
from ttom.memory.value_format import encode

DIMENSION = 768
RANK, WIDTH = 32, 5120
TARGETS = {"read_milliseconds": 20.0, "open_seconds": 2.0}


def timed(work: Callable[[int], object], runs: int) -> dict[str, float]:
    """Milliseconds: least, median and most."""
    taken = []
    for i in range(runs):
        started = time.perf_counter()
        work(i)
        taken.append((time.perf_counter() - started) * 1e3)
    return spread(taken)


def item(folder: Path, size: int, runs: int) -> dict[str, Any]:
    """Insert and read values of `size` bytes, as tensors in bfloat16."""
    import torch

    generator = torch.Generator().manual_seed(0)
    count = max(1, round(size / (4 * RANK * WIDTH)))
    shapes = {"A": (RANK, WIDTH), "B": (WIDTH, RANK)}
    states = [
        {
            f"blocks.{k}.attn2.to_q.lora_{side}.weight": torch.randn(shape, generator=generator).bfloat16()
            for k in range(count)
            for side, shape in shapes.items()
        }
        for _ in range(runs)
    ]
    vector = np.full(DIMENSION, DIMENSION**-0.5, np.float32)
    given: dict[str, Any] = {"key": "k", "prompt": "p", "embedding": vector, "signature": _signature(count, RANK)}
    with Store.create(folder, embedder="bench", dimension=DIMENSION) as store:
        insert = timed(lambda i: store.insert(states[i], new_record(**given)), runs)
        entries = list(store.entries())
        read = timed(lambda i: store.state(entries[i]), runs)
        raw = [store.values.read(entry.sha256) for entry in entries]
        write_floor = timed(lambda i: _write_synced(folder / f"floor-{i}", raw[i]), runs)
        hashing = timed(lambda i: hashlib.sha256(raw[i]).hexdigest(), runs)
        load = timed(lambda i: store.values.path(entries[i].sha256).read_bytes(), runs)
    floor_insert, floor_read = write_floor["median"] + hashing["median"], load["median"] + hashing["median"]
    return {
        "bytes": len(raw[0]),
        "insert_milliseconds": insert | {"floor": floor_insert, "ratio": round(insert["median"] / floor_insert, 2)},
        "read_milliseconds": read | {"floor": floor_read, "ratio": round(read["median"] / floor_read, 2)},
        "met": read["median"] <= TARGETS["read_milliseconds"],
    }


def _signature(layers: int, rank: int) -> Signature:
    return Signature("WanTransformer3DModel", "0" * 12, 0, layers - 1, layers, rank, float(rank), ("to_q",))


def _write_synced(path: Path, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def fill(folder: Path, entries: int) -> None:
    """A memory of many small values, written past the store: one by one with fsync it would take minutes."""
    Store.create(folder, embedder="bench", dimension=DIMENSION).close()
    vectors = np.random.default_rng(0).standard_normal((entries, DIMENSION), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    signature = _signature(1, 1)
    name = "blocks.0.attn2.to_q.lora_{}.weight"
    rows = []
    for i in range(entries):
        record = Record(namespace="default", key="k", prompt="p", embedding=vectors[i], signature=signature, created=i)
        number = np.full((1, 1), i, np.float32)
        data = encode({name.format("A"): number, name.format("B"): number}, record, embedder="bench")
        sha256 = hashlib.sha256(data).hexdigest()
        path = folder / "values" / sha256[:2] / f"{sha256}.safetensors"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        counters = {"id": i + 1, "uses": 0, "last_used": 0.0, "turn": 0, "sha256": sha256, "bytes": len(data)}
        rows.append(as_row(record, **counters))
    database.build(folder, rows, [], [], 0)
    (folder / database.REBUILT).replace(folder / database.NAME)


def opening(folder: Path, entries: int, runs: int) -> dict[str, Any]:
    """Open a memory and build its exact index, first question included."""
    from ttom.memory.index import VectorIndex

    fill(folder, entries)
    parts: dict[str, list[float]] = {"store": [], "embeddings": [], "index": []}
    for _ in range(runs):
        marks = [time.perf_counter()]
        store = Store(folder)
        marks.append(time.perf_counter())
        keys = store.keys()
        marks.append(time.perf_counter())
        index = VectorIndex(DIMENSION)
        index.add(keys.ids, keys.vectors)
        index.search(keys.vectors[:1], 5)
        marks.append(time.perf_counter())
        store.close()
        for name, start, end in zip(parts, marks, marks[1:], strict=False):
            parts[name].append(end - start)
    total = [sum(run) for run in zip(*parts.values(), strict=True)]
    started = time.perf_counter()
    (folder / "entries.sqlite").read_bytes()
    for sub in os.scandir(folder / "values"):
        list(os.scandir(sub))
    floor = time.perf_counter() - started
    seconds = spread(total)
    return {
        "entries": entries,
        "open_seconds": seconds | {"floor": round(floor, 6), "ratio": round(seconds["median"] / floor, 2)},
        "parts": {name: spread(values) for name, values in parts.items()},
        "row_bytes": round((folder / "entries.sqlite").stat().st_size / entries),
        "met": seconds["median"] <= TARGETS["open_seconds"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--bytes", type=int, default=9_000_000, help="of one value")
    parser.add_argument("--entries", type=int, default=100_000, help="of the memory that is opened")
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--folder", type=Path, default=None, help="on the disk to measure; the system's temporary one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        result: dict[str, Any] = {"item": item(Path(scratch) / "item", options.bytes, options.runs)}
        result["opening"] = opening(Path(scratch) / "many", options.entries, 3)
    from ttom.provenance import environment

    arguments = {key: str(value) for key, value in vars(options).items()}
    result |= {"targets": TARGETS, "load_before": os.getloadavg()[0]}
    result["provenance"] = environment("cpu") | {"arguments": arguments}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({name: result[name] for name in ("item", "opening")}, indent=1))


if __name__ == "__main__":
    main()
