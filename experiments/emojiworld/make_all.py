"""Train and measure an embedded checkpoint: python -m experiments.emojiworld.make_all [--family cogvideox]

Stages in order: vae, detector, transformer (each resumes where an earlier call stopped), export, gates, methods. A
stage whose result exists and is newer than what it is made from is skipped; --from STAGE makes it and all later ones
again, from scratch. Several GPUs share the two long trainings, which then take that much less time.

A call can be short: --stop-after MINUTES ends it in time, and the same command resumes. With --carry DIR it resumes on
another machine, too: at its end a call leaves there all that the next one needs, in at most eight files of less than 16
MiB each, and a call that finds such a folder starts from it. --trial runs everything at a tiny size, on a CPU too.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from experiments.emojiworld import portable
from ttom.emojiworld.detector import WEIGHTS

FAMILIES = ("wan", "cogvideox")
ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).with_name("results")
MINUTES = {"vae": 14.0, "detector": 5.0, "transformer": 40.0}
"""Training time of each model, in minutes of one GPU (an H100 or better)."""
START_MINUTES = 1.5
"""What a training takes before its clock starts: imports, and the measurement of latents."""
LEAST_MINUTES = 1.0
"""No stage is begun with less time than this."""
TRIAL: dict[str, tuple[str, ...]] = {
    "vae": ("--batch", "2", "--workers", "1", "--no-compile"),
    "detector": ("--batch", "4", "--workers", "1"),
    "transformer": ("--frame-batch", "4", "--clip-batch", "2", "--ring", "4", "--workers", "1", "--no-compile"),
    "gates": ("--per-kind", "1", "--steps", "2"),
}


@dataclass(frozen=True)
class Stage:
    """One step of the recipe.

    Attributes:
        name: As --from spells it.
        command: Module of experiments.emojiworld and its arguments.
        result: File that the stage writes last.
        made_from: Files that it reads; the result is stale if one of them is newer.
        progress: Folder of a half-made stage, from which the command resumes.
        minutes: Training time after which it is complete; None if it does not train.
        install: Copies made of what it wrote: (from, to).
        processes: How many run the command together, one per GPU.
    """

    name: str
    command: tuple[str, ...]
    result: Path
    made_from: tuple[Path, ...] = ()
    progress: Path | None = None
    minutes: float | None = None
    install: tuple[tuple[Path, Path], ...] = ()
    processes: int = 1

    def is_done(self) -> bool:
        """Whether its result is complete and newer than all that it is made from."""
        return self.result.exists() and not self._is_stale(self.result) and self.is_trained()

    def is_trained(self) -> bool:
        """Whether its minutes are used up; always so for a stage without training."""
        return self.minutes is None or _seconds_trained(self.result.parent) >= self.minutes * 60

    def prepare(self, redo: bool) -> None:
        """Remove what must not be resumed: everything to redo, else what belongs to older weights."""
        if self.progress is None or not self.progress.exists():
            return
        if redo or (self.result.exists() and self._is_stale(self.result)):
            shutil.rmtree(self.progress)

    def _is_stale(self, file: Path) -> bool:
        return any(source.exists() and source.stat().st_mtime > file.stat().st_mtime for source in self.made_from)


def _seconds_trained(folder: Path) -> float:
    """From the run's state; weights without one came from elsewhere and count as complete."""
    state = folder / "state.json"
    return json.loads(state.read_text())["seconds"] if state.exists() else float("inf")


