"""The optimization as a LightningModule: its gradients, what it refuses, and one fit that goes on from step to step."""

from __future__ import annotations

import weakref
from dataclasses import replace
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor

from tests.gradients import equal_central_differences
from tests.guidance.tto.sample import SETTINGS, Sample
from ttom.attention.capture import Prefix
from ttom.backbones.wan import WanBackbone
from ttom.config import AdapterConfig
from ttom.errors import UserError
from ttom.guidance.tto import module
from ttom.guidance.tto.adapter import LoraAdapter
from ttom.guidance.tto.module import OptimizationModule
from ttom.losses import alignment_loss
from ttom.sampler import Sampler
from ttom.types import ObjectMasks


@pytest.mark.parametrize("first", [0, 1])
def test_what_the_iterations_share_is_gone_before_a_step(
    tiny: WanBackbone, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    made: list[weakref.ref[Prefix]] = []
    held: list[bool] = []

    class Watched(Prefix):
        def __init__(self, block: int) -> None:
            super().__init__(block)
            made.append(weakref.ref(self))

    def step(*inputs: Any) -> Tensor:
        alive = [prefix for prefix in (reference() for reference in made) if prefix is not None]
        held.append(any(prefix.attended is not None or prefix.inputs is not None for prefix in alive))
        return original(*inputs)

    original = Sampler.step
    monkeypatch.setattr(Sampler, "step", step)
    monkeypatch.setattr(module, "Prefix", Watched)
    Sample(tiny, replace(SETTINGS, adapter=replace(SETTINGS.adapter, first_block=first))).run()
    assert made and held == [False] * 5


def test_an_adapter_after_the_first_target_block_is_refused() -> None:
    with pytest.raises(UserError, match="(?s)`adapter.first_block` is 2.*at most 1"):
        replace(SETTINGS, adapter=replace(SETTINGS.adapter, first_block=2))
    with pytest.raises(UserError, match="`adapter.first_block` is -1"):
        AdapterConfig(first_block=-1)


@pytest.mark.parametrize("block", [0, 2])
def test_a_tensor_without_gradient_is_found(tiny: WanBackbone, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    """Cut a block out of the graph: its LoRA would never be trained, and nobody would notice."""
    attn = tiny.transformer.blocks[block].attn2
    norm = attn.norm_k.forward
    monkeypatch.setattr(attn.norm_k, "forward", lambda x: norm(x.detach()))
    with pytest.raises(AssertionError, match=f"blocks.{block}.attn2.to_k.lora_B"):
        Sample(tiny).run()
    assert not any("lora" in name for name in tiny.transformer.state_dict())


def test_a_first_matrix_without_gradient_is_found(tiny: WanBackbone, monkeypatch: pytest.MonkeyPatch) -> None:
    """A has no gradient while B is 0: seen at the second iteration, and not demanded of a single one."""
    enabled = LoraAdapter.enabled

    def freeze(adapter: LoraAdapter, on: bool) -> None:
        enabled(adapter, on)
        adapter.named_parameters()["blocks.0.attn2.to_v.lora_A.weight"].requires_grad_(False)

    monkeypatch.setattr(LoraAdapter, "enabled", freeze)
    Sample(tiny).with_tto(guided_steps=1, iterations=1).run()
    for schedule in ({"guided_steps": 1, "iterations": 2}, {"guided_steps": 2, "iterations": 1}):
        with pytest.raises(AssertionError, match="1 trained tensors, among them blocks.0.attn2.to_v.lora_A"):
            Sample(tiny).with_tto(**schedule).run()


def test_gradients_equal_finite_differences(tiny: WanBackbone, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss's gradient for LoRA tensors of every kind, in float64, against central differences."""
    monkeypatch.setattr(torch.Tensor, "float", lambda tensor: tensor)  # diffusers' own casts to float32 are off
    tiny.pipe.to(torch.float64)
    sample = Sample(tiny)
    adapter = LoraAdapter(tiny, sample.settings.adapter, (1, 2), seed=0)
    adapter.attach()
    masks = ObjectMasks(sample.masks.masks.double(), sample.masks.visible)

    def loss() -> Tensor:
        maps = tiny.object_maps(sample.latents, torch.tensor(900.0), sample.text.positive, sample.tokens, (1, 2))
        return alignment_loss("jsd", maps, masks)

    equal_central_differences(adapter.named_parameters(), loss)


def test_the_fit_goes_on_from_step_to_step(tiny: WanBackbone, monkeypatch: pytest.MonkeyPatch) -> None:
    """One Trainer and one AdamW for all guided steps, and no more fits than these."""
    fits, optimizers = [], []
    fit, configure = Trainer.fit, OptimizationModule.configure_optimizers

    def counted(self: Trainer, model: Any) -> None:
        fits.append(self)
        fit(self, model)
        optimizers.append(model.configure_optimizers())

    monkeypatch.setattr(Trainer, "fit", counted)
    monkeypatch.setattr(OptimizationModule, "configure_optimizers", configure)
    Sample(tiny).with_tto(guided_steps=3, iterations=2).run()
    assert len(fits) == 3 and len(set(fits)) == 1 and len(set(optimizers)) == 1
    (state, *_) = optimizers[0].state.values()
    assert state["step"] == 6
