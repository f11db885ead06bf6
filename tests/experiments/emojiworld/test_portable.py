"""Trainings that travel: few small files, and a run that goes on from them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from experiments.emojiworld import portable
from experiments.emojiworld.training import WARM_UP
from tests.experiments.emojiworld.test_training import start, toy, train, without_wandb

__all__ = ["without_wandb"]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """An unfinished training of 7 steps, with a note beside it."""
    run = start(tmp_path / "runs" / "toy", toy())
    train(run, range(7))
    run.save()
    (tmp_path / "runs" / "toy" / "normalization.json").write_text('{"mean": 1.5}')
    return tmp_path / "runs"


def pack(runs: Path, finished: bool = False) -> Path:
    carried = runs.parent / "carry"
    portable.pack(runs, carried, {"toy": runs / "toy" / "ema.safetensors"}, {"toy"} if finished else set())
    return carried


def test_an_unfinished_run_goes_on_elsewhere(runs: Path, tmp_path: Path) -> None:
    assert portable.unpack(pack(runs), tmp_path / "other") == ["toy"]
    assert json.loads((tmp_path / "other" / "toy" / "normalization.json").read_text()) == {"mean": 1.5}
    here, there = start(runs / "toy", toy(1)), start(tmp_path / "other" / "toy", toy(2))
    assert there.step == here.step == 7 and there.seconds_before == here.seconds_before
    for name in here.named:
        torch.testing.assert_close(there.named[name], here.named[name], rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(there.average[name], here.average[name], rtol=1e-3, atol=1e-4)
    assert (here.warm_from, there.warm_from) == (0, 7)
    train(there, range(7, 8))
    assert there.optimizers[0].param_groups[0]["lr"] == pytest.approx(there.lr / WARM_UP)


def test_a_finished_run_is_its_result_and_can_be_trained_further(runs: Path, tmp_path: Path) -> None:
    carried = pack(runs, finished=True)
    assert {file.name for file in carried.iterdir()} == {"carry.json", "toy-ema-1.safetensors"}
    portable.unpack(carried, tmp_path / "other")
    assert {file.name for file in (tmp_path / "other" / "toy").iterdir()} == {
        "ema.safetensors",
        "normalization.json",
        "state.json",
    }
    there = start(tmp_path / "other" / "toy", toy(2))
    train(there, range(7, 9))
    assert there.step == 9


def test_what_has_got_further_here_stays(runs: Path) -> None:
    carried = pack(runs)
    before = (runs / "toy" / "weights.safetensors").read_bytes()
    assert portable.unpack(carried, runs) == []
    assert (runs / "toy" / "weights.safetensors").read_bytes() == before


def test_shards_are_small_whole_and_those_of_the_last_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portable, "SHARD_BYTES", 1000)
    tensors = {f"t{i}": torch.randn(20, 10) for i in range(6)} | {"count": torch.tensor(3)}
    for count in (6, 2):
        (tmp_path / "runs" / "big").mkdir(parents=True, exist_ok=True)
        (tmp_path / "runs" / "big" / "state.json").write_text('{"seconds": 1}')
        save_file(dict(list(tensors.items())[:count]), tmp_path / "runs" / "big" / "ema.safetensors")
        results = {"big": tmp_path / "runs" / "big" / "ema.safetensors"}
        files = portable.pack(tmp_path / "runs", tmp_path / "carry", results, {"big"})
        assert len(files) == 1 + count // 2  # two of 400 bytes in each
    portable.unpack(tmp_path / "carry", tmp_path / "other")
    found = load_file(tmp_path / "other" / "big" / "ema.safetensors")
    assert found.keys() == {"t0", "t1"}
    torch.testing.assert_close(found["t0"].float(), tensors["t0"], rtol=1e-3, atol=1e-3)


def test_another_version_is_refused_and_nothing_is_nothing(tmp_path: Path) -> None:
    assert portable.unpack(tmp_path, tmp_path / "runs") == []
    (tmp_path / "carry.json").write_text('{"version": 9}')
    with pytest.raises(SystemExit, match="has version 9, this code reads 1"):
        portable.unpack(tmp_path, tmp_path / "runs")
