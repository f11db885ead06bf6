"""A training run that is stopped and goes on equals one that was not; scenes come in a fixed order; W&B."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from experiments.emojiworld import training
from experiments.emojiworld.training import Run, ScenePool
from tests.experiments.emojiworld import training_process
from tests.experiments.emojiworld.pool_scenes import draw


@pytest.fixture(autouse=True)
def without_wandb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)  # as if it were not installed
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("WANDB_MODE", raising=False)


def toy(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.SiLU(), nn.Linear(8, 1))


def start(folder: Path, model: nn.Module, minutes: float = 1000.0) -> Run:
    return Run(folder, model, lr=1e-2, minutes=minutes, ema=0.9)


def train(run: Run, steps: range) -> None:
    for step in steps:
        x = torch.randn(16, 4, generator=torch.Generator().manual_seed(step))
        error = (run.model(x) - x.sum(1, keepdim=True)) ** 2
        run.update(error.mean(), error=error.detach().max())


def moments(run: Run) -> dict[str, Tensor]:
    state = {name: run.states[name][p] for name, p in run.named.items()}
    return {f"{name}:{key}": value for name, row in state.items() for key, value in row.items()}


def assert_same(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys() and a
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=0, atol=0, msg=name)


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    whole = start(tmp_path / "whole", toy())
    train(whole, range(12))

    first = start(tmp_path / "parts", toy())
    train(first, range(7))
    first.save()
    second = start(tmp_path / "parts", toy(seed=1))  # its own start must not matter
    assert second.step == 7
    assert second.seconds >= first.seconds_before
    assert_same(moments(second), moments(first))
    assert all(value.abs().max() > 0 for value in moments(second).values())
    train(second, range(7, 12))

    assert second.step == whole.step == 12
    assert_same(second.model.state_dict(), whole.model.state_dict())  # batch norm's averages too
    assert_same(second.average, whole.average)
    assert_same(moments(second), moments(whole))


def test_it_learns_and_the_average_lags(tmp_path: Path) -> None:
    run = start(tmp_path, toy())
    before = {name: p.detach().clone() for name, p in run.named.items()}
    train(run, range(60))
    for name, p in run.named.items():
        moved, lag = (p - before[name]).abs().mean(), (p - run.average[name]).abs().mean()
        assert 0 < lag < moved, name


def test_minutes_of_earlier_parts_count(tmp_path: Path) -> None:
    run = start(tmp_path, toy(), minutes=1.0)
    train(run, range(1))
    assert run.progress < 0.5 and not run.done
    run.started -= 45
    run.save()
    resumed = start(tmp_path, toy(), minutes=1.0)
    assert 0.74 < resumed.progress < 1 and not resumed.done
    resumed.started -= 16
    assert resumed.done
    assert start(tmp_path, toy(), minutes=2.0).progress == pytest.approx(0.38, abs=0.05)


def test_the_rate_warms_up_and_falls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = start(tmp_path, toy(), minutes=1.0)

    def rate(step: int, progress: float) -> float:
        run.step = step
        monkeypatch.setattr(Run, "progress", property(lambda self: progress))
        train(run, range(1))
        return run.optimizers[0].param_groups[0]["lr"] / run.lr

    assert rate(0, 0.0) == pytest.approx(1 / 200)
    assert rate(1000, 0.3) == 1.0
    assert rate(1000, 0.8) == pytest.approx(0.5)
    assert rate(1000, 1.0) == pytest.approx(0.01)


def test_a_run_saves_itself_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = start(tmp_path, toy())
    train(run, range(3))
    assert not (tmp_path / "state.json").exists()
    monkeypatch.setattr(training, "SAVE_SECONDS", 0.0)
    train(run, range(3, 4))
    assert json.loads((tmp_path / "state.json").read_text())["step"] == 4
    saved = load_file(tmp_path / "weights.safetensors")
    assert_same(saved, {name: t for name, t in run.model.state_dict().items()})
    assert_same(load_file(tmp_path / "ema.safetensors"), run.average)
    assert not list(tmp_path.glob("*.part"))


def test_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = start(tmp_path, toy())
    for step in range(4):
        train(run, range(step, step + 1))
        run.log(every=2)
    run.log(every=100, score=0.5)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4, 4]
    assert rows[-1]["score"] == 0.5 and {"loss", "error", "seconds"} <= rows[0].keys()
    assert capsys.readouterr().out.count("\n") == 3
    assert run.wandb is None


@pytest.mark.parametrize(("key", "mode", "resume"), [("k", "online", "allow"), (None, "offline", None)])
def test_wandb_is_online_with_a_key_and_offline_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str | None, mode: str, resume: str | None
) -> None:
    begun: list[dict[str, Any]] = []
    rows: list[tuple[dict[str, Any], int]] = []

    def init(**options: Any) -> SimpleNamespace:
        begun.append(options)
        return SimpleNamespace(log=lambda row, step: rows.append((row, step)))

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    if key:
        monkeypatch.setenv("WANDB_API_KEY", key)
    run = start(tmp_path / "vae", toy())
    train(run, range(2))
    run.log(every=2)
    run.save()
    start(tmp_path / "vae", toy())
    assert rows[0][1] == 2 and "loss" in rows[0][0]
    assert [(options["mode"], options["resume"]) for options in begun] == [(mode, resume)] * 2
    assert begun[0]["id"] == begun[1]["id"]
    assert begun[0]["project"] == "ttom-emojiworld" and begun[0]["name"] == "vae"


def test_wandb_mode_of_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[dict[str, Any]] = []
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=lambda **options: begun.append(options)))
    monkeypatch.setenv("WANDB_MODE", "disabled")
    start(tmp_path, toy())
    assert begun[0]["mode"] == "disabled"


def batches(seed: int, workers: int, count: int = 5) -> list[dict[str, Tensor]]:
    pool = ScenePool(draw, 3, seed=seed, workers=workers)
    try:
        return list(islice(pool, count))
    finally:
        pool.close()


def test_scene_pool_is_deterministic_whatever_the_workers() -> None:
    seeds = random.Random(5).sample(range(2**31), 100_000)
    for one, two, seed in zip(batches(5, 1), batches(5, 2), seeds, strict=False):
        assert_same(one, two)
        torch.testing.assert_close(one["numbers"], draw(seed, 3)["numbers"], rtol=0, atol=0)
        assert one["threads"].tolist() == [1, 1, 1]


def test_two_processes_train_as_one_on_the_inputs_of_both(tmp_path: Path) -> None:
    alone = training_process.train(tmp_path / "alone", [0, 1])
    together = tmp_path / "together"
    together.mkdir()
    # Without the GPU: two processes may share a machine that has none, or one.
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "PYTHONPATH": os.getcwd()}
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    subprocess.run(
        [sys.executable, *torchrun, "-m", "tests.experiments.emojiworld.training_process", str(together)],
        env={**environment, "WANDB_MODE": "disabled"},
        check=True,
        capture_output=True,
        timeout=120,
    )
    first, second = (load_file(together / f"process-{rank}.safetensors") for rank in (0, 1))
    assert_same(first, second)
    for name, p in alone.named.items():
        torch.testing.assert_close(first[name], p.detach(), rtol=1e-4, atol=1e-6, msg=name)
    assert json.loads((together / "state.json").read_text())["step"] == training_process.STEPS
