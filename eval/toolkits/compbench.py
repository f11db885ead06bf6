"""T2V-CompBench's official scripts (branch V2): checked, run category by category, resumed, imported.

The scripts want folders of videos with nothing else in them, write siblings of these folders, and go on by counting the
lines of their CSV files. That count is right for the four judged categories alone: for numeracy it takes frames for
videos, for motion two rows for one. So only the former go on where they stopped, after lines of scores and torn rows
were removed; of the others an unfinished category is evaluated from its start.
"""

from __future__ import annotations

import ast
import csv
import io
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.metrics.compbench import CATEGORIES, Category
from eval.metrics.frames import SAMPLED
from eval.runs import Run
from eval.suites.compbench import CATEGORIES as OFFICIAL
from eval.toolkits.compbench_csv import Table, is_score_line, read_lines, read_table
from eval.toolkits.process import Programs, gpu_environment
from eval.toolkits.staging import Check, check_videos, remove_made, stage
from eval.types import ManifestRow
from ttom import files
from ttom.errors import UserError

LANGUAGE = ("consistent", "dynamic", "action", "interaction")
METADATA = {official.folder: official for official in OFFICIAL}
SCRIPTS = {
    "consistent": ("LLaVA/llava/eval/compbench_eval_consistent_attr.py",),
    "dynamic": ("LLaVA/llava/eval/compbench_eval_dynamic_attr.py",),
    "action": ("LLaVA/llava/eval/compbench_eval_action_binding.py",),
    "interaction": ("LLaVA/llava/eval/compbench_eval_interaction.py",),
    "spatial": (
        "Grounded-Segment-Anything/compbench_eval_spatial_relationships.py",
        "Depth-Anything/compbench_run_depth.py",
    ),
    "motion": (
        "Grounded-Segment-Anything/compbench_motion_binding_seg.py",
        "dot/compbench_eval_motion_binding.py",
    ),
    "numeracy": ("Grounded-Segment-Anything/GroundingDINO/demo/compbench_eval_numeracy.py",),
}
_DINO = "Grounded-Segment-Anything/GroundingDINO/weights/groundingdino_swint_ogc.pth"
_SAM = "Grounded-Segment-Anything/sam_vit_h_4b8939.pth"
WEIGHTS = {"numeracy": (_DINO,), "spatial": (_DINO, _SAM), "motion": (_DINO, _SAM)}
"""Files that the scripts load from the repository; LLaVA and Depth-Anything come from the Hub's cache."""
_MADE = ("frames", "image_grid", "video_standard")
_WRITTEN = ("csv", "masks", "pictures", "depth")


@dataclass(frozen=True)
class Toolkit:
    """A clone of the official repository with the Pythons of its two environments.

    Attributes:
        model: Name of the evaluated model in file names.
    """

    folder: Path
    llava_python: Path
    detection_python: Path
    model: str = "model"


@dataclass(frozen=True)
class Task:
    """One category of a run, with a folder of its own for what the scripts write."""

    category: Category
    rows: tuple[ManifestRow, ...]
    check: Check
    out: Path
    frames: int
    fps: int

    @property
    def videos(self) -> Path:
        return self.out / "video" / self.category.folder

    @property
    def metadata(self) -> Path:
        return self.out / f"{METADATA[self.category.folder].metadata}.json"

    def table(self, model: str) -> Path:
        return self.out / "csv" / f"{model}_{self.category.csv}.csv"

    @property
    def numbers(self) -> list[int]:
        """Numbers of the videos that are to be scored."""
        return sorted(_number(row) for row in self.rows if row.case.id in self.check.videos)


