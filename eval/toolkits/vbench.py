"""VBench's package in an environment of its own: a call per dimension, which can be resumed and spread over GPUs.

Each dimension gets a folder of links to its videos, a list of its prompts in place of the full one, and an output
folder; the package is called with one name for all, and its files are merged afterwards. temporal_flickering is
evaluated on what the package's static filter leaves of its videos.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.metrics.vbench import DIMENSIONS, SAMPLES, Total, aggregate
from eval.runs import Run
from eval.suites import categories_of
from eval.toolkits.process import Programs, gpu_environment
from eval.toolkits.staging import Check, check_videos, stage
from eval.types import ManifestRow
from ttom import files
from ttom.errors import UserError

NAME = "ttom"
WORKER = Path(__file__).with_name("vbench_worker.py")
FLICKERING = "temporal_flickering"
LONG_SECONDS = 5.0
"""From here on VBench's FAQ sends videos to VBench-Long."""
_SCALED = {"imaging_quality": 100.0}
"""Dimensions whose scores of single videos are in another unit than their mean."""
_MAX_FILE = 1 << 30


@dataclass(frozen=True)
class Task:
    """One dimension of a run."""

    dimension: str
    rows: tuple[ManifestRow, ...]
    check: Check
    out: Path

    @property
    def results(self) -> Path:
        return self.out / "results" / f"{NAME}_eval_results.json"

    @property
    def evaluated(self) -> Path:
        """The videos that the results are of: {name: sha256}."""
        return self.out / "videos.json"

    @property
    def digests(self) -> dict[str, str]:
        """{name: sha256} of the videos, by name; `check_videos` has compared the files with the manifest."""
        present = (row for row in self.rows if row.case.id in self.check.videos)
        return dict(sorted((Path(row.case.video).name, str(row.sha256)) for row in present))

    @property
    def prompts(self) -> list[str]:
        return list(dict.fromkeys(row.case.prompt for row in self.rows if row.case.id in self.check.videos))


@dataclass(frozen=True)
class Results:
    """What VBench reports of one dimension.

    Attributes:
        score: Of the dimension.
        videos: Score of each video by file name, 0..1 where the dimension's is; None where there is none.
    """

    dimension: str
    score: float
    videos: dict[str, float | None]


def plan(run: Run, out: Path, wanted: Sequence[str] = ()) -> list[Task]:
    """The dimensions that a run has cases of, checked; some may lack good videos.

    Raises:
        UserError: There is nothing to evaluate, or a dimension is unknown.
    """
    unknown = sorted(set(wanted) - set(DIMENSIONS))
    if unknown:
        raise UserError(f"there is no dimension {unknown[0]!r}", expected=f"some of {', '.join(DIMENSIONS)}")
    if run.header.suite != "vbench":
        raise UserError(f"{run.path} is a run of {run.header.suite}", expected="a run of the suite vbench")
    checked = check_videos(run, list(run.rows.values()))
    tasks = []
    for dimension in DIMENSIONS:
        rows = tuple(row for row in run.rows.values() if dimension in categories_of(row.case))
        if rows and (not wanted or dimension in wanted):
            videos = {row.case.id: path for row in rows if (path := checked.videos.get(row.case.id))}
            check = Check(videos, Counter(_missing(rows, videos)), checked.stray)
            tasks.append(Task(dimension, rows, check, out / dimension))
    if not any(task.check.videos for task in tasks):
        raise UserError("\n  ".join([f"{run.path} has no videos of these dimensions", *checked.told()]))
    return tasks


def warnings(tasks: Sequence[Task]) -> list[str]:
    """What a reader of the scores must know: prompts without enough samples, clips that are too long."""
    told = []
    for task in tasks:
        needed, have = DIMENSIONS[task.dimension].prompts, len(task.prompts)
        if have < needed:
            told.append(f"{task.dimension}: {have} of {needed} prompts")
        short = sum(count < SAMPLES for count in Counter(_prompts_of(task)).values())
        if short:
            told.append(f"{task.dimension}: {short} prompts with fewer than {SAMPLES} videos")
    seconds = max(((row.frames or 0) / row.fps for task in tasks for row in task.rows if row.fps), default=0.0)
    if seconds >= LONG_SECONDS:
        told.append(f"videos of {seconds:.2f} s: VBench's FAQ sends these to VBench-Long; say which one was used")
    return told


def preflight(python: Path, programs: Programs, log: Path) -> None:
    """Raise UserError unless this Python can import the package vbench."""
    if not python.is_file():
        raise UserError(
            f"the environment of vbench is missing: {python} does not exist",
            expected="an environment with eval/toolkits/vbench-requirements.txt",
            remedy="make env-vbench",
        )
    log.parent.mkdir(parents=True, exist_ok=True)
    programs.run([str(python), str(WORKER), "--check"], log.parent, log)


