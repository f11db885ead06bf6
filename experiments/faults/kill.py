"""Processes killed with SIGKILL at random moments: up to five writers of one memory at a time, upgrades, rebuilds."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.faults import old, small
from experiments.faults.writer import write
from ttom.memory.maintenance import verify
from ttom.memory.rebuild import rebuild
from ttom.memory.store import Store
from ttom.memory.value_format import has_record

SHARED = 3
"""Entries that every process updates."""


@dataclass
class Log:
    """What the writers acknowledged, and what they were doing when they were killed.

    Attributes:
        offered: {id: numbers}, one of which the entry must have. Several if a replacement was interrupted, or if
            several processes replaced it.
        shared: Ids of the entries that several processes replace.
        deleting: Ids of which a deletion was interrupted.
        deleted: Ids of which a deletion was acknowledged.
        acknowledged: Number of acknowledged operations.
        interrupted: {kind of operation: how many had begun and were not acknowledged}.
        errors: What processes failed of.
    """

    offered: dict[int, set[int]] = field(default_factory=dict)
    shared: set[int] = field(default_factory=set)
    deleting: set[int] = field(default_factory=set)
    deleted: set[int] = field(default_factory=set)
    acknowledged: int = 0
    interrupted: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, logs: Path, shared: dict[int, int]) -> Log:
        """Read the logs of all processes, which replaced these shared entries."""
        log = cls(offered={id_: {number} for id_, number in shared.items()}, shared=set(shared))
        for path in sorted(logs.iterdir()):
            log.read(path)
        return log

    def read(self, path: Path) -> None:
        """Add one process's log."""
        begun: list[str] = []
        for words in map(str.split, path.read_text().splitlines()):
            if words[0] == "error":
                self.errors.append(" ".join(words[1:]))
            elif words[0] == "start":
                begun = words[1:]
                if begun[0] == "replace":
                    self.offered.setdefault(int(begun[1]), set()).add(int(begun[2]))
                elif begun[0] == "delete":
                    self.deleting.add(int(begun[1]))
            else:
                begun, id_ = [], int(words[1])
                self.acknowledged += 1
                if words[0] == "delete":
                    self.deleting.discard(id_)
                    self.deleted.add(id_)
                elif id_ not in self.shared:
                    self.offered[id_] = {int(words[2])}
        if begun:
            self.interrupted[begun[0]] += 1

    def check(self, store: Store) -> dict[str, int]:
        """Hold a memory to the logs; returns counts that must be zero."""
        found = {entry.id: entry for entry in store.entries()}
        expected = self.offered.keys() - self.deleted
        wrong = 0
        for id_, entry in found.items():  # of an interrupted insertion nobody was told the id
            numbers = self.offered.get(id_, {small.number_of(entry)})
            wrong += not any(small.is_whole(store, entry, number) for number in numbers)
        listing, needed = store.values.look_through(), store.needed_values()
        return {
            "lost": len(expected - self.deleting - found.keys()),
            "wrong": wrong,
            "came_back": len(self.deleted & found.keys()),
            "orphans": len(listing.values - needed),
            "rows_without_value": len(needed - listing.values),
            "unfinished_files": len(listing.parts),
            "quarantined": len(store.quarantined()),
        }


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
            time.sleep(rng.uniform(0.02, 0.6) / count)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        killed, rounds = killed + count, rounds + 1
        by_processes[count] = by_processes.get(count, 0) + count
    log = Log.of(logs, shared)
    return {
        "kills": killed,
        "kills_by_writers_at_a_time": by_processes,
        "acknowledged": log.acknowledged,
        "interrupted": dict(log.interrupted),
        "errors": log.errors,
        **_check(memory, log),
        "upgrades": _killed(folder / "upgrade", lambda memory: Store(memory).close(), kills // 8, rng),
        "rebuilds": _killed(folder / "rebuild", rebuild, kills // 8, rng),
    }


def _check(memory: Path, log: Log) -> dict[str, Any]:
    """Hold the memory to the logs; then once more, its database rebuilt from the values alone."""
    with Store(memory) as store:  # completes what the killed writers left unfinished
        counts = log.check(store)
        values = store.needed_values()
    for path in memory.glob("entries.sqlite*"):
        path.unlink()
    rebuild(memory)
    with Store(memory) as store:
        again = store.needed_values()
    shutil.rmtree(memory)
    return counts | {"lost_by_rebuilding_without_a_database": len(values - again), "entries": len(values)}


def _killed(folder: Path, act: Callable[[Path], object], times: int, rng: random.Random) -> dict[str, int]:
    """Kill a process that upgrades or rebuilds a memory of version 1; the next one must complete that."""
    template = old.unpack(folder)
    wanted, counts = old.entries(template), Counter(times=times, interrupted=0, lost=0, wrong=0)
    for number in range(times):
        memory = folder / str(number)
        shutil.copytree(template, memory)
        child = os.fork()
        if child == 0:
            try:
                act(memory)
                os._exit(0)
            finally:
                os._exit(1)
        time.sleep(rng.uniform(0, 0.4))
        os.kill(child, signal.SIGKILL)
        counts["interrupted"] += os.waitpid(child, 0)[1] != 0
        act(memory)
        with Store(memory) as store:
            done = [has_record(store.values.header(entry.sha256)) for entry in store.entries()]
        there = old.entries(memory)
        counts["lost"] += len(wanted.keys() - there.keys())
        counts["wrong"] += there != wanted or not all(done) or not verify(memory).clean
        shutil.rmtree(memory)
    return dict(counts)


def _fork(memory: Path, log: Path, seed: int) -> int:
    child = os.fork()
    if child == 0:
        try:
            write(memory, log, seed)
        finally:
            os._exit(1)
    return child