@dataclass(frozen=True)
class Recipe:
    """What a call is to make, and where.

    Attributes:
        runs: Folder of the trainings.
        checkpoint: Folder of the exported pipeline.
        gpus: Processes of the two long trainings.
        minutes: Of one GPU, by training.
        weights: Where the detector is installed.
        results: Folder that gets the comparison of methods.
        trial: Everything at a tiny size.
    """

    runs: Path
    checkpoint: Path
    family: str = "wan"
    gpus: int = 1
    minutes: Mapping[str, float] = field(default_factory=lambda: MINUTES)
    weights: Path = WEIGHTS
    results: Path = RESULTS
    trial: bool = False

    def stages(self) -> list[Stage]:
        """All stages. The detector, which all families share, is made with Wan."""
        vae, detector, transformer = (self.runs / name for name in ("vae", "detector", "transformer"))
        which = ("--family", self.family) if self.family != "wan" else ()
        vae_weights, transformer_weights = vae / "ema.safetensors", transformer / "ema.safetensors"
        exported = self.checkpoint / "transformer/diffusion_pytorch_model.safetensors"
        trained, gates = detector / "detector.safetensors", self.checkpoint / "gates.json"
        parts = ("--vae", str(vae), "--transformer", str(transformer), "--out", str(self.checkpoint))
        pipeline = str(self.checkpoint)
        models = ("--vae", pipeline, "--model", pipeline, "--detector", str(self.weights))
        install = ((trained, self.weights),)
        study, comparison = (
            self.runs / "methods",
            "methods.json" if self.family == "wan" else f"methods-{self.family}.json",
        )
        model = ("--model", pipeline) if self.family != "wan" else ()
        shared = [self._training("detector", trained, processes=1, install=install)] if self.family == "wan" else []
        return [
            self._training("vae", vae_weights, which),
            *shared,
            self._training("transformer", transformer_weights, ("--vae", str(vae), *which), made_from=(vae_weights,)),
            Stage("export", ("export", *parts, *which), exported, made_from=(vae_weights, transformer_weights)),
            Stage(
                "gates",
                ("gates", *models, "--out", str(gates), *which, *self._tiny("gates")),
                gates,
                (exported, self.weights),
            ),
            Stage(
                "methods",
                ("studies", "methods", "--out", str(study), "--", *model),
                study / "report" / "report.json",
                made_from=(exported, self.weights),
                progress=study,
                install=((study / "report" / "report.json", self.results / comparison),),
            ),
        ]

    def _tiny(self, name: str) -> tuple[str, ...]:
        return TRIAL.get(name, ()) if self.trial else ()

    def _training(
        self, name: str, result: Path, more: tuple[str, ...] = (), processes: int | None = None, **rest: Any
    ) -> Stage:
        folder, count = self.runs / name, processes or self.gpus
        minutes = self.minutes[name] / count
        command = (f"train_{name}", "--out", str(folder), "--minutes", f"{minutes:g}", *more, *self._tiny(name))
        return Stage(name, command, result, progress=folder, minutes=minutes, processes=count, **rest)


class Clock:
    """The minutes of this call; None: as many as it takes."""

    def __init__(self, minutes: float | None) -> None:
        self.minutes, self.started = minutes, time.monotonic()

    def left(self) -> float | None:
        """Minutes that are left."""
        return None if self.minutes is None else self.minutes - (time.monotonic() - self.started) / 60


def run_stage(stage: Stage, minutes: float | None = None) -> None:
    """Run a stage's module, under torchrun if several processes share it; stops everything if it fails.

    Args:
        minutes: A training ends after so many, complete or not.
    """
    launcher = ["-m", "torch.distributed.run", f"--nproc-per-node={stage.processes}"] if stage.processes > 1 else []
    module = f"experiments.emojiworld.{stage.command[0]}"
    limit = ["--stop-after", f"{minutes:.3f}"] if minutes is not None and stage.minutes is not None else []
    done = subprocess.run([sys.executable, *launcher, "-m", module, *stage.command[1:], *limit], cwd=ROOT)
    if done.returncode:
        raise SystemExit(f"{stage.command[0]} failed with exit code {done.returncode}; run the same command to resume")


