"""Search for settings on the tuning prompts of EmojiWorld-Compose: python -m experiments.emojiworld.search --out DIR

Goes through the stages of `search_space.py`: the bias's strength and end, its shape and blocks, steps and guidance,
guidance by the bias's own difference, optimization, both, and several tries. The first prompts of each kind (--limit)
rank the points; those that nothing beats in both facts and seconds are then measured on more prompts (--finals), beside
the references. Test prompts are never used. Several processes (--processes), spread over the GPUs, make and judge each
stage; what is there is kept, so an interrupted search goes on. DIR/search.json has a row for each point, DIR/pareto.png
plots all facts against seconds. Processes that share a GPU slow each other down: compare seconds within one search.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

from eval import replay, score
from eval.manifest import last_rows
from eval.runs import SCORES, read_scores
from eval.study import Variant
from experiments.emojiworld.search_space import MOVES, STAGES, START, Changes, Point, points
from ttom import checkpoints, files, provenance
from ttom.cli.exits import exit_code
from ttom.errors import UserError
from ttom.statistics import estimate

SUITE = "emojiworld-compose-tune"
JUDGES = ("emojiworld", "blobs")
MEASURES = ("all_facts", "fact_share", "layout_miou", "presence", "trajectory_error", "flicker", "no_extras",
            "picture_distance", "blob_facts", "blobs_agree")  # fmt: skip
STAGES_OF_TIME = ("optimize", "sample", "decode", "check")
FINALS, RESULT = "finals", "search.json"
FINALISTS = 8
"""Most points that are measured on more prompts, beside the references."""
SAME = 0.01
"""All-facts that differ by no more are equal: the faster point is better."""
Row = dict[str, Any]


class Search:
    """A search in a folder.

    Attributes:
        rows: A row for each point that was measured, by label.
        finals: The same on more prompts.
        best: The bias that the search is at.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.out = options, Path(options.out)
        self.rows: dict[str, Row] = {}
        self.finals: dict[str, Row] = {}
        self.best: Changes = dict(START)
        self.blocks = _blocks(options.model)
        if options.stages != list(STAGES):  # some stages alone go on with what the others have found
            self._read()

    def run(self) -> int:
        """All stages, then the finals. Returns the exit code: 1 if some videos or answers are missing."""
        codes = [0]
        for stage in self.options.stages:
            chosen = points(stage, self.best, self.blocks)
            codes.append(self._measure(stage, chosen, self.options.limit, self.rows))
            if stage in MOVES:
                self._move(stage)
            self._write()
        if self.options.finals:
            codes.append(self._measure(FINALS, self._finalists(), self.options.finals, self.finals))
            self._write()
        return max(codes)

    def _measure(self, stage: str, chosen: Sequence[Point], limit: int, rows: dict[str, Row]) -> int:
        """Make, judge and score the points; returns the exit code."""
        print(f"== {stage}: {len(chosen)} points, {limit} prompts of each kind", flush=True)
        variants = [point.variant for point in chosen]
        runs = [str(_folder(self.out, stage) / variant.folder) for variant in variants]
        with files.disk_errors(self.out):
            self.out.mkdir(parents=True, exist_ok=True)
            files.write_json(self.out / f"{stage}.json", [[v.label, v.options] for v in variants], indent=1)
        log, answers = self.out / f"{stage}.log", ["--answers", str(self.out / "answers")]
        shared = ["--", "--model", self.options.model, "--limit", str(limit), *self.options.rest]
        command = [sys.executable, "-m", "experiments.emojiworld.search", "--out", str(self.out), "--make", stage]
        codes = [self._in_processes(command, shared, log)]
        for judge in JUDGES:
            _check(codes, stage, log)
            command = [sys.executable, "-m", "eval.judge", *runs, "--judge", judge, *answers]
            codes.append(self._in_processes(command, ["--device", "cpu", "--quiet"], log))
        codes.append(score.main([*runs, *answers, "--quiet"]))
        _check(codes, stage, log)
        for point, run in zip(chosen, runs, strict=True):
            head = {"stage": stage, "method": point.method, "changes": dict(point.changes)}
            rows[point.label] = head | measured(Path(run))
        return max(codes)

    def _in_processes(self, command: Sequence[str], rest: Sequence[str], log: Path) -> int:
        """Run a command once for each shard, the GPUs in turn; returns the largest exit code."""
        count, gpus = self.options.processes, _gpus()
        running: list[subprocess.Popen[bytes]] = []
        try:
            with open(log, "ab") as out:
                for i in range(count):
                    own = {"CUDA_VISIBLE_DEVICES": str(i % gpus)} if gpus else {}
                    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", **own}
                    parts = [*command, "--shard", f"{i + 1}/{count}", *rest]
                    running.append(subprocess.Popen(parts, stdout=out, stderr=out, env=environment))
            return max(abs(process.wait()) for process in running)
        finally:
            for process in running:
                if process.poll() is None:
                    process.terminate()

    def _move(self, stage: str) -> None:
        """Go on from the best point of the stage, if it beats the one the search is at."""
        here = Point.of("bias", self.best).label
        labels = [label for label, row in self.rows.items() if row["stage"] == stage or label == here]
        better = choose({label: self.rows[label] for label in labels}, self.rows.get("base"))
        if better is not None:
            self.best = dict(self.rows[better]["changes"])
        print(f"best so far: {Point.of('bias', self.best).label}", flush=True)

    def _finalists(self) -> list[Point]:
        front = sorted(pareto(self.rows), key=lambda label: -self.rows[label]["all_facts"]["mean"])[:FINALISTS]
        references = [point.label for point in points("reference", START, self.blocks)]
        labels = dict.fromkeys([*references, Point.of("bias", self.best).label, *front])
        rows = [self.rows[label] for label in labels if label in self.rows]
        return [Point.of(row["method"], row["changes"]) for row in rows]

    def _write(self) -> None:
        found = {
            "suite": SUITE,
            "model": self.options.model,
            "best": self.best,
            "points": _marked(self.rows),
            "finals": _marked(self.finals),
            "provenance": provenance.environment(),
        }
        with files.disk_errors(self.out):
            files.write_json(self.out / RESULT, found, indent=1)
            draw(self.rows, self.out / "pareto.png")
            if self.finals:
                draw(self.finals, self.out / "finals.png")

    def _read(self) -> None:
        path = self.out / RESULT
        if not path.is_file():
            return
        try:
            found = json.loads(path.read_bytes())
            self.rows, self.finals, self.best = (dict(found[name]) for name in ("points", "finals", "best"))
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} is not the result of a search", remedy="search in another folder") from error
        for row in (*self.rows.values(), *self.finals.values()):
            row["changes"] = _with_tuples(row["changes"])
        self.best = _with_tuples(self.best)


