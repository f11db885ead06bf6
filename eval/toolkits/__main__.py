"""Official scores: python -m eval.toolkits {compbench,vbench,import-compbench,import-vbench,leaderboard} ..."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import FlagCreatePairsOff, Positional, arg

from eval.metrics.compbench import CATEGORIES
from eval.runs import Run, load_run
from eval.summary import summarize, table
from eval.toolkits import compbench, vbench
from eval.toolkits.compbench_csv import pack_leaderboard, read_table
from eval.toolkits.official import add_official, compbench_rows, vbench_rows
from eval.toolkits.process import Programs, on_gpus
from eval.types import ScoreRow
from ttom.cli.exits import exit_code
from ttom.errors import UserError

RunFolder = Annotated[Positional[Path], arg(metavar="RUN")]


@dataclass(frozen=True)
class Compbench:
    """Evaluate a run with T2V-CompBench's official scripts, category by category, and import the scores."""

    run: RunFolder
    """A run of the suite compbench."""
    toolkit: Annotated[Path, arg(metavar="DIR")]
    """Clone of the official repository, branch V2, set up as its README says."""
    llava_python: Path = Path(".venv-llava/bin/python")
    """Python of LLaVA's environment."""
    detection_python: Path = Path(".venv-compbench/bin/python")
    """Python of the environment of GroundingDINO, SAM, Depth-Anything and DOT."""
    categories: tuple[str, ...] = ()
    """Only these: consistent, dynamic, spatial, motion, action, interaction, numeracy."""
    gpus: tuple[str, ...] = ()
    """Numbers of GPUs: a category on each at a time."""
    name: str = "model"
    """Name of the model in the scripts' files."""
    out: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder for what the scripts write; by default RUN/toolkits/compbench."""
    check: FlagCreatePairsOff[bool] = False
    """Only check videos, scripts and weights."""


@dataclass(frozen=True)
class Vbench:
    """Evaluate a run with VBench's package, dimension by dimension, and import the scores."""

    run: RunFolder
    """A run of the suite vbench."""
    python: Path = Path(".venv-vbench/bin/python")
    """Python of the package's environment (make env-vbench)."""
    dimensions: tuple[str, ...] = ()
    """Only these of the 16."""
    gpus: tuple[str, ...] = ()
    """Numbers of GPUs: a dimension on each at a time."""
    out: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder for what the package writes; by default RUN/toolkits/vbench."""
    check: FlagCreatePairsOff[bool] = False
    """Only check videos and environment."""


@dataclass(frozen=True)
class ImportCompbench:
    """Import CSV files that T2V-CompBench's scripts wrote elsewhere."""

    run: RunFolder
    """The run that was evaluated."""
    files: Annotated[Positional[tuple[Path, ...]], arg(metavar="CSV...")]
    """MODEL_consistent_attr_score.csv and so on."""


@dataclass(frozen=True)
class ImportVbench:
    """Import files of results that VBench wrote elsewhere."""

    run: RunFolder
    """The run that was evaluated."""
    files: Annotated[Positional[tuple[Path, ...]], arg(metavar="JSON...")]
    """NAME_eval_results.json."""


@dataclass(frozen=True)
class Leaderboard:
    """Pack the eight CSV files that T2V-CompBench's leaderboard takes."""

    folder: Annotated[Positional[Path], arg(metavar="DIR")]
    """Folder with the files, such as RUN/toolkits/compbench."""
    out: Annotated[Path, arg(metavar="FILE.zip")] = Path("eval_results.zip")
    """The zip."""
    name: str = "model"
    """Name of the model in the files' names."""