def plan(run: Run, out: Path, wanted: Sequence[str] = ()) -> list[Task]:
    """The categories that a run has cases of, checked; some may lack good videos.

    Args:
        wanted: Names of categories; all that the run has if empty.

    Raises:
        UserError: There is nothing to evaluate, a category is unknown, or videos do not fit together.
    """
    unknown = sorted(set(wanted) - set(CATEGORIES))
    if unknown:
        raise UserError(f"there is no category {unknown[0]!r}", expected=f"some of {', '.join(CATEGORIES)}")
    tasks = []
    for category in CATEGORIES.values():
        rows = tuple(row for row in run.rows.values() if row.case.category == category.folder)
        if not rows or (wanted and category.name not in wanted):
            continue
        check = check_videos(run, rows, least_frames=SAMPLED)
        good = next((row for row in rows if row.case.id in check.videos), rows[0])
        tasks.append(Task(category, rows, check, out / category.name, good.frames or 0, good.fps or 0))
    if not any(task.check.videos for task in tasks):
        reasons = [f"{task.category.name}: {line}" for task in tasks for line in task.check.told()]
        raise UserError(
            "\n  ".join([f"{run.path} has no videos of T2V-CompBench", *reasons]),
            expected="a run of the suite compbench",
        )
    return tasks


def preflight(toolkit: Toolkit, tasks: Sequence[Task]) -> None:
    """Raise UserError for all that a script would fail on after hours: scripts, weights, Pythons."""
    problems = []
    for name, python in (("llava", toolkit.llava_python), ("detection", toolkit.detection_python)):
        needed = any((task.category.name in LANGUAGE) == (name == "llava") for task in tasks)
        if needed and not python.is_file():
            problems.append(f"the Python of the {name} environment is missing: {python}")
    for task in tasks:
        name = task.category.name
        for script in SCRIPTS[name]:
            problems += _script_problem(toolkit.folder / script)
        problems += [f"weights are missing: {w}" for w in WEIGHTS.get(name, ()) if not (toolkit.folder / w).is_file()]
        if name == "motion" and not list((toolkit.folder / "dot" / "checkpoints").glob("*.pth")):
            problems.append("weights are missing: dot/checkpoints/*.pth")
    if problems:
        told = list(dict.fromkeys(problems))
        raise UserError(
            "\n  ".join([f"T2V-CompBench in {toolkit.folder} cannot run:", *told]),
            expected="a clone of the official repository, branch V2, with its weights, set up as its README says",
            remedy="name the clone and the Pythons of its environments; fix the scripts in the clone",
        )


def evaluate(toolkit: Toolkit, task: Task, programs: Programs, gpu: str | None = None) -> Table:
    """Evaluate a category, or go on with it; a finished one is only read.

    Raises:
        UserError: A script fails, or leaves no scores of all videos.
    """
    done = finished(toolkit, task)
    if done is not None:
        return done
    names = {
        f"{_number(row):04d}.mp4": task.check.videos[row.case.id]
        for row in task.rows
        if row.case.id in task.check.videos
    }
    stage(names, task.videos)
    remove_made(task.videos.parent, lambda path: path.name in _MADE)
    with files.disk_errors(task.out):
        files.write_json(task.metadata, _metadata(task.rows))
    if not (task.category.name in LANGUAGE and _keep_whole_rows(task.table(toolkit.model), task.numbers)):
        for name in _WRITTEN:
            shutil.rmtree(task.out / name, ignore_errors=True)
    for python, cwd, command in steps(toolkit, task):
        programs.run([str(python), *command], cwd, task.out / "log.txt", gpu_environment(gpu))
    table = finished(toolkit, task)
    if table is None:
        raise UserError(
            f"the scripts of {task.category.name} ended without the scores of all {len(task.numbers)} videos",
            remedy=f"see {task.out / 'log.txt'}, then run it again",
        )
    return table


def finished(toolkit: Toolkit, task: Task) -> Table | None:
    """The scores, if they are those of exactly these videos and end with a line of scores."""
    path = task.table(toolkit.model)
    if not path.is_file():
        return None
    try:
        table = read_table(path, task.category.name)
    except UserError:
        return None
    whole = table.is_consistent and sorted(table.scores) == task.numbers
    return table if whole else None