def _with_tuples(changes: Changes) -> Changes:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in changes.items()}


def _marked(rows: dict[str, Row]) -> dict[str, Row]:
    front = pareto(rows)
    return {label: row | {"pareto": label in front} for label, row in rows.items()}


def choose(rows: dict[str, Row], base: Row | None) -> str | None:
    """The point to go on from: the most facts among those whose pictures are no worse than base's beyond its noise.

    Of points within SAME of the most facts, the fastest. None if there is no point with a score.
    """
    scored = {label: row for label, row in rows.items() if "all_facts" in row}
    limit = base["picture_distance"]["interval"][1] if base and "picture_distance" in base else float("inf")
    clean = {k: row for k, row in scored.items() if row.get("picture_distance", {"mean": 0})["mean"] <= limit}
    allowed = clean or scored
    if not allowed:
        return None
    most = max(row["all_facts"]["mean"] for row in allowed.values())
    near = [label for label, row in allowed.items() if row["all_facts"]["mean"] >= most - SAME - 1e-9]
    return min(near, key=lambda label: allowed[label]["seconds"])


def pareto(rows: dict[str, Row]) -> list[str]:
    """The points that no other one beats in both facts and seconds, the fastest first."""
    front: list[str] = []
    most = -1.0
    scored = [label for label, row in rows.items() if "all_facts" in row]
    for label in sorted(scored, key=lambda label: (rows[label]["seconds"], -rows[label]["all_facts"]["mean"])):
        if rows[label]["all_facts"]["mean"] > most:
            most = rows[label]["all_facts"]["mean"]
            front.append(label)
    return front


