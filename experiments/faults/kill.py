"""Writers killed with SIGKILL at random moments, one to five at a time on the same memory."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.faults import small
from experiments.faults.writer import write
from ttom.memory.rebuild import rebuild
from ttom.memory.store import Store

SHARED = 3
"""Entries that every process updates."""


@dataclass
class Log:
    """What the writers acknowledged: {id: number} of what must be there, and what is uncertain or gone."""

    values: dict[int, int] = field(default_factory=dict)
    uncertain: set[int] = field(default_factory=set)
    deleted: set[int] = field(default_factory=set)
    offered: dict[int, set[int]] = field(default_factory=dict)
    acknowledged: int = 0
    errors: list[str] = field(default_factory=list)

    def read(self, path: Path) -> None:
        """Add one process's log."""
        for words in map(str.split, path.read_text().splitlines() if path.exists() else []):
            if words[0] == "error":
                self.errors.append(" ".join(words[1:]))
            elif words[0] == "start":
                if words[1] != "insert":  # until its end is logged, it may have happened or not
                    self.uncertain.add(int(words[2]))
                if words[1] == "replace":
                    self.offered.setdefault(int(words[2]), set()).add(int(words[3]))
            else:
                self.acknowledged += 1
                id_ = int(words[1])
                self.uncertain.discard(id_)
                if words[0] == "delete":
                    self.values.pop(id_, None)
                    self.deleted.add(id_)
                else:
                    self.values[id_] = int(words[2])


def run(folder: Path, kills: int, seed: int = 0) -> dict[str, Any]:
    """Kill so many writers; returns counts. Nothing may be lost, wrong, or left behind."""
    rng = random.Random(seed)
    memory, logs = folder / "memory", folder / "logs"
    logs.mkdir(parents=True)
    with small.create(memory) as store:
        shared = {small.insert(store, number): number for number in range(SHARED)}
    killed, rounds = 0, 0
    by_processes: dict[int, int] = {}
    while killed < kills:
        count = min(rounds % 5 + 1, kills - killed)
        children = [_fork(memory, logs / f"{rounds}-{i}", 1000 * rounds + i + seed) for i in range(count)]
        for child in children:
            time.sleep(rng.uniform(0.02, 0.4) / count)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        killed, rounds = killed + count, rounds + 1
        by_processes[count] = by_processes.get(count, 0) + count
    log = Log()
    for path in sorted(logs.iterdir()):
        log.read(path)
    return {
        "kills": killed,
        "kills_by_writers_at_a_time": by_processes,
        "acknowledged": log.acknowledged,
        "errors": log.errors,
    } | _check(memory, log, shared)


def _check(memory: Path, log: Log, shared: dict[int, int]) -> dict[str, Any]:
    """Hold the memory to the logs; then once more, its database made anew from the values alone."""
    with Store(memory) as store:  # finishes what the killed ones began
        found = {entry.id: entry for entry in store.entries()}
        certain = {id_: n for id_, n in log.values.items() if id_ not in log.uncertain and id_ not in shared}
        lost = [id_ for id_ in certain if id_ not in found]
        wrong = [id_ for id_, n in certain.items() if id_ in found and not small.is_whole(store, found[id_], n)]
        for id_, number in shared.items():
            offered = {number} | log.offered.get(id_, set())
            if not any(small.is_whole(store, found[id_], n) for n in offered):
                wrong.append(id_)
        listing = store.values.look_through()
        counts = {
            "lost": len(lost),
            "wrong": len(wrong),
            "came_back": len(log.deleted & found.keys()),
            "orphans": len(listing.values - store.needed_values()),
            "rows_without_value": len(store.needed_values() - listing.values),
            "unfinished_files": len(listing.parts),
            "quarantined": len(store.quarantined()),
        }
        values = {entry.sha256 for entry in found.values()}
    for path in memory.glob("entries.sqlite*"):
        path.unlink()
    rebuild(memory)
    with Store(memory) as store:
        again = store.needed_values()
    shutil.rmtree(memory)
    return counts | {"lost_by_rebuilding_without_a_database": len(values - again), "entries": len(values)}


def _fork(memory: Path, log: Path, seed: int) -> int:
    child = os.fork()
    if child == 0:
        try:
            write(memory, log, seed)
        finally:
            os._exit(1)
    return child
