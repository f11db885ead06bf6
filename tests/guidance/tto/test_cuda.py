"""The same on a GPU: fused kernels in bfloat16, Lightning's GPU accelerator, and silence."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.backbones.test_cogvideox_tto import Sample as CogVideoXSample
from tests.guidance.tto.sample import Sample
from ttom.attention import joint
from ttom.backbones import load_backbone

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_optimizes_quietly(tiny_folder: Path, dtype: str, capfd: pytest.CaptureFixture[str]) -> None:
    sample = Sample(load_backbone(str(tiny_folder), device="cuda", dtype=dtype)).with_tto(iterations=6, lr=3e-2)
    result = sample.run()
    assert capfd.readouterr() == ("", "")
    assert result.outcome.losses[-1][-1] < result.outcome.losses[0][0]
    assert result.latents.is_cuda and sample.backbone.transformer.device.type == "cuda"


def test_first_loss_is_that_of_the_cpu(tiny_folder: Path) -> None:
    losses = [
        Sample(load_backbone(str(tiny_folder), device=device)).run().outcome.losses[0] for device in ("cpu", "cuda")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_auto_takes_the_gpu_in_float32_for_a_small_model(tiny_folder: Path) -> None:
    backbone = load_backbone(str(tiny_folder))
    assert (backbone.device.type, backbone.dtype) == ("cuda", torch.float32)


@pytest.mark.parametrize("parts", [False, True], ids=["at once", "in parts"])
def test_cogvideox_first_losses_are_those_of_the_cpu(
    cogvideox_folder: Path, monkeypatch: pytest.MonkeyPatch, parts: bool
) -> None:
    """Three iterations, so that a wrong gradient shows."""
    losses = []
    for device in ("cpu", "cuda"):
        if parts and device == "cuda":
            monkeypatch.setattr(joint, "WRITTEN_OUT", 0)
        losses.append(CogVideoXSample(load_backbone(str(cogvideox_folder), device=device)).run().outcome.losses[0])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