def make(
    todo: Sequence[Stage],
    redo_from: str | None = None,
    run: Callable[[Stage, float | None], None] = run_stage,
    clock: Clock | None = None,
) -> list[str]:
    """Make the stages that are not done, in order, while there is time; returns the names of those completed."""
    made: list[str] = []
    redo, clock = False, clock or Clock(None)
    for stage in todo:
        redo |= stage.name == redo_from
        if not redo and stage.is_done():
            _install(stage)
            print(f"{stage.name}: done, {_short(stage.result)}", flush=True)
            continue
        left = clock.left()
        needed = LEAST_MINUTES + (START_MINUTES if stage.minutes is not None else 0)
        if left is not None and left < needed:
            print(f"{stage.name}: not begun, {left:.1f} minutes are left; run the same command to resume", flush=True)
            break
        stage.prepare(redo)
        print(f"{stage.name}: {shlex.join(stage.command)}", flush=True)
        started = time.monotonic()
        run(stage, None if left is None else left - START_MINUTES)
        minutes = f"{(time.monotonic() - started) / 60:.1f} min"
        if not stage.is_trained():
            print(f"{stage.name}: {minutes}, not complete; run the same command to resume", flush=True)
            break
        _install(stage)
        made.append(stage.name)
        print(f"{stage.name}: {minutes}, {_short(stage.result)}", flush=True)
    return made


def _install(stage: Stage) -> None:
    """Copy what it wrote to its place, unless it is there: a copy makes what is made from it stale."""
    for source, target in stage.install:
        if not (target.exists() and filecmp.cmp(source, target, shallow=False)):
            shutil.copyfile(source, target)


def carry(todo: Sequence[Stage], recipe: Recipe, folder: Path) -> None:
    """Leave the state of all trainings in a folder of few small files."""
    trainings = [stage for stage in todo if stage.minutes is not None]
    finished = {stage.name for stage in trainings if stage.is_done()}
    files = portable.pack(recipe.runs, folder, {stage.name: stage.result for stage in trainings}, finished)
    gates = next(stage for stage in todo if stage.name == "gates")
    if gates.is_done():
        files.append(Path(shutil.copyfile(gates.result, folder / gates.result.name)))
    size = sum(file.stat().st_size for file in files)
    print(f"{folder}: {len(files)} files, {size / 2**20:.1f} MiB, to resume from elsewhere", flush=True)


def _short(path: Path) -> Path:
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", default="wan", choices=FAMILIES)
    names = [stage.name for stage in Recipe(ROOT, ROOT).stages()]
    parser.add_argument("--from", dest="redo_from", choices=names, help="make this stage and all later ones again")
    parser.add_argument("--until", choices=names, default=names[-1], help="the last stage to make")
    for name, minutes in MINUTES.items():
        parser.add_argument(f"--{name}-minutes", type=float, default=minutes, help="training time, minutes of one GPU")
    parser.add_argument("--stop-after", type=float, default=None, metavar="MINUTES", help="end this call in time")
    parser.add_argument("--carry", type=Path, default=None, metavar="DIR", help="state that travels between machines")
    parser.add_argument("--runs", type=Path, default=None, metavar="DIR", help="default: runs/emojiworld[-FAMILY]")
    parser.add_argument("--checkpoint", type=Path, default=None, metavar="DIR", help="default: the embedded one")
    parser.add_argument("--gpus", type=int, default=max(1, torch.cuda.device_count()))
    parser.add_argument("--trial", action="store_true", help="tiny; needs --runs and --checkpoint of its own")
    options = parser.parse_args(arguments)
    if options.trial and not (options.runs and options.checkpoint):
        parser.error("--trial needs --runs and --checkpoint, so that it overwrites nothing")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    options = options_of(arguments)
    default_runs = ROOT / ("runs/emojiworld" if options.family == "wan" else f"runs/emojiworld-{options.family}")
    runs = (options.runs or default_runs).resolve()
    recipe = Recipe(
        runs=runs,
        checkpoint=(options.checkpoint or ROOT / f"ttom/checkpoints/emojiworld-{options.family}").resolve(),
        family=options.family,
        gpus=options.gpus,
        minutes={name: getattr(options, f"{name}_minutes") for name in MINUTES},
        weights=runs / "installed-detector.safetensors" if options.trial else WEIGHTS,
        trial=options.trial,
    )
    clock, todo = Clock(options.stop_after), recipe.stages()
    last = [stage.name for stage in todo].index(options.until)
    if options.carry is not None:
        for name in portable.unpack(options.carry, recipe.runs):
            print(f"{name}: taken from {options.carry}", flush=True)
    try:
        make(todo[: last + 1], options.redo_from, clock=clock)
    finally:
        if options.carry is not None:
            carry(todo, recipe, options.carry)


if __name__ == "__main__":
    main()