def evaluate(python: Path, task: Task, programs: Programs, gpu: str | None = None) -> Results:
    """Evaluate a dimension; a finished one is only read.

    Raises:
        UserError: The package fails, or its results are not those of the task's videos.
    """
    names = {
        Path(row.case.video).name: task.check.videos[row.case.id]
        for row in task.rows
        if row.case.id in task.check.videos
    }
    done = finished(task)
    if done is not None:
        return done
    stage(names, task.out / "videos")
    info = [_entry(row, task.dimension) for row in {row.case.prompt: row for row in task.rows}.values()]
    with files.disk_errors(task.out):
        for stale in (task.evaluated, task.results):
            stale.unlink(missing_ok=True)
        files.write_json(task.out / "info.json", info)
    command = [
        str(python), str(WORKER), "--dimension", task.dimension, "--videos", str((task.out / "videos").resolve()),
        "--info", str((task.out / "info.json").resolve()), "--out", str(task.results.parent.resolve()), "--name", NAME,
    ]  # fmt: skip
    programs.run(command, task.out, task.out / "log.txt", gpu_environment(gpu))
    with files.disk_errors(task.out):
        files.write_json(task.evaluated, task.digests)
    results = finished(task)
    if results is None:
        raise UserError(
            f"vbench left no results of the videos of {task.dimension}", remedy=f"see {task.out / 'log.txt'}"
        )
    return results


def finished(task: Task) -> Results | None:
    """The results, if there are any and they are of the task's present videos alone, as these are now."""
    if not task.results.is_file() or not task.evaluated.is_file() or _read_json(task.evaluated) != task.digests:
        return None
    (results,) = read_results(task.results, [task.dimension])
    names = {path.name for path in task.check.videos.values()}
    if task.dimension == FLICKERING:  # the filter renumbers what it leaves
        return results
    return results if set(results.videos) == names else None


def read_results(path: Path, wanted: Sequence[str] = ()) -> list[Results]:
    """The dimensions of a file `{name}_eval_results.json`, official or merged.

    Raises:
        UserError: It is missing or of another form, or lacks a wanted dimension.
    """
    data = _read_json(path)
    if not isinstance(data, dict) or not data:
        raise UserError(f"{path} is not a results file", expected='{"dimension": [score, [...]]}')
    absent = [name for name in wanted if name not in data]
    unknown = [name for name in data if name not in DIMENSIONS]
    if absent or unknown:
        raise UserError(f"{path} lacks {absent}" if absent else f"{path} has the unknown dimensions {unknown}")
    return [_results(path, name, value) for name, value in data.items() if not wanted or name in wanted]


def merge(tasks: Sequence[Task], target: Path) -> list[Results]:
    """Write one file of all finished dimensions, in the package's form; returns them."""
    merged: dict[str, Any] = {}
    for task in tasks:
        if finished(task) is not None:
            merged[task.dimension] = _read_json(task.results)[task.dimension]
    if not merged:
        raise UserError("no dimension is finished")
    with files.disk_errors(target):
        files.write_json(target, merged)
    return read_results(target)


def total(results: Sequence[Results]) -> Total:
    """Quality, Semantic and Total. Raises UserError unless all 16 dimensions are there."""
    return aggregate({one.dimension: one.score for one in results})


def _results(path: Path, name: str, value: Any) -> Results:
    try:
        score, listed = value
        videos = {Path(item["video_path"]).name: _score(name, item.get("video_results")) for item in listed}
        found = Results(name, float(score), videos)
    except (TypeError, ValueError, KeyError, AttributeError):
        raise UserError(f"{path} has a broken entry {name}", expected='[score, [{"video_path": ..., ...}]]') from None
    if len(videos) != len(listed) or not math.isfinite(found.score):
        raise UserError(f"{path} names a video of {name} twice, or has no finite score")
    return found


def _score(dimension: str, value: Any) -> float | None:
    if not isinstance(value, bool | int | float) or not math.isfinite(value):
        return None
    return float(value) / _SCALED.get(dimension, 1.0)


def _read_json(path: Path) -> Any:
    try:
        if path.stat().st_size > _MAX_FILE:
            raise UserError(f"{path} is larger than {_MAX_FILE >> 20} MiB")
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path} does not exist", expected="a file {name}_eval_results.json") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None


def _entry(row: ManifestRow, dimension: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"prompt_en": row.case.prompt, "dimension": [dimension]}
    extra = row.case.facts.get("auxiliary_info") or {}
    return entry | ({"auxiliary_info": {dimension: extra[dimension]}} if dimension in extra else {})


def _missing(rows: Sequence[ManifestRow], videos: dict[str, Path]) -> dict[str, int]:
    lost = sum(row.case.id not in videos for row in rows)
    return {"missing, broken or refused": lost} if lost else {}


def _prompts_of(task: Task) -> list[str]:
    return [row.case.prompt for row in task.rows if row.case.id in task.check.videos]