def draw(rows: dict[str, Row], path: Path) -> None:
    """All facts against seconds; a color for each method, the front as a line with labels."""
    from matplotlib.figure import Figure

    front = pareto(rows)
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.add_subplot()
    for method in dict.fromkeys(row["method"] for row in rows.values()):
        chosen = [row for row in rows.values() if row["method"] == method and "all_facts" in row]
        axes.scatter([row["seconds"] for row in chosen], [row["all_facts"]["mean"] for row in chosen], 18, label=method)
    line = [(rows[label]["seconds"], rows[label]["all_facts"]["mean"]) for label in front]
    axes.plot([x for x, _ in line], [y for _, y in line], color="gray", linewidth=0.8)
    for label, at in zip(front, line, strict=True):
        axes.annotate(label, at, fontsize=6, xytext=(3, -8), textcoords="offset points")
    axes.set(xlabel="seconds a video", ylabel="every fact of the prompt holds", xscale="log", ylim=(0, 1.02))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)


def measured(run: Path) -> Row:
    """The row of a scored run: measures with intervals by prompt, all facts by kind, and seconds."""
    made = {case: row for case, row in last_rows(run).items() if row.status == "made"}
    scores: dict[str, list[tuple[str, str, float]]] = {}
    for one in read_scores(run / SCORES):
        if one.value is not None and one.case_id in made:
            scores.setdefault(one.metric, []).append((made[one.case_id].case.prompt, one.category, one.value))
    found: Row = {"videos": len(made), "run": run.name}
    for name in MEASURES:
        if name in scores:
            prompts, _, values = zip(*scores[name], strict=True)
            found[name] = estimate(values, prompts).as_json()
    kinds: dict[str, list[float]] = {}
    for _, kind, value in scores.get("all_facts", ()):
        kinds.setdefault(kind, []).append(value)
    found["kinds"] = {kind: round(fmean(values), 4) for kind, values in kinds.items()}
    times = [sum(row.seconds.get(name, 0.0) for name in STAGES_OF_TIME) for row in made.values()]
    found["seconds"] = round(median(times), 4) if times else 0.0  # the first of a process takes longer
    return found


def _check(codes: Sequence[int], stage: str, log: Path) -> None:
    """Raise UserError if a process could not do its work; missing videos and answers only show in the exit code."""
    if max(codes) > replay.FAILED:
        raise UserError(f"the stage {stage} ended with exit code {max(codes)}", remedy=f"read {log}")


def _folder(out: Path, stage: str) -> Path:
    """Of the runs of a stage. The finals have one of their own: a run's scores depend on all of its cases."""
    return out / (FINALS if stage == FINALS else "runs")


def _blocks(model: str) -> int:
    """Transformer blocks of an embedded or local model. Raises UserError for another one."""
    folder = checkpoints.folder_of(model)
    if folder is None:
        raise UserError(f"{model!r} is no embedded or local model", expected="emojiworld-wan, emojiworld-cogvideox")
    return int(json.loads((folder / "transformer" / "config.json").read_text())["num_layers"])


def _gpus() -> int:
    try:
        return len(subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True).stdout.splitlines())
    except (OSError, subprocess.CalledProcessError):
        return 0


def make(out: Path, stage: str, shard: str, shared: Sequence[str]) -> int:
    """Make one shard of all videos of a stage, in this process. Returns the largest exit code."""
    codes = [0]
    for label, options in json.loads((out / f"{stage}.json").read_text()):
        run = _folder(out, stage) / Variant(label).folder
        own = ["--suite", SUITE, "--quiet", "--no-pictures", "--label", label, "--out", str(run), "--shard", shard]
        codes.append(replay.main([*own, *shared, *options]))
        if codes[-1] > replay.FAILED:
            break
    return max(codes)


def main(argv: Sequence[str] | None = None) -> int:
    """Search. Returns the exit code: 0 done, 1 some videos or answers are missing, 2 bad input, 130 interrupted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the search, new or to be continued")
    parser.add_argument("--model", default="emojiworld-wan")
    parser.add_argument("--stages", nargs="+", default=list(STAGES), choices=list(STAGES))
    parser.add_argument("--limit", type=int, default=6, help="prompts of each kind")
    parser.add_argument("--finals", type=int, default=40, help="prompts of each kind for the best points; 0 for none")
    parser.add_argument("--processes", type=int, default=1, help="that make and judge at the same time")
    parser.add_argument("--make", help=argparse.SUPPRESS)  # a shard of a stage, in a process of its own
    parser.add_argument("--shard", default="1/1", help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs="*", help="options of eval.replay for all points, behind --")
    options = parser.parse_args(argv)

    def work() -> int:
        if options.make is not None:
            return make(Path(options.out), options.make, options.shard, options.rest)
        return Search(options).run()

    return exit_code("search", work)


if __name__ == "__main__":
    sys.exit(main())
