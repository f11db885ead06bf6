"""The stages of `make emojiworld`: what is skipped, gone on with, or made anew."""

from __future__ import annotations

import argparse
import importlib
import json
import os
from pathlib import Path

import pytest
import torch

from experiments.emojiworld import families, make_all, portable
from experiments.emojiworld.make_all import FAMILIES, MINUTES, Clock, Recipe, Stage, carry, make

ALL = ["vae", "detector", "transformer", "export", "gates", "methods"]


class House:
    """Stages in a temporary folder, and a stand-in for their commands that writes what they would."""

    def __init__(self, folder: Path) -> None:
        self.runs, self.checkpoint, self.results = folder / "runs", folder / "checkpoint", folder / "results"
        self.clock = 1_000_000_000.0
        self.seen_rows: list[bool] = []
        self.kept_weights: list[bool] = []
        self.recipe = Recipe(self.runs, self.checkpoint, weights=folder / "detector.safetensors", results=self.results)
        self.stages = self.recipe.stages()
        self.limits: list[float | None] = []

    def write(self, path: Path, text: str = "") -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self.clock += 10
        os.utime(path, (self.clock, self.clock))

    def run(self, stage: Stage, minutes: float | None) -> None:
        self.limits.append(minutes)
        if stage.name == "methods":
            rows = self.runs / "methods" / "base" / "manifest.jsonl"
            self.seen_rows.append(rows.exists())
            self.write(rows)
        if stage.minutes is not None:
            folder = stage.result.parent
            self.kept_weights.append(stage.result.exists())
            self.write(folder / "state.json", json.dumps({"seconds": stage.minutes * 60 + 0.1}))
        self.write(stage.result)
        for _, target in stage.install:
            self.write(target)

    def make(self, redo_from: str | None = None, clock: Clock | None = None) -> list[str]:
        made = make(self.stages, redo_from, self.run, clock)
        installed = self.recipe.weights
        if "detector" in made:  # the copy is as old as the original, not as today
            age = (self.runs / "detector" / "detector.safetensors").stat().st_mtime
            os.utime(installed, (age, age))
        return made


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_all_stages_once(house: House) -> None:
    assert house.make() == ALL
    assert house.make() == []


def test_from_makes_it_and_all_later_ones_from_nothing(house: House) -> None:
    house.make()
    house.kept_weights.clear()
    assert house.make("transformer") == ALL[2:]
    assert house.kept_weights == [False]
    assert house.seen_rows == [False, False]
    assert house.make("gates") == ["gates", "methods"]
    assert house.make() == []


def test_a_half_trained_model_goes_on(house: House) -> None:
    house.make()
    house.kept_weights.clear()
    (house.runs / "transformer" / "state.json").write_text(json.dumps({"seconds": 60.0}))
    assert house.make() == ["transformer", "export", "gates", "methods"]
    assert house.kept_weights == [True]


def test_weights_without_a_state_count_as_complete(house: House) -> None:
    house.make()
    (house.runs / "vae" / "state.json").unlink()
    assert house.make() == []


def test_a_newer_vae_makes_the_transformer_anew(house: House) -> None:
    house.make()
    house.kept_weights.clear()
    house.write(house.runs / "vae" / "ema.safetensors")
    assert house.make() == ALL[2:]
    assert house.kept_weights == [False]


def test_the_comparison_goes_on_unless_the_weights_are_newer(house: House) -> None:
    house.make()
    (house.runs / "methods" / "report" / "report.json").unlink()
    assert house.make() == ["methods"]
    house.write(house.checkpoint / "transformer" / "diffusion_pytorch_model.safetensors")
    assert house.make() == ["gates", "methods"]
    assert house.seen_rows == [False, True, False]


def test_a_failure_stops(tmp_path: Path) -> None:
    later = Stage("later", ("also_no_such_module",), tmp_path / "later")
    with pytest.raises(SystemExit, match="no_such_module failed with exit code 1"):
        make([Stage("first", ("no_such_module",), tmp_path / "first"), later])


def every_stage() -> list[Stage]:
    return [stage for family in FAMILIES for stage in Recipe(Path("r"), Path("c"), family, trial=True).stages()]