def steps(toolkit: Toolkit, task: Task) -> list[tuple[Path, Path, list[str]]]:
    """Python, working folder and arguments of the scripts of a category, in order; all paths are absolute."""
    root, out, name = toolkit.folder.resolve(), task.out.resolve(), task.category.name
    videos, csv_folder = str(task.videos.absolute()), str(out / "csv")
    common = ["--video-path", videos, "--read-prompt-file", str(task.metadata.resolve()), "--t2v-model", toolkit.model]
    scripts = [root / script for script in SCRIPTS[name]]
    if name in LANGUAGE:
        return [(toolkit.llava_python, root / "LLaVA", [str(scripts[0]), *common, "--output-path", csv_folder])]
    python = toolkit.detection_python
    if name == "numeracy":
        folders = ["--output-path", csv_folder, "--output_dir", str(out / "pictures")]
        return [(python, root, [str(scripts[0]), *common, *folders])]
    if name == "spatial":
        folders = [
            "--output-path",
            csv_folder,
            "--output_dir",
            str(out / "pictures"),
            "--depth_folder",
            str(out / "depth"),
        ]
        return [(python, root, [str(scripts[0]), *common, *folders])]
    masks = str(out / "masks")
    length = ["--total_frame", str(task.frames), "--fps", str(task.fps), "--output_dir", masks]
    standard = str(task.videos.absolute().parent / "video_standard" / task.category.folder)
    track = ["--video-path", standard, "--mask_folder", masks, "--read-prompt-file", str(task.metadata.resolve())]
    track += ["--t2v_model", toolkit.model, "--output_path", csv_folder, "--output_dir", str(out / "pictures")]
    return [
        (python, root, [str(scripts[0]), *common, *length]),
        (python, root / "dot", [str(scripts[1]), *track]),
    ]


def _metadata(rows: Sequence[ManifestRow]) -> list[dict[str, Any]]:
    """Item i describes video i + 1; where the run has no such case, an item that no script looks at."""
    items: list[dict[str, Any]] = [{"prompt": ""} for _ in range(max(_number(row) for row in rows))]
    for row in rows:
        fields = METADATA[row.case.category].fields
        items[_number(row) - 1] = {"prompt": row.case.prompt} | {name: row.case.facts[name] for name in fields}
    return items


def _keep_whole_rows(path: Path, numbers: Sequence[int]) -> bool:
    """Make an unfinished CSV one that its script can go on with: whole rows of the first videos, and nothing else.

    Returns:
        False if there is none, or if its rows are not those of the first videos.
    """
    if not path.is_file():
        return False
    lines = read_lines(path)
    rows = [line for line in lines[1:] if not is_score_line(line) and len(line) == len(lines[0])]
    started = [int(stem) for line in rows if (stem := line[0].split(".")[0]).isdigit()]
    if not lines or len(started) != len(rows) or started != list(numbers[: len(started)]):
        return False
    output = io.StringIO()
    csv.writer(output).writerows([lines[0], *rows])
    with files.disk_errors(path):
        files.write_text(path, output.getvalue())
    return True


def _script_problem(path: Path) -> list[str]:
    """Some scripts of the repository as it is stored do not parse."""
    try:
        ast.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return [f"a script is missing: {path}"]
    except (SyntaxError, ValueError) as error:
        return [f"a script does not parse: {path}, line {getattr(error, 'lineno', '?')}"]
    return []


def _number(row: ManifestRow) -> int:
    """ "motion_binding/0007.mp4" -> 7. Raises UserError for another name."""
    stem = Path(row.case.video).stem
    if len(stem) != 4 or not stem.isdigit() or stem == "0000":
        raise UserError(f"the video {row.case.video!r} is not numbered", expected="names from 0001.mp4 to 0200.mp4")
    return int(stem)
