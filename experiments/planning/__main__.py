"""How often the rules planner lays out what a T2V-CompBench V2 prompt asks for, by the benchmark's own metadata.

    python -m experiments.planning --metadata DIR [--lines odd|even|all] [--out FILE]

DIR holds motion_binding.json, spatial_relationships.json and generative_numeracy.json (not part of this repository).
The planner was tuned on the odd lines (1, 3, 5 ... of each file); the even lines are the ones to quote.

A prompt counts as right when

- motion: each object of the metadata has a layout object whose box centre moves in the metadata's direction from time
  0 to 1: the net displacement on that axis has the right sign, is at least 0.1 of the picture and larger than on the
  other axis;
- 2D relations (left, right, above, on, below, under; the benchmark's rule): on the dominant axis of the difference of
  the two groups' mean box centres, in normalised coordinates at time 0.5, object_1 lies on the said side of object_2;
- counts: for each object, exactly as many layout objects match as the metadata says.

A prompt that the planner refuses is wrong. "in front of" and "behind" have no 2D rule; it is only counted how many were
planned with both objects.

A layout object matches a metadata name if, last words put in the singular, the name is the end of the object's phrase
("balloon" of "red balloon") or of its noun, or the phrase is the end of the name ("airplane" for "paper airplane").
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ttom.errors import UserError
from ttom.layout.model import Layout, LayoutObject
from ttom.layout.rules import plan
from ttom.layout.words import singular

Item = dict[str, str]
MIN_DISPLACEMENT = 0.1
DEPTH = ("in front of", "behind")
AXES = {"left": (-1, 0), "right": (1, 0), "above": (0, -1), "on": (0, -1), "below": (0, 1), "under": (0, 1)}
MOTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
RESULT = Path(__file__).with_name("results") / "rules.json"


def matches(name: str, item: LayoutObject) -> bool:
    """The matching rule of the module docstring."""
    wanted, phrase, noun = (singular(text).split() for text in (name, item.phrase, item.noun))
    return phrase[-len(wanted) :] == wanted or noun[-len(wanted) :] == wanted or wanted[-len(phrase) :] == phrase


def _matching(layout: Layout, name: str) -> list[LayoutObject]:
    return [item for item in layout.objects if matches(name, item)]


def _points(difference: tuple[float, float], axis: tuple[int, int]) -> bool:
    """Whether the difference points along the signed axis, and more along it than across."""
    along = difference[0] * axis[0] + difference[1] * axis[1]
    across = abs(difference[0] * axis[1]) + abs(difference[1] * axis[0])
    return along > across


def _center(items: list[LayoutObject], time: float) -> tuple[float, float]:
    boxes = [box for box in (item.box_at(time) for item in items) if box is not None]
    return sum(box.center[0] for box in boxes) / len(boxes), sum(box.center[1] for box in boxes) / len(boxes)


def motion_is_right(layout: Layout, item: Item) -> bool:
    for number in ("1", "2"):
        name, direction = item[f"object_{number}"].strip(), item[f"d_{number}"].strip()
        if not name:
            continue
        moved = False
        for found in _matching(layout, name):
            start, end = _center([found], 0.0), _center([found], 1.0)
            shift = (end[0] - start[0], end[1] - start[1])
            moved |= _points(shift, MOTIONS[direction]) and max(map(abs, shift)) >= MIN_DISPLACEMENT
        if not moved:
            return False
    return True


def relation_is_right(layout: Layout, item: Item) -> bool:
    first, second = _matching(layout, item["object_1"]), _matching(layout, item["object_2"])
    if not first or not second:
        return False
    if item["spatial"] in DEPTH:
        return True
    a, b = _center(first, 0.5), _center(second, 0.5)
    return _points((a[0] - b[0], a[1] - b[1]), AXES[item["spatial"]])


def count_is_right(layout: Layout, item: Item) -> bool:
    names, numbers = item["objects"].split(","), item["numbers"].split(",")
    return all(len(_matching(layout, n.strip())) == int(c) for n, c in zip(names, numbers, strict=True))


CATEGORIES: dict[str, tuple[str, Callable[[Layout, Item], bool], Callable[[Item], bool]]] = {
    "motion": ("motion_binding", motion_is_right, lambda item: True),
    "spatial_2d": ("spatial_relationships", relation_is_right, lambda item: item["spatial"] not in DEPTH),
    "numeracy": ("generative_numeracy", count_is_right, lambda item: True),
    "depth_planned": ("spatial_relationships", relation_is_right, lambda item: item["spatial"] in DEPTH),
}
QUOTED = ("motion", "spatial_2d", "numeracy")


def wilson(right: int, total: int, z: float = 1.959964) -> list[float]:
    """95% Wilson score interval of a share."""
    if total == 0:
        return [0.0, 1.0]
    share = right / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    return [round(max(0.0, middle - half), 4), round(min(1.0, middle + half), 4)]


def judge(item: Item, is_right: Callable[[Layout, Item], bool], aspect: float, seed: int) -> str:
    """ "right", "wrong" or "refused"."""
    try:
        layout = plan(item["prompt"], aspect=aspect, seed=seed)
    except UserError:
        return "refused"
    return "right" if is_right(layout, item) else "wrong"


def measure(metadata: Path, lines: str, aspect: float, seed: int, *, show: bool) -> dict[str, Any]:
    """Counts and shares per category and over the three quoted categories, for the odd or the even lines."""
    table: dict[str, Any] = {}
    for category, (file, is_right, selected) in CATEGORIES.items():
        items = json.loads((metadata / f"{file}.json").read_text(encoding="utf-8"))
        verdicts = []
        for number, item in enumerate(items, start=1):
            if (number % 2 == 1) != (lines == "odd") or not selected(item):
                continue
            verdicts.append(judge(item, is_right, aspect, seed))
            if show and verdicts[-1] != "right":
                print(f"{category} line {number} {verdicts[-1]}: {item}")
        table[category] = _row(verdicts.count("right"), verdicts.count("refused"), len(verdicts))
    table["all_quoted"] = _row(*(sum(table[name][key] for name in QUOTED) for key in ("right", "refused", "total")))
    return table


def _row(right: int, refused: int, total: int) -> dict[str, Any]:
    share = round(right / total, 4) if total else None
    return {"right": right, "refused": refused, "total": total, "share": share, "wilson95": wilson(right, total)}


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.planning", description=__doc__.split("\n")[0])
    parser.add_argument("--metadata", type=Path, required=True, help="folder with the T2V-CompBench V2 metadata")
    parser.add_argument("--lines", choices=("odd", "even", "all"), default="all", help="all = odd and even, apart")
    parser.add_argument("--aspect", type=float, default=1.5, help="picture width / height")
    parser.add_argument("--seed", type=int, default=0, help="seed of the planner")
    parser.add_argument("--out", type=Path, default=RESULT, help="result file")
    parser.add_argument("--show-odd-failures", action="store_true", help="print failures of the tuning lines")
    arguments = parser.parse_args()
    halves = ("odd", "even") if arguments.lines == "all" else (arguments.lines,)
    try:
        tables = {
            half: measure(
                arguments.metadata,
                half,
                arguments.aspect,
                arguments.seed,
                show=arguments.show_odd_failures and half == "odd",
            )
            for half in halves
        }
    except FileNotFoundError as error:
        sys.exit(f"{error.filename} does not exist; pass the folder of the T2V-CompBench V2 metadata with --metadata")
    dirty = _git("status", "--porcelain", "--", ":/ttom/layout", ":/experiments/planning/__main__.py")
    result = {
        "what": "share of T2V-CompBench V2 prompts whose rules layout satisfies the metadata; tuned on odd lines",
        "command": f"python -m experiments.planning --metadata DIR --lines {arguments.lines}",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "--verify", "-q", "HEAD"),
        "dirty": None if dirty is None else bool(dirty),
        "aspect": arguments.aspect,
        "seed": arguments.seed,
        "min_displacement": MIN_DISPLACEMENT,
        "lines": tables,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for half, table in tables.items():
        print(f"{half} lines      right  total  refused  share   95% interval")
        for name, row in table.items():
            low, high = row["wilson95"]
            share = "  -  " if row["share"] is None else f"{row['share']:.3f}"
            print(f"  {name:14} {row['right']:5}  {row['total']:5}  {row['refused']:7}  {share}   {low:.3f}-{high:.3f}")
    print(f"written: {arguments.out}")


if __name__ == "__main__":
    main()
