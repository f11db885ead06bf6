"""All faults against the memory, each counted: python -m experiments.faults [--out RESULT.json] [--scale 1.0]

Five parts: writers killed at random moments, files damaged, disks filled, memories poisoned, processes racing. A run
passes if nothing acknowledged was lost, nothing wrong was read as right, nothing foreign was touched, and no error was
unclear; the exit code says so. On one core it takes some minutes.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiments.faults import corrupt, fill, kill, poison, race
from ttom.files import write_json
from ttom.provenance import environment

PARTS = ("kill", "corrupt", "fill", "poison", "race")
BAD = {
    "lost", "wrong", "came_back", "orphans", "rows_without_value", "unfinished_files", "quarantined", "errors",
    "unclear", "taken", "crashes",
    "harm to ours", "harm outside", "slow", "failed_processes", "failed_reads",
    "lost_by_rebuilding_without_a_database",
}  # fmt: skip
"""Counts that must be zero, but for damaged values that are rightly quarantined."""


def run(part: str, folder: Path, scale: float) -> dict[str, Any]:
    """One part, with counts scaled down for a quick look."""
    if part == "kill":
        return kill.run(folder, max(5, round(400 * scale)))
    if part == "corrupt":
        return corrupt.run(folder, max(2, round(120 * scale)))
    if part == "fill":
        return fill.run(folder, max(2, round(24 * scale)))
    if part == "poison":
        return poison.run(folder)
    return race.run(folder, max(10, round(150 * scale)))


def failures(part: str, result: Any, path: str = "") -> Iterator[str]:
    """Names of the counts that should be zero and are not."""
    if not isinstance(result, dict):
        return
    for name, value in result.items():
        if isinstance(value, dict):
            yield from failures(part, value, f"{path}{name}: ")
        elif name in BAD and value and not (part == "corrupt" and name == "quarantined"):
            yield f"{part}: {path}{name} is {value}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "faults.json")
    parser.add_argument("--scale", type=float, default=1.0, help="of the counts; 1.0 are those that docs quote")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--folder", type=Path, default=None, help="on the disk to test; the system's temporary one")
    options = parser.parse_args()
    result: dict[str, Any] = {"sqlite": sqlite3.sqlite_version, "seconds": {}}
    bad: list[str] = []
    for part in options.parts:
        started = time.perf_counter()
        with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
            result[part] = run(part, Path(scratch) / part, options.scale)
        result["seconds"][part] = round(time.perf_counter() - started, 1)
        bad += failures(part, result[part])
        print(f"{part}: {json.dumps(result[part])}", flush=True)
    arguments = {key: str(value) for key, value in vars(options).items()}
    result |= {"failures": bad, "provenance": environment("cpu") | {"arguments": arguments}}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(options.out, result, indent=1)
    print("\n".join(bad) or "nothing was lost, wrong or harmed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
