"""The table of docs/memory.md, from a result: python -m experiments.faults.table [RESULT.json]"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

RESULT = Path(__file__).parent / "results" / "faults.json"
Row = tuple[str, str, str]
"""Cells of the table."""


def table(result: dict[str, Any]) -> str:
    """A row for each attack: how often it was made, and what it cost."""
    values = [counts for kind, counts in result["corrupt"].items() if kind.startswith("value: ")]
    others = [counts for kind, counts in result["corrupt"].items() if not kind.startswith("value: ")]
    rows = [
        ("Attack", "Count", "Lost or wrong"),
        ("---", "---", "---"),
        *_killed(result["kill"]),
        (
            "Bits flipped, ends cut off, files deleted: database, journal, log of version 1, `memory.json`",
            f"{_sum(others, 'times')} times",
            f"{_sum(others, 'lost')} values lost, {_sum(others, 'wrong')} entries wrong without an error",
        ),
        (
            "The same for value files",
            f"{_sum(values, 'times')} times",
            f"{_sum(values, 'quarantined')} found and quarantined, {_sum(values, 'lost')} other entries lost, "
            f"{_sum(values, 'wrong')} wrong",
        ),
        _filled(result["fill"]),
        *_attacked(result["poison"], result["race"]),
    ]
    flips, gone = result["corrupt"]["database: one bit flipped"], _sum(others, "entries gone with the log")
    found, stopped = flips.get("found by verify", 0), flips.get("writers stopped", 0)
    lines = [
        *("| " + " | ".join(row) + " |" for row in rows),
        "",
        f"Of {flips['times']} single bits flipped in the database, {found} were found, all by `verify`; {stopped} of "
        "them stopped the next writer. The others changed nothing that an entry consists of, except use counters. "
        f"Where the log of version 1 was damaged, {gone} entries existed only in it; writers were stopped, and "
        "`rebuild` kept their values in `quarantine/`.",
        "",
        f"SQLite was {result['sqlite']}. Power failures were not tried: there the promise rests on fsync.",
    ]
    return "\n".join(lines)


def _killed(kill: dict[str, Any]) -> list[Row]:
    names = {"insert": "insertions", "replace": "replacements", "delete": "deletions"}
    begun = ", ".join(f"{kill['interrupted'].get(kind, 0)} {name}" for kind, name in names.items())
    upgrades, rebuilds = kill["upgrades"], kill["rebuilds"]
    return [
        (
            "Writers killed with SIGKILL at random moments, one to five at a time on the same memory",
            f"{kill['kills']} kills, {kill['acknowledged']:,} acknowledged operations; {begun} interrupted",
            f"{kill['lost'] + kill['wrong'] + kill['came_back']}; rebuilding the {kill['entries']:,} entries from "
            f"their values alone lost {kill['lost_by_rebuilding_without_a_database']}",
        ),
        (
            "Upgrades of version 1 and rebuilds killed at random moments, then done again",
            f"{upgrades['times']} and {rebuilds['times']}, {upgrades['interrupted']} and {rebuilds['interrupted']} of "
            "them before they had finished",
            str(_sum([upgrades, rebuilds], "lost") + _sum([upgrades, rebuilds], "wrong")),
        ),
    ]


def _filled(fill: dict[str, Any]) -> Row:
    trials = [counts for counts in fill.values() if isinstance(counts, dict)]
    errors = _sum(trials, "messages") + _sum(trials, "unclear")
    return (
        "Full disks: file systems of several sizes, and system calls that fail at every stage of a write",
        f"{_sum(trials, 'times')} disks, {_sum(trials, 'full')} of which were full at some point",
        f"{_sum(trials, 'lost') + _sum(trials, 'wrong')}; of {errors} errors {_sum(trials, 'messages')} said "
        '"disk full"',
    )


def _attacked(poison: dict[str, Any], race: dict[str, Any]) -> list[Row]:
    return [
        (
            "Poisoned memories, merged and opened: rows, values, schemas, journals, things that are not files",
            f"{poison['poisons']} kinds",
            f"{poison['taken']} taken, {poison['crashes']} crashes, {poison['harm to ours'] + poison['harm outside']} "
            f"effects on anything else: {poison['left out']} left out as single entries, {poison['refused']} refused",
        ),
        (
            "Writers racing, in PID namespaces of their own where possible, with readers",
            f"{race['processes']} processes, {race['acknowledged']} operations, {race['reads']} reads",
            f"{race['lost'] + race['wrong']} lost, {race['failed_reads']} failed reads, {race['orphans']} orphans",
        ),
    ]


def _sum(counts: list[dict[str, Any]], name: str) -> int:
    return sum(count.get(name, 0) for count in counts)


if __name__ == "__main__":
    print(table(json.loads(Path(sys.argv[1] if len(sys.argv) > 1 else RESULT).read_text())))
