"""The stages of `make emojiworld`: what is skipped, gone on with, or made anew."""

from __future__ import annotations

import argparse
import importlib
import json
import os
from pathlib import Path

import pytest

from experiments.emojiworld import families, make_all
from experiments.emojiworld.make_all import FAMILIES, MINUTES, Stage, make, stages

ALL = ["vae", "detector", "transformer", "export", "gates", "methods"]


class House:
    """Stages in a temporary folder, and a stand-in for their commands that writes what they would."""

    def __init__(self, folder: Path) -> None:
        self.runs, self.checkpoint, self.results = folder / "runs", folder / "checkpoint", folder / "results"
        self.clock = 1_000_000_000.0
        self.seen_rows: list[bool] = []
        self.kept_weights: list[bool] = []
        make_all.WEIGHTS = folder / "detector.safetensors"  # put back by the fixture
        self.stages = stages(self.runs, self.checkpoint, self.results)

    def write(self, path: Path, text: str = "") -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self.clock += 10
        os.utime(path, (self.clock, self.clock))

    def run(self, stage: Stage) -> None:
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

    def make(self, redo_from: str | None = None) -> list[str]:
        made = make(self.stages, redo_from, self.run)
        installed = make_all.WEIGHTS
        if "detector" in made:  # the copy is as old as the original, not as today
            age = (self.runs / "detector" / "detector.safetensors").stat().st_mtime
            os.utime(installed, (age, age))
        return made


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setattr(make_all, "WEIGHTS", make_all.WEIGHTS)
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
    return [stage for family in FAMILIES for stage in stages(Path("r"), Path("c"), Path("e"), family)]


def test_several_gpus_share_the_two_long_trainings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(
        make_all.subprocess, "run", lambda command, cwd: ran.append(command) or argparse.Namespace(returncode=0)
    )
    two = stages(tmp_path, tmp_path, tmp_path, gpus=2)
    for stage in two:
        make_all.run_stage(stage)
    shared = ["-m", "torch.distributed.run", "--nproc-per-node=2", "-m", "experiments.emojiworld.train_vae"]
    assert ran[0][1:6] == shared
    assert [stage.name for stage in two if stage.processes == 2] == ["vae", "transformer"]
    assert two[0].minutes == MINUTES["vae"] / 2
    assert two[0].command[3:5] == ("--minutes", f"{MINUTES['vae'] / 2:g}")
    assert ran[1][1:3] == ["-m", "experiments.emojiworld.train_detector"]
    assert two[1].minutes == MINUTES["detector"]


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


def test_about_an_hour() -> None:
    assert 30 <= sum(MINUTES.values()) <= 60