Command = Compbench | Vbench | ImportCompbench | ImportVbench | Leaderboard


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit code: 0 done, 2 bad input or a toolkit that failed, 130 interrupted."""
    arguments = None if argv is None else list(argv)
    command: Command = tyro.cli(Command, prog="python -m eval.toolkits", args=arguments)
    programs = Programs()

    def work() -> int:
        try:
            print(run(command, programs))
        finally:
            programs.stop()
        return 0

    return exit_code("eval.toolkits", work)


def run(command: Command, programs: Programs) -> str:
    """Do what the command says; returns what is to be told. Raises UserError."""
    if isinstance(command, Compbench):
        return _compbench(command, programs)
    if isinstance(command, Vbench):
        return _vbench(command, programs)
    if isinstance(command, Leaderboard):
        mended = pack_leaderboard(command.folder, command.name, command.out)
        return "\n".join([*mended, str(command.out)])
    one = load_run(command.run)
    if not command.files:
        raise UserError("no files were given")
    if isinstance(command, ImportCompbench):
        tables = [read_table(path, _category_of(path)) for path in command.files]
        stale = [
            f"{t.category}: the last line says {t.stated}, the rows give {t.mean}"
            for t in tables
            if not t.is_consistent
        ]
        return "\n".join([*stale, _import(one, [row for t in tables for row in compbench_rows(one, t)])])
    found = [results for path in command.files for results in vbench.read_results(path)]
    return _vbench_told(one, found)


def _compbench(command: Compbench, programs: Programs) -> str:
    one = load_run(command.run)
    kit = compbench.Toolkit(
        command.toolkit, command.llava_python.absolute(), command.detection_python.absolute(), command.name
    )
    planned = compbench.plan(one, command.out or one.path / "toolkits" / "compbench", command.categories)
    told = [f"{task.category.name}: {line}" for task in planned for line in task.check.told()]
    tasks = [task for task in planned if task.check.videos]
    compbench.preflight(kit, tasks)
    if command.check:
        return "\n".join([*told, f"{len(tasks)} categories can be evaluated"])
    errors = on_gpus(lambda task, gpu: compbench.evaluate(kit, task, programs, gpu), tasks, command.gpus, programs)
    tables = [found for task in tasks if (found := compbench.finished(kit, task)) is not None]
    if tables:
        told.append(_import(one, [row for found in tables for row in compbench_rows(one, found)]))
    return _ended(told, errors)


def _vbench(command: Vbench, programs: Programs) -> str:
    one = load_run(command.run)
    out = command.out or one.path / "toolkits" / "vbench"
    planned = vbench.plan(one, out, command.dimensions)
    told = [f"{task.dimension}: {line}" for task in planned for line in task.check.told()] + vbench.warnings(planned)
    tasks = [task for task in planned if task.check.videos]
    vbench.preflight(command.python.absolute(), programs, out / "log.txt")
    if command.check:
        return "\n".join([*told, f"{len(tasks)} dimensions can be evaluated"])
    python = command.python.absolute()
    errors = on_gpus(lambda task, gpu: vbench.evaluate(python, task, programs, gpu), tasks, command.gpus, programs)
    if any(vbench.finished(task) is not None for task in tasks):
        told.append(_vbench_told(one, vbench.merge(tasks, out / f"{vbench.NAME}_eval_results.json")))
    return _ended(told, errors)


def _vbench_told(one: Run, found: Sequence[vbench.Results]) -> str:
    lines = [_import(one, [row for results in found for row in vbench_rows(one, results)])]
    lines += [f"{results.dimension:24} {results.score:.4f}" for results in found]
    try:
        total = vbench.total(found)
        lines.append(f"Quality {total.quality:.4f}, Semantic {total.semantic:.4f}, Total {total.total:.4f}")
    except UserError as error:
        lines.append(error.problem)
    return "\n".join(lines)


def _import(one: Run, rows: Sequence[ScoreRow]) -> str:
    return f"{add_official(one, rows)}\n{table(summarize(rows))}"


def _ended(told: Sequence[str], errors: Sequence[Exception]) -> str:
    text = "\n".join(told)
    if errors:
        print(text)
        raise UserError("\n".join(str(error) for error in errors), remedy="run it again: what is finished is kept")
    return text


def _category_of(path: Path) -> str:
    for category in CATEGORIES.values():
        if path.name.endswith(f"_{category.csv}.csv"):
            return category.name
    endings = ", ".join(f"_{category.csv}.csv" for category in CATEGORIES.values())
    raise UserError(
        f"{path.name} is not the name of a category's scores", expected=f"a name that ends in one of {endings}"
    )


if __name__ == "__main__":
    sys.exit(main())
