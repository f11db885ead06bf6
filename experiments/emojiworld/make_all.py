"""Train and measure an embedded checkpoint anew: python -m experiments.emojiworld.make_all [--family cogvideox]
[--from STAGE]

Stages in order: vae, detector, transformer (each goes on where an earlier call stopped), export, gates, methods.
A stage whose result is there and newer than what it is made from is skipped; --from STAGE makes it and all later ones
again, from nothing. Meant to take about an hour on one H100; several GPUs share the two long trainings, which then take
that much less.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

FAMILIES = ("wan", "cogvideox")
ROOT = Path(__file__).resolve().parents[2]
ROOM = Path(__file__).resolve().parent
WEIGHTS = ROOM / "detector.safetensors"
MINUTES = {"vae": 12, "detector": 3, "transformer": 29}
"""Training time of each model, in minutes of one GPU (an H100 or better)."""


@dataclass(frozen=True)
class Stage:
    """One step of the whole.

    Attributes:
        name: As --from spells it.
        command: Module of experiments.emojiworld and its arguments.
        result: File that the stage writes last.
        made_from: Files that it reads; the result is stale if one of them is newer.
        progress: Folder or file of a half-made stage, which the command goes on with.
        minutes: Training time after which it is complete; None if it does not train.
        install: Copies made of what it wrote: (from, to).
        processes: How many run the command together, one a GPU.
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
        if not self.result.exists() or self._is_stale(self.result):
            return False
        return self.minutes is None or _seconds_trained(self.result.parent) >= self.minutes * 60

    def prepare(self, redo: bool) -> None:
        """Remove what must not be gone on with: everything to redo, else what belongs to older weights."""
        if self.progress is None or not self.progress.exists():
            return
        if self.progress.is_dir():
            if redo or (self.result.exists() and self._is_stale(self.result)):
                shutil.rmtree(self.progress)
        elif redo or self._is_stale(self.progress):
            self.progress.unlink()

    def _is_stale(self, file: Path) -> bool:
        return any(source.exists() and source.stat().st_mtime > file.stat().st_mtime for source in self.made_from)


def _seconds_trained(folder: Path) -> float:
    """From the run's state; without one the weights were brought from elsewhere and count as complete."""
    state = folder / "state.json"
    return json.loads(state.read_text())["seconds"] if state.exists() else float("inf")


def stages(runs: Path, checkpoint: Path, results: Path, family: str = "wan", gpus: int = 1) -> list[Stage]:
    """All stages: trainings write to `runs`, the export to `checkpoint`, the comparison of base and ttom to `results`.

    The VAE and the transformer train on all GPUs at once, in that much less time. The detector, which all families
    share, is made with Wan.
    """
    vae, detector, transformer = (runs / name for name in ("vae", "detector", "transformer"))
    which, model = (("--family", family), ("--model", str(checkpoint))) if family != "wan" else ((), ())
    vae_weights, transformer_weights = vae / "ema.safetensors", transformer / "ema.safetensors"
    exported, installed = checkpoint / "transformer/diffusion_pytorch_model.safetensors", WEIGHTS

    def training(folder: Path, result: Path, *more: str, processes: int = gpus, **rest: Any) -> Stage:
        minutes = MINUTES[folder.name] / processes
        command = (f"train_{folder.name}", "--out", str(folder), "--minutes", f"{minutes:g}", *more)
        return Stage(folder.name, command, result, progress=folder, minutes=minutes, processes=processes, **rest)

    trained_detector = detector / "detector.safetensors"
    gates = checkpoint / "gates.json"
    comparison = results / ("methods.json" if family == "wan" else f"methods-{family}.json")
    measures = ("--vae", str(checkpoint), "--model", str(checkpoint), "--out", str(gates))
    study = runs / "methods"
    shared = [training(detector, trained_detector, processes=1, install=((trained_detector, installed),))]
    return [
        training(vae, vae_weights, *which),
        *(shared if family == "wan" else []),
        training(transformer, transformer_weights, "--vae", str(vae), *which, made_from=(vae_weights,)),
        Stage(
            "export",
            ("export", "--vae", str(vae), "--transformer", str(transformer), "--out", str(checkpoint), *which),
            exported,
            made_from=(vae_weights, transformer_weights),
        ),
        Stage("gates", ("gates", *measures, *which), gates, made_from=(exported, installed)),
        Stage(
            "methods",
            ("studies", "methods", "--out", str(study), "--", *model),
            study / "report" / "report.json",
            made_from=(exported, installed),
            progress=study,
            install=((study / "report" / "report.json", comparison),),
        ),
    ]


def run_stage(stage: Stage) -> None:
    """Run a stage's module, under torchrun if several processes share it; stops everything if it fails."""
    launcher = ["-m", "torch.distributed.run", f"--nproc-per-node={stage.processes}"] if stage.processes > 1 else []
    module = f"experiments.emojiworld.{stage.command[0]}"
    done = subprocess.run([sys.executable, *launcher, "-m", module, *stage.command[1:]], cwd=ROOT)
    if done.returncode:
        raise SystemExit(f"{stage.command[0]} failed with exit code {done.returncode}; the same call goes on from here")


def make(todo: Sequence[Stage], redo_from: str | None = None, run: Callable[[Stage], None] = run_stage) -> list[str]:
    """Make the stages that are not done, in order; returns the names of those made."""
    made: list[str] = []
    redo = False
    for stage in todo:
        redo |= stage.name == redo_from
        if not redo and stage.is_done():
            print(f"{stage.name}: done, {_short(stage.result)}", flush=True)
            continue
        stage.prepare(redo)
        print(f"{stage.name}: {shlex.join(stage.command)}", flush=True)
        started = time.monotonic()
        run(stage)
        for source, target in stage.install:
            shutil.copyfile(source, target)
        made.append(stage.name)
        print(f"{stage.name}: {(time.monotonic() - started) / 60:.1f} min, {_short(stage.result)}", flush=True)
    return made


def _short(path: Path) -> Path:
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", default="wan", choices=FAMILIES)
    names = [stage.name for stage in stages(ROOT, ROOT, ROOT)]
    parser.add_argument("--from", dest="redo_from", choices=names, help="make anew from here")
    options = parser.parse_args()
    runs = ROOT / ("runs/emojiworld" if options.family == "wan" else f"runs/emojiworld-{options.family}")
    checkpoint = ROOT / f"ttom/checkpoints/emojiworld-{options.family}"
    gpus = max(1, torch.cuda.device_count())
    make(stages(runs, checkpoint, ROOM / "results", options.family, gpus), options.redo_from)


if __name__ == "__main__":
    main()