def test_several_gpus_share_the_two_long_trainings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(
        make_all.subprocess, "run", lambda command, cwd: ran.append(command) or argparse.Namespace(returncode=0)
    )
    two = Recipe(tmp_path, tmp_path, gpus=2).stages()
    for stage in two:
        make_all.run_stage(stage, 2.5)
    shared = ["-m", "torch.distributed.run", "--nproc-per-node=2", "-m", "experiments.emojiworld.train_vae"]
    assert ran[0][1:6] == shared
    assert [stage.name for stage in two if stage.processes == 2] == ["vae", "transformer"]
    assert two[0].minutes == MINUTES["vae"] / 2
    assert two[0].command[3:5] == ("--minutes", f"{MINUTES['vae'] / 2:g}")
    assert ran[1][1:3] == ["-m", "experiments.emojiworld.train_detector"]
    assert two[1].minutes == MINUTES["detector"]
    limited = ["--stop-after", "2.500"]
    assert [command[-2:] == limited for command in ran] == [stage.minutes is not None for stage in two]


def test_a_family_makes_all_but_the_detector_which_they_share() -> None:
    names = [stage.name for stage in every_stage()]
    assert names == ALL + [name for name in ALL if name != "detector"]
    assert tuple(families.FAMILIES) == make_all.FAMILIES


@pytest.mark.parametrize("stage", every_stage(), ids=lambda stage: stage.name)
def test_the_scripts_know_these_arguments(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parse each command with the script's own parser, and stop before it starts."""

    class Parsed(Exception):
        pass

    def parse(parser: argparse.ArgumentParser, *_: object) -> None:
        options = list(stage.command[1:])
        known = original(parser, options[: options.index("--")] if "--" in options else options)
        raise Parsed(known)

    original = argparse.ArgumentParser.parse_args
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)
    with pytest.raises(Parsed):
        importlib.import_module(f"experiments.emojiworld.{stage.command[0]}").main()


def test_a_call_ends_in_time_and_the_next_goes_on(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make_all, "START_MINUTES", 1.0)
    now = [0.0]
    monkeypatch.setattr(make_all.time, "monotonic", lambda: 60 * now[0])

    def run(stage: Stage, minutes: float | None) -> None:
        """A training of 5 minutes that stops when it is told to, after a start of one."""
        trained = json.loads((house.runs / stage.name / "state.json").read_text())["seconds"] / 60 if resumed else 0.0
        spent = min(5.0 - trained, minutes or 9e9)
        now[0] += 1 + spent
        house.write(stage.result)
        house.write(stage.result.parent / "state.json", json.dumps({"seconds": 60 * (trained + spent)}))

    only = [Stage("vae", ("train_vae",), house.runs / "vae" / "ema.safetensors", minutes=5.0)]
    resumed = False
    assert make(only, None, run, Clock(4.0)) == []
    assert now[0] == 4.0
    resumed = True
    assert make(only, None, run, Clock(1.5)) == [], "too little time to begin"
    assert now[0] == 4.0
    assert make(only, None, run, Clock(9.0)) == ["vae"]
    assert now[0] == 7.0


def test_a_carried_folder_is_small_and_holds_the_gates(house: House, tmp_path: Path) -> None:
    """From real tensors: what is complete travels as its result."""
    from safetensors.torch import save_file

    house.make()
    tensors = {"a": torch.randn(64, 64), "b": torch.arange(3)}
    for stage in house.stages:
        if stage.minutes is not None:
            when = stage.result.stat().st_mtime
            save_file(tensors, stage.result)
            os.utime(stage.result, (when, when))
    carry(house.stages, house.recipe, tmp_path / "carry")
    files = {file.name for file in (tmp_path / "carry").iterdir()}
    assert files == {"carry.json", "gates.json", *(f"{name}-1.safetensors" for name in RESULTS)}
    elsewhere = House(tmp_path / "elsewhere")
    assert portable.unpack(tmp_path / "carry", elsewhere.runs) == ["vae", "detector", "transformer"]
    assert elsewhere.make() == ["export", "gates", "methods"]
    assert elsewhere.recipe.weights.read_bytes() == (elsewhere.runs / "detector/detector.safetensors").read_bytes()


RESULTS = ("vae-ema", "detector-detector", "transformer-ema")


def test_a_trial_overwrites_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        make_all.options_of(["--trial"])
    assert "--trial needs --runs and --checkpoint" in capsys.readouterr().err
    options = make_all.options_of(["--trial", "--runs", "r", "--checkpoint", "c", "--vae-minutes", "3"])
    assert (options.vae_minutes, options.transformer_minutes) == (3.0, MINUTES["transformer"])


def test_both_families_take_about_two_hours_of_one_gpu() -> None:
    assert 90 <= 2 * sum(MINUTES.values()) - MINUTES["detector"] <= 120
