"""Memories of people who mean harm: what is merged, opened or pulled from them, and what it does to ours."""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
import sqlite3
import struct
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from experiments.faults import small
from experiments.faults.small import A, B
from ttom.errors import UserError
from ttom.memory.entries import Record
from ttom.memory.maintenance import verify
from ttom.memory.merging import merge
from ttom.memory.store import Store
from ttom.memory.value_format import encode

SLOW_SECONDS = 20.0
THEIRS, OURS = range(0, 12, 3), range(300, 309, 3)
"""Numbers of the entries; of one width, as those of one model are."""

ROWS = [
    "embedding = x'00000000'",
    "embedding = zeroblob(32)",
    "embedding = x'0000c07f' || zeroblob(28)",
    f"embedding = x'{np.full(8, np.nan, np.float32).tobytes().hex()}'",
    f"embedding = x'{np.full(8, 1e6, np.float32).tobytes().hex()}'",
    "embedding = 'text'",
    "sha256 = '../../../victim'",
    "sha256 = '/etc/passwd'",
    "sha256 = 7",
    "layout = '{'",
    f"layout = '{'[' * 5000}'",
    "layout = '{\"a\": \"' || hex(zeroblob(1000000)) || '\"}'",
    "prompt = hex(zeroblob(100000))",
    "prompt = hex(zeroblob(40000000))",
    "prompt = x'ff00ff'",
    "key = 'x' || char(0)",
    "namespace = ' '",
    "uses = -1",
    "uses = 'many'",
    "uses = 9223372036854775807",
    "created = 'yesterday'",
    "loss_before = 9e999",
    "bytes = 5",
    "origin = ''",
    "signature = 'anything'",
    "signature = replace(signature, '\"rank\": 2', '\"rank\": 3')",
]
"""Changes of one row."""

SCHEMAS = [
    "CREATE TRIGGER t AFTER DELETE ON entries BEGIN DELETE FROM entries; END",
    "CREATE TRIGGER t AFTER INSERT ON entries BEGIN UPDATE entries SET prompt = hex(zeroblob(1000000)); END",
    "CREATE TRIGGER t AFTER UPDATE ON entries BEGIN DELETE FROM entries; END",
    "CREATE VIEW v AS SELECT 1",
    "CREATE TABLE extra (x)",
    "CREATE INDEX i ON entries (upper(prompt))",
    "ALTER TABLE entries ADD COLUMN extra DEFAULT 1",
    "ALTER TABLE entries ADD COLUMN extra AS (upper(prompt))",
    "PRAGMA user_version = 77",
    "DROP TABLE quarantined",
    "ALTER TABLE entries RENAME TO e2; CREATE VIEW entries AS SELECT * FROM e2, e2 AS b",
]
"""Changes of the whole database."""


def _value(folder: Path, tensors: dict[str, np.ndarray], **changes: Any) -> bytes:
    """The first entry's value with other tensors or another record."""
    with Store(folder, read_only=True) as store:
        entry = next(store.entries([1]))
        fields = {name: getattr(entry, name) for name in Record.model_fields}
        return encode(tensors, Record(**(fields | changes)), embedder=store.embedder)


VALUES: dict[str, Callable[[Path, dict[str, np.ndarray]], bytes]] = {
    "pickle": lambda folder, good: pickle.dumps({"a": 1}),
    "random bytes": lambda folder, good: bytes(range(256)) * 30,
    "empty": lambda folder, good: b"",
    "endless header": lambda folder, good: (2**62).to_bytes(8, "little") + b"{" * 100,
    "deep header": lambda folder, good: (100_000).to_bytes(8, "little") + b"[" * 100_000,
    "NaN": lambda folder, good: _value(folder, {**good, A: good[A] * np.nan}),
    "infinite": lambda folder, good: _value(folder, {**good, B: np.full_like(good[B], np.inf)}),
    "other shapes": lambda folder, good: _value(folder, {**good, A: np.ones((2, 7), np.float32)}),
    "other rank": lambda folder, good: _value(folder, {n: np.ones((3, 3), np.float32) for n in good}),
    "one half": lambda folder, good: _value(folder, {A: good[A]}),
    "other layer": lambda folder, good: _value(folder, {n.replace("blocks.0", "blocks.7"): t for n, t in good.items()}),
    "integers": lambda folder, good: _value(folder, {n: t.astype(np.int32) for n, t in good.items()}),
    "another prompt": lambda folder, good: _value(folder, good, prompt="another"),
    "another signature": lambda folder, good: _value(folder, good, signature=replace(_signature(folder), alpha=9.0)),
}
"""{kind: bytes of a value}, given the memory and good tensors."""

FILES = {
    "FIFO": lambda path: os.mkfifo(path),
    "link to /dev/zero": lambda path: path.symlink_to("/dev/zero"),
    "link to another file": lambda path: path.symlink_to("/etc/hostname"),
    "folder": lambda path: path.mkdir(),
}
"""What may lie in a file's place."""


