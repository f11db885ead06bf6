"""Layouts judged by a reader where the benchmark has no rule: the sheet to judge by, and the table of the verdicts.

    python -m experiments.planning.rubric --prompts DIR [--sheet]

DIR holds 1_consistent_attr.txt and the other prompt files of T2V-CompBench V2 (not part of this repository). The rubric
is rubric.md; the verdicts are results/rubric.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from experiments.planning.scoring import wilson
from ttom.errors import UserError
from ttom.layout.model import Layout
from ttom.layout.rules.planner import plan

RESULTS = Path(__file__).with_name("results") / "rubric.json"
FILES = ("1_consistent_attr", "2_dynamic_attr", "5_action_binding", "6_interaction")
LINES = range(4, 201, 14)
VERDICTS = ("right", "incomplete", "wrong", "refused")
_ASPECT = 1.5
Outcome = Layout | UserError


def outcomes(folder: Path) -> dict[tuple[str, int], tuple[str, Outcome]]:
    """(prompt, layout or refusal) of each judged line, by (file, line)."""
    found: dict[tuple[str, int], tuple[str, Outcome]] = {}
    for name in FILES:
        prompts = (folder / f"{name}.txt").read_text(encoding="utf-8").splitlines()
        for line in LINES:
            prompt = prompts[line - 1]
            try:
                found[name, line] = prompt, plan(prompt, aspect=_ASPECT)
            except UserError as error:
                found[name, line] = prompt, error
    return found


def digest(outcome: Outcome) -> str:
    """What a verdict was given for: objects, boxes and what is left out, or the refusal."""
    if isinstance(outcome, UserError):
        text = outcome.problem
    else:
        text = json.dumps(outcome.model_dump(mode="json", include={"objects", "left_out"}), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def described(outcome: Outcome) -> str:
    """A line a group: phrase, number of boxes, and the centers of the first one; then what is left out."""
    if isinstance(outcome, UserError):
        return f"  refused: {outcome.problem}"
    lines = []
    for group in outcome.groups():
        centers = [f"({x:.2f}, {y:.2f})" for x, y in (f.box.center for f in group.objects[0].key_frames)]
        lines.append(f"  {group.phrase} [{group.noun}] x {len(group.objects)}: {' -> '.join(centers)}")
    return "\n".join(lines + [f"  left out: {text}" for text in outcome.left_out])


def table(verdicts: dict[str, dict[str, str]]) -> dict[str, Any]:
    """Counts and shares with 95% Wilson intervals, for each file and for all."""
    counts = {name: Counter(verdict.split()[0] for verdict in lines.values()) for name, lines in verdicts.items()}
    counts["all"] = sum(counts.values(), Counter())
    rows = {}
    for name, count in counts.items():
        total = sum(count.values())
        rows[name] = {
            verdict: {
                "count": count[verdict],
                "share": round(count[verdict] / total, 3),
                "wilson95": wilson(count[verdict], total),
            }
            for verdict in VERDICTS
        } | {"total": total}
    return rows


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="python -m experiments.planning.rubric", description=__doc__.split("\n")[0])
    parser.add_argument("--prompts", type=Path, required=True, help="folder of the benchmark's prompt files")
    parser.add_argument("--sheet", action="store_true", help="print prompts and layouts for judging")
    arguments = parser.parse_args()
    try:
        found = outcomes(arguments.prompts)
    except FileNotFoundError as error:
        sys.exit(f"{error.filename} does not exist; pass the folder of the T2V-CompBench V2 prompts with --prompts")
    if arguments.sheet:
        for (name, line), (prompt, outcome) in found.items():
            print(f"{name} {line} {digest(outcome)} {prompt}\n{described(outcome)}")
        return
    verdicts = json.loads(RESULTS.read_text(encoding="utf-8"))["verdicts"]
    for name, row in table(verdicts).items():
        print(f"{name:20} {row['total']:3}  " + "  ".join(f"{verdict} {row[verdict]['count']}" for verdict in VERDICTS))
    stale = [
        f"{name} {line}"
        for (name, line), (_, outcome) in found.items()
        if verdicts[name][str(line)].split()[1] != digest(outcome)
    ]
    if stale:
        sys.exit(f"these layouts are not the judged ones any more: {', '.join(stale)}")


if __name__ == "__main__":
    main()
