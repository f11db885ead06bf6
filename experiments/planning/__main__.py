"""How well a planner lays out what a T2V-CompBench V2 prompt asks for, by the benchmark's own metadata.

    python -m experiments.planning --metadata DIR [--lines odd|even|all] [--out FILE]
    python -m experiments.planning --metadata DIR --planner llm --model NAME [--base-url URL] [--one-call]
    python -m experiments.planning --planner import --import FILE [--metadata DIR]

DIR holds motion_binding.json, spatial_relationships.json and generative_numeracy.json (not part of this repository).
The rules planner was tuned on the odd lines (1, 3, 5 ... of each file); the even lines are the ones to quote. An LLM
planner is scored without its way back to the rules: a failed plan counts as refused. An imported cache is scored on the
prompts that it has, and on the share of its prompts that import.

When a prompt counts as right is in scoring.py. Of the layouts themselves it is measured (see measures.py) which share
of the boxes left the picture before and after the checks, how much objects overlap, how even their motion is, and what
they took: seconds and dollars (nothing where the plan was in the cache).
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata as packages
from pathlib import Path
from typing import Any

import ttom
from experiments.planning.measures import LayoutMeasures
from experiments.planning.scoring import CATEGORIES, MIN_DISPLACEMENT, QUOTED, judge, wilson
from ttom.config import PlannerConfig
from ttom.errors import UserError
from ttom.layout.drafts import Limits
from ttom.layout.importers import ImportedPrompt, import_file
from ttom.layout.planning import FailedPlan, Outcome, Planned, plan_prompts
from ttom.provenance import git

RESULTS = Path(__file__).with_name("results")
Planner = Callable[[list[str]], list[Outcome | None]]
"""Prompts -> their plans, errors, or None for prompts that an imported cache lacks."""


def measure(metadata: Path, lines: str, planner: Planner, *, show: bool) -> dict[str, Any]:
    """Counts and shares per category and over the three quoted categories, for the odd or the even lines."""
    table: dict[str, Any] = {}
    layouts = LayoutMeasures()
    for category, (file, is_right, selected) in CATEGORIES.items():
        items = json.loads((metadata / f"{file}.json").read_text(encoding="utf-8"))
        numbered = [(number, item) for number, item in enumerate(items, start=1)]
        numbered = [(n, item) for n, item in numbered if (n % 2 == 1) == (lines == "odd") and selected(item)]
        start, verdicts, missing = time.perf_counter(), [], 0
        outcomes = planner([item["prompt"] for _, item in numbered])
        seconds = time.perf_counter() - start
        for (number, item), outcome in zip(numbered, outcomes, strict=True):
            if outcome is None:
                missing += 1
                continue
            verdicts.append(judge(outcome, item, is_right))
            if isinstance(outcome, Planned):
                layouts.add(outcome.layout, outcome.report)
            elif isinstance(outcome, FailedPlan):
                layouts.add_cost(outcome.report)
            if show and verdicts[-1] != "right":
                print(f"{category} line {number} {verdicts[-1]}: {item}")
        table[category] = _row(verdicts.count("right"), verdicts.count("refused"), len(verdicts))
        table[category] |= {"missing": missing} if missing else {}
        layouts.seconds += seconds
    table["all_quoted"] = _row(*(sum(table[name][key] for name in QUOTED) for key in ("right", "refused", "total")))
    return table | {"layouts": layouts.report()}


def _row(right: int, refused: int, total: int) -> dict[str, Any]:
    share = round(right / total, 4) if total else None
    return {"right": right, "refused": refused, "total": total, "share": share, "wilson95": wilson(right, total)}


def _imported(rows: list[ImportedPrompt]) -> Planner:
    """The planner that looks a prompt up in an imported cache."""
    found: dict[str, Outcome] = {}
    for row in rows:
        checked = row.checked
        failed = UserError("; ".join(checked.problems))
        found[row.prompt.strip()] = failed if checked.layout is None else Planned(checked.layout, row.report)
    return lambda prompts: [found.get(prompt.strip()) for prompt in prompts]


def import_report(rows: list[ImportedPrompt], file: str) -> dict[str, Any]:
    """How much of a cache imports, and what its layouts are like."""
    layouts = LayoutMeasures()
    for row in rows:
        if row.checked.layout is not None:
            layouts.add(row.checked.layout, row.report)
    imported = sum(row.checked.layout is not None for row in rows)
    return {
        "file": file,
        "prompts": len(rows),
        "answers": sum(row.answers for row in rows),
        "imported": imported,
        "share": round(imported / len(rows), 4),
        "wilson95": wilson(imported, len(rows)),
        "by_first_answer": sum(row.checked.layout is not None and row.taken == 1 for row in rows),
        "layouts": layouts.report(),
    }


def _parser() -> argparse.ArgumentParser:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="python -m experiments.planning", description=__doc__.split("\n")[0])
    parser.add_argument("--metadata", type=Path, help="folder with the T2V-CompBench V2 metadata")
    parser.add_argument("--planner", choices=("rules", "llm", "import"), default="rules", help="what is scored")
    parser.add_argument("--import", dest="cache", type=Path, help="cache of TTOM's authors or of LVD, for import")
    parser.add_argument("--model", default=PlannerConfig().model, help="language model, for llm")
    parser.add_argument("--base-url", help="its endpoint, for llm; the key comes from OPENAI_API_KEY")
    parser.add_argument("--one-call", action="store_true", help="one request a prompt instead of four, for llm")
    parser.add_argument("--input-price", type=float, help="USD per million tokens sent")
    parser.add_argument("--output-price", type=float, help="USD per million tokens received")
    parser.add_argument("--lines", choices=("odd", "even", "all"), default="all", help="all = odd and even, apart")
    parser.add_argument("--aspect", type=float, default=1.5, help="picture width / height")
    parser.add_argument("--seed", type=int, default=0, help="seed of the rules planner")
    parser.add_argument("--out", type=Path, help="result file; by default results/PLANNER.json")
    parser.add_argument("--show-odd-failures", action="store_true", help="print failures of the tuning lines")
    return parser


def _config(arguments: argparse.Namespace) -> PlannerConfig:
    if arguments.planner != "llm":
        return PlannerConfig(seed=arguments.seed)
    config = PlannerConfig(
        kind="llm",
        model=arguments.model,
        base_url=arguments.base_url,
        strict=True,
        input_price=arguments.input_price,
        output_price=arguments.output_price,
    )
    return replace(config, stages=("one-call",)) if arguments.one_call else config


def main() -> None:
    parser = _parser()
    arguments = parser.parse_args()
    if (arguments.planner == "import") != (arguments.cache is not None):
        parser.error("--import FILE goes with --planner import")
    if arguments.metadata is None and arguments.planner != "import":
        parser.error("--metadata DIR is needed")
    try:
        result = _measured(arguments)
    except UserError as error:
        sys.exit(f"planning: {error}")
    except FileNotFoundError as error:
        sys.exit(f"{error.filename} does not exist; pass the folder of the T2V-CompBench V2 metadata with --metadata")
    out = arguments.out or RESULTS / f"{arguments.planner}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    _print(result)
    print(f"written: {out}")


def _measured(arguments: argparse.Namespace) -> dict[str, Any]:
    config = _config(arguments)
    limits = Limits(config.min_size, config.max_speed)
    result = _provenance(arguments, config)
    if arguments.planner == "import":
        rows = import_file(arguments.cache, limits)
        planner = _imported(rows)
        result["import"] = import_report(rows, arguments.cache.name)
    else:

        def planner(prompts: list[str]) -> list[Outcome | None]:
            return [*plan_prompts(prompts, arguments.aspect, config)]

    if arguments.metadata is not None:
        halves = ("odd", "even") if arguments.lines == "all" else (arguments.lines,)
        shown = "odd" if arguments.show_odd_failures else None
        result["lines"] = {half: measure(arguments.metadata, half, planner, show=half == shown) for half in halves}
    return result


def _provenance(arguments: argparse.Namespace, config: PlannerConfig) -> dict[str, Any]:
    """What, how, when and with which code; no paths of this machine."""
    command = ["python -m experiments.planning"]
    command += ["--metadata DIR", f"--lines {arguments.lines}"] if arguments.metadata is not None else []
    command += [f"--planner {arguments.planner}"] if arguments.planner != "rules" else []
    command += [f"--import {arguments.cache.name}"] if arguments.cache is not None else []
    command += [f"--model {arguments.model}"] if arguments.planner == "llm" else []
    command += ["--one-call"] if arguments.one_call else []
    here = Path(__file__).parent
    dirty = git(here, "status", "--porcelain", "--", ":/ttom/layout", ":/experiments/planning/*.py")
    what = "share of T2V-CompBench V2 prompts whose layout satisfies the metadata; rules were tuned on odd lines"
    if arguments.planner == "import":
        what = "share of a cache's prompts that import, and of T2V-CompBench V2 prompts in it whose layout satisfies it"
    return {
        "what": what,
        "command": " ".join(command),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": git(here, "rev-parse", "--verify", "-q", "HEAD"),
        "dirty": None if dirty is None else bool(dirty),
        "versions": {
            "python": platform.python_version(),
            "ttom": ttom.__version__,
            "pydantic": packages.version("pydantic"),
        },
        "planner": arguments.planner,
        "model": config.model if arguments.planner == "llm" else None,
        "stages": list(config.stages) if arguments.planner == "llm" else None,
        "aspect": arguments.aspect,
        "seed": arguments.seed,
        "min_displacement": MIN_DISPLACEMENT,
    }


def _print(result: dict[str, Any]) -> None:
    if "import" in result:
        row = result["import"]
        low, high = row["wilson95"]
        print(f"imported {row['imported']} of {row['prompts']} prompts = {row['share']:.3f}   {low:.3f}-{high:.3f}")
        print(f"  {json.dumps(row['layouts'])}")
    for half, table in result.get("lines", {}).items():
        print(f"{half} lines      right  total  refused  share   95% interval")
        for name in (*CATEGORIES, "all_quoted"):
            row = table[name]
            low, high = row["wilson95"]
            share = "  -  " if row["share"] is None else f"{row['share']:.3f}"
            print(f"  {name:14} {row['right']:5}  {row['total']:5}  {row['refused']:7}  {share}   {low:.3f}-{high:.3f}")
        print(f"  {json.dumps(table['layouts'])}")


if __name__ == "__main__":
    main()