def _signature(folder: Path) -> Any:
    with Store(folder, read_only=True) as store:
        return store.signatures()[0]


def change_row(folder: Path, change: str) -> None:
    execute(folder, f"UPDATE entries SET {change} WHERE id = 1")


def execute(folder: Path, statements: str) -> None:
    db = sqlite3.connect(folder / "entries.sqlite")
    db.executescript(statements)
    db.close()


def give_value(folder: Path, data: bytes) -> None:
    """Give the first entry a value of these bytes, its row changed to fit."""
    sha256 = hashlib.sha256(data).hexdigest()
    path = folder / "values" / sha256[:2] / f"{sha256}.safetensors"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    change_row(folder, f"sha256 = '{sha256}', bytes = {len(data)}")


def _give_made(folder: Path, make: Callable[[Path, dict[str, np.ndarray]], bytes]) -> None:
    give_value(folder, make(folder, small.tensors(0)))


def run(folder: Path) -> dict[str, Any]:
    """Merge every poisoned memory into ours, and open it for writing; returns counts."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "victim.safetensors").write_text("mine")
    template, ours = folder / "template", folder / "ours"
    for place, numbers in ((template, THEIRS), (ours, OURS)):
        with small.create(place) as store:
            for number in numbers:
                small.insert(store, number)
    poisons: dict[str, Callable[[Path], None]] = {}
    poisons |= {f"row: {change[:60]}": partial(change_row, change=change) for change in ROWS}
    poisons |= {f"schema: {text[:60]}": partial(execute, statements=text) for text in SCHEMAS}
    poisons |= {f"value: {kind}": partial(_give_made, make=make) for kind, make in VALUES.items()}
    for name in ("memory.json", "entries.sqlite", "entries.sqlite-journal", "entries.sqlite-wal", "value"):
        poisons |= {f"file: {kind} as {name}": partial(_put, name=name, put=put) for kind, put in FILES.items()}
    poisons["journal: names a foreign file"] = partial(_give_journal, victim=folder / "victim.safetensors")
    counts = dict.fromkeys(("left out", "refused", "taken", "harm to ours", "harm outside", "slow", "crashes"), 0)
    details = {}
    for name, poison in poisons.items():
        details[name] = _one(folder, template, ours, poison)
        for word in details[name]:
            counts[word] += 1
    remarkable = {n: d for n, d in details.items() if not d <= {"left out", "refused"}}
    return {
        "poisons": len(poisons),
        **counts,
        "remarkable": {name: sorted(found) for name, found in remarkable.items()},
    }


def _one(folder: Path, template: Path, ours: Path, poison: Callable[[Path], None]) -> set[str]:
    foreign, target = folder / "foreign", folder / "target"
    shutil.copytree(template, foreign)
    shutil.copytree(ours, target)
    poison(foreign)
    found = set()
    started = time.monotonic()
    try:
        done = merge([foreign], target)
        found.add("left out" if (done.copied, len(done.damaged)) == (len(THEIRS) - 1, 1) else "taken")
    except UserError:
        found.add("refused")
    except Exception as error:
        found.add("crashes")
        print(f"{type(error).__name__}: {error}")
    there = small.intact(target)
    if not set(OURS) <= there or verify(target).quarantined or len(there) != _count(target):
        found.add("harm to ours")
    if sum(path.stat().st_size for path in target.rglob("entries.sqlite*")) > 2_000_000:
        found.add("harm to ours")
    try:  # as one's own, too: all its entries must still be there, or it must be refused
        with Store(foreign) as store:
            small.insert(store, 600)
            store.delete(store.ids()[-1:])
            if len(store) < len(THEIRS):
                found.add("harm to ours")
    except UserError:
        pass
    except Exception as error:
        found.add("crashes")
        print(f"{type(error).__name__}: {error}")
    victim = folder / "victim.safetensors"
    if not victim.exists() or victim.read_text() != "mine":
        found.add("harm outside")
        victim.write_text("mine")
    if time.monotonic() - started > SLOW_SECONDS:
        found.add("slow")
    shutil.rmtree(foreign)
    shutil.rmtree(target)
    return found


def _count(memory: Path) -> int:
    with Store(memory, read_only=True) as store:
        return len(store)


def _put(memory: Path, name: str, put: Callable[[Path], None]) -> None:
    path = memory / name
    if name == "value":
        with Store(memory, read_only=True) as store:
            path = store.values.path(next(store.entries([1])).sha256)
    path.unlink(missing_ok=True)
    put(path)


def _give_journal(memory: Path, victim: Path) -> None:
    """Leave a journal that SQLite applies, and that names a file as its super-journal, which SQLite then deletes."""
    journal = small.leave_journal(memory, "uses = uses + 1, layout = hex(zeroblob(10000))")
    name, magic = os.fsencode(victim.absolute()), bytes.fromhex("d9d505f920a163d7")
    with open(journal, "ab") as file:
        file.write(struct.pack(">I", 2**30 // 4096 + 1) + name + struct.pack(">II", len(name), sum(name)) + magic)
