"""Test-time optimization in the sampler: equal to a loop written out, and it leaves the pipeline as it was."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor

from tests.guidance.tto.sample import SETTINGS, SIZE, Sample
from tests.tiny import tiny_pipeline
from ttom.backbones.wan import WanBackbone
from ttom.errors import UserError
from ttom.guidance.tto.adapter import LoraAdapter
from ttom.losses import alignment_loss
from ttom.sampler import Sampler
from ttom.types import ObjectMasks


def by_hand(sample: Sample, keep_after: bool = False) -> tuple[list[list[float]], Tensor, list[Tensor]]:
    """The method as a plain loop, without Lightning."""
    tto = sample.settings.tto
    sampler = Sampler(sample.backbone, sample.text, sample.settings.sampler)
    adapter = LoraAdapter(sample.backbone, sample.settings.adapter, tto.blocks, seed=0)
    adapter.attach()
    optimizer = torch.optim.AdamW(adapter.parameters(), lr=tto.lr, weight_decay=tto.weight_decay)
    latents, losses, maps = sample.latents, [], []
    for i, t in enumerate(sampler.timesteps):
        if i < tto.guided_steps:
            losses.append([])
            for _ in range(tto.iterations):
                maps.append(sample.backbone.object_maps(latents, t, sample.text.positive, sample.tokens, tto.blocks))
                loss = alignment_loss(tto.loss, maps[-1], sample.masks)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses[-1].append(loss.item())
            maps.append(sample.backbone.object_maps(latents, t, sample.text.positive, sample.tokens, tto.blocks))
        elif i == tto.guided_steps:
            adapter.enabled(keep_after)
        latents = sampler.step(i, latents)
    adapter.detach()
    return losses, latents, [m.detach().mean(0) for m in maps]


@pytest.mark.parametrize("keep_after", [False, True])
def test_equals_the_plain_loop(tiny: WanBackbone, keep_after: bool) -> None:
    sample = Sample(tiny).with_tto(keep_after=keep_after)
    losses, latents, maps = by_hand(sample, keep_after)
    result = sample.run()
    assert result.outcome.losses == losses
    assert torch.equal(result.latents, latents)
    assert torch.equal(result.outcome.maps_before, maps[0]) and torch.equal(result.outcome.maps_after, maps[-1])
    assert result.outcome.maps_before.shape == (2, 3, 8, 12)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_later_adapters_and_checkpointing_equal_the_plain_loop(
    tiny: WanBackbone, first: int, checkpointing: bool
) -> None:
    """The plain loop runs all blocks every time and keeps all activations; the fit need not."""
    settings = replace(SETTINGS, adapter=replace(SETTINGS.adapter, first_block=first))
    sample = Sample(tiny, settings)
    losses, latents, maps = by_hand(sample)
    calls: list[int] = []
    tiny.transformer.blocks[0].register_forward_pre_hook(lambda *_: calls.append(1))
    if checkpointing:
        tiny.transformer.enable_gradient_checkpointing()
    result = sample.run()
    assert result.outcome.losses == losses
    assert torch.equal(result.latents, latents) and torch.equal(result.outcome.maps_after, maps[-1])
    assert {int(name.split(".")[1]) for name in result.outcome.adapter} == set(range(first, 3))
    steps = 2 * 5  # of both branches
    iterations = 2 * (1 if first else 3 + 3 * checkpointing) + (0 if first else 1)
    assert len(calls) == steps + iterations


def test_optimizes_on_a_smaller_picture(tiny: WanBackbone) -> None:
    """Maps and loss are those of every second latent; the steps are those of the whole picture."""
    sample = Sample(tiny).with_tto(downsample=2, iterations=6, lr=3e-2)
    sample.masks = ObjectMasks(torch.nn.functional.avg_pool2d(sample.masks.masks, 2) * 4, sample.masks.visible)
    result = sample.run()
    picked = sample.latents[..., 1::2, 1::2]
    assert torch.equal(tiny.reduced(sample.latents, 2), picked) and torch.equal(
        tiny.reduced(sample.latents, 1), sample.latents
    )
    timestep = Sampler(tiny, sample.text, sample.settings.sampler).timesteps[0]
    with torch.no_grad():
        maps = tiny.object_maps(picked, timestep, sample.text.positive, sample.tokens, (1, 2))
    assert torch.equal(result.outcome.maps_before, maps.mean(0)) and maps.shape[2:] == (3, 4, 6)
    assert result.outcome.losses[0][0] == alignment_loss("jsd", maps, sample.masks).item()
    assert result.outcome.losses[-1][-1] < 0.9 * result.outcome.losses[0][0]
    assert result.latents.shape == sample.latents.shape
    # What was optimized there lowers the exact loss too.
    exact = Sample(tiny)
    with torch.no_grad():
        losses = []
        for state in (None, result.outcome.adapter):
            adapter = LoraAdapter(tiny, exact.settings.adapter, (1, 2), seed=0)
            adapter.attach()
            if state is not None:
                adapter.load_state_dict(state)
            maps = tiny.object_maps(sample.latents, timestep, sample.text.positive, sample.tokens, (1, 2))
            losses.append(alignment_loss("jsd", maps, exact.masks).item())
            adapter.detach()
    assert losses[1] < losses[0]


@pytest.mark.parametrize("patch", [1, 2])
def test_reduced_latents_fill_the_reduced_grid(patch: int) -> None:
    """Also where the factor does not divide the rows: 4 x 6 tokens of two latents a side by 4 are 1 x 1."""
    backbone = WanBackbone("tiny", tiny_pipeline(patch))
    latents = backbone.initial_latents(SIZE, 0)
    for factor in (2, 3, 4):
        grid = backbone.token_grid(SIZE).reduced(factor)
        small = backbone.reduced(latents, factor)
        assert small.shape[-2:] == (grid.height * patch, grid.width * patch)
        assert abs(small.std() - 1) < 0.2  # chosen, not averaged
    with pytest.raises(UserError, match="`tto.downsample` is 13"):
        backbone.reduced(latents, 13)


def test_the_loss_falls_and_the_video_changes(tiny: WanBackbone) -> None:
    sample = Sample(tiny).with_tto(iterations=6, lr=3e-2)
    result = sample.run()
    assert [len(step) for step in result.outcome.losses] == [6, 6]
    assert result.outcome.losses[-1][-1] < 0.8 * result.outcome.losses[0][0]
    inside = sample.masks.masks > 0
    shares = [(m * inside).sum() / m.sum() for m in (result.outcome.maps_before, result.outcome.maps_after)]
    assert shares[1] > shares[0] + 0.05
    base = Sampler(tiny, sample.text, sample.settings.sampler).run(sample.latents).latents
    assert not torch.allclose(result.latents, base)


def test_same_seed_same_result_whatever_the_global_state(tiny: WanBackbone) -> None:
    sample = Sample(tiny)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = sample.run(seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    second, other = sample.run(seed=3), sample.run(seed=4)
    assert first.outcome.losses == second.outcome.losses and torch.equal(first.latents, second.latents)
    assert all(torch.equal(first.outcome.adapter[k], second.outcome.adapter[k]) for k in first.outcome.adapter)
    assert (
        first.outcome.losses[0][0] == other.outcome.losses[0][0]
        and first.outcome.losses[0][-1] != other.outcome.losses[0][-1]
    )


def test_the_pipeline_is_as_before(tiny: WanBackbone) -> None:
    sample = Sample(tiny)
    before = {k: v.clone() for k, v in tiny.transformer.state_dict().items()}
    base = Sampler(tiny, sample.text, sample.settings.sampler).run(sample.latents).latents
    sample.run()
    assert before.keys() == tiny.transformer.state_dict().keys()
    assert all(torch.equal(v, before[k]) for k, v in tiny.transformer.state_dict().items())
    assert torch.equal(Sampler(tiny, sample.text, sample.settings.sampler).run(sample.latents).latents, base)


def test_early_stop_ends_a_steps_iterations_but_not_the_run(tiny: WanBackbone) -> None:
    full = Sample(tiny).with_tto(guided_steps=3).run().outcome.losses
    threshold = (full[0][0] + full[0][1]) / 2  # reached by the second loss
    result = Sample(tiny).with_tto(guided_steps=3, stop_loss=threshold).run()
    assert result.outcome.losses[0] == full[0][:2]
    assert len(result.outcome.losses) == 3 and all(len(step) >= 1 for step in result.outcome.losses)
    assert all(loss >= threshold for step in result.outcome.losses for loss in step[:-1])


def test_starts_from_given_values(tiny: WanBackbone) -> None:
    sample = Sample(tiny)
    first = sample.run()
    again = sample.run(seed=9, adapter=first.outcome.adapter)
    assert again.outcome.losses[0][0] < first.outcome.losses[0][0]


def test_progress_and_logger(tiny: WanBackbone, tmp_path: Path) -> None:
    seen: list[tuple] = []
    logger = CSVLogger(tmp_path, name="", version="")
    result = Sample(tiny).run(logger=logger, progress=lambda *args: seen.append(args))
    losses = [loss for step in result.outcome.losses for loss in step]
    assert seen[:6] == [("optimize", i + 1, 6, loss) for i, loss in enumerate(losses)]
    assert seen[6:] == [("sample", i, 3, None) for i in (1, 2, 3)]
    rows = (tmp_path / "metrics.csv").read_text().splitlines()
    column = rows[0].split(",").index("tto/loss")
    assert [float(row.split(",")[column]) for row in rows[1:]] == pytest.approx(losses, rel=1e-6)


def test_interrupt_propagates_and_restores(tiny: WanBackbone) -> None:
    processors = [block.attn2.processor for block in tiny.transformer.blocks]
    handler = signal.getsignal(signal.SIGINT)

    def press(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        Sample(tiny).run(progress=press)
    assert signal.getsignal(signal.SIGINT) is handler
    assert not any("lora" in name for name in tiny.transformer.state_dict())
    assert all(b.attn2.processor is p for b, p in zip(tiny.transformer.blocks, processors, strict=True))


def test_logging_levels_are_put_back(tiny: WanBackbone) -> None:
    logger = logging.getLogger("lightning.pytorch")
    logger.setLevel(logging.DEBUG)
    Sample(tiny).run()
    assert logger.level == logging.DEBUG
    logger.setLevel(logging.INFO)


def test_a_fresh_process_prints_nothing_and_writes_nothing(tiny_folder: Path, tmp_path: Path) -> None:
    code = f"""
from ttom.backbones import load_backbone
from tests.guidance.tto.sample import Sample
Sample(load_backbone({str(tiny_folder)!r}, device="cpu")).run()
"""
    root = Path(__file__).parents[3]
    environment = os.environ | {"PYTHONPATH": str(root), "SLURM_NTASKS": "4", "SLURM_JOB_NAME": "job"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []
