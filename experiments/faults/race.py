"""Processes that write, update, prune and read the same memory at once, each in a PID namespace of its own if possible.

In such a namespace, as in containers that share a folder, all writers have the same process id.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from experiments.faults import small
from experiments.faults.kill import Log
from ttom.memory.entries import CorruptValue
from ttom.memory.maintenance import verify
from ttom.memory.store import Store

_UNSHARE = ["unshare", "--pid", "--fork"]


def run(folder: Path, operations: int, processes: int = 4, seed: int = 0) -> dict[str, Any]:
    """So many operations in each of so many processes, while this one reads; returns counts."""
    folder.mkdir(parents=True, exist_ok=True)
    memory, logs = folder / "memory", folder / "logs"
    logs.mkdir()
    with small.create(memory) as store:
        shared = {small.insert(store, number): number for number in range(3)}
    prefix = _UNSHARE if _can_unshare() else []
    script = [sys.executable, "-m", "experiments.faults.writer", str(memory)]
    children = [
        subprocess.Popen([*prefix, *script, str(logs / str(i)), str(seed + i), str(operations)])
        for i in range(processes)
    ]
    reads = _read_meanwhile(memory, children, random.Random(seed))
    failed = sum(child.wait() != 0 for child in children)
    log = Log.of(logs, shared)
    with Store(memory) as store:
        counts = log.check(store)
    result: dict[str, Any] = {
        "processes": processes,
        "pid_namespaces": bool(prefix),
        "acknowledged": log.acknowledged,
        "updates_of_shared_entries": sum(len(log.offered[id_]) - 1 for id_ in shared),
        "failed_processes": failed,
        "errors": log.errors,
        **counts,
        **reads,
    }
    result["quarantined"] += len(verify(memory).quarantined or {})
    shutil.rmtree(memory)
    return result


def _read_meanwhile(memory: Path, children: list[subprocess.Popen], rng: random.Random) -> dict[str, int]:
    """Read random entries, frozen and not, as `Memory` does: a value that is gone is looked up again."""
    counts = {"reads": 0, "reads_again": 0, "failed_reads": 0, "most_files_without_entry": 0}
    with Store(memory, read_only=True) as frozen, Store(memory) as writing:
        while any(child.poll() is None for child in children):
            for store in (frozen, writing):
                id_ = rng.choice(store.ids())
                for attempt in range(5):
                    entry = next(store.entries([id_]), None)
                    if entry is None:  # deleted
                        break
                    try:
                        store.checked(entry, store.values.read(entry.sha256))
                        counts["reads"] += 1
                        break
                    except CorruptValue:
                        counts["reads_again"] += 1
                        if store.read_only:
                            store.refresh()
                        if attempt == 4:
                            counts["failed_reads"] += 1
            extra = len(writing.values.look_through().values - writing.needed_values())
            counts["most_files_without_entry"] = max(counts["most_files_without_entry"], extra)
            time.sleep(0.01)
    return counts


def _can_unshare() -> bool:
    try:
        return subprocess.run([*_UNSHARE, "true"], capture_output=True).returncode == 0
    except OSError:
        return False
