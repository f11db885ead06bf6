"""Adapters and test-time optimization on the CogVideoX backbone."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import CogVideoXPipeline
from torch import Tensor

from tests.backbones.test_cogvideox import EVERY_KIND, PROMPT, SETTINGS, SIZE
from tests.gradients import equal_central_differences
from tests.running import run, run_loaded, run_tto
from tests.tiny import TEXT_LENGTH, tiny_cogvideox
from ttom import TTOM
from ttom.backbones import load_backbone
from ttom.backbones.cogvideox import CogVideoXBackbone
from ttom.errors import UserError
from ttom.guidance.tto.adapter import LoraAdapter
from ttom.losses import alignment_loss
from ttom.prepare import Prepared
from ttom.sampler import Sampled
from ttom.types import ObjectMasks


def prediction(backbone: CogVideoXBackbone) -> Tensor:
    text = backbone.encode_prompt("two dogs", "", guidance=False, max_sequence_length=TEXT_LENGTH)
    with torch.no_grad():
        return backbone.denoise(backbone.initial_latents(SIZE, 1), torch.tensor(500), text.positive)


def filled(backbone: CogVideoXBackbone, blocks: tuple[int, ...] = (2,)) -> LoraAdapter:
    """An attached adapter with values that have an effect, as if trained."""
    adapter = LoraAdapter(backbone, SETTINGS.adapter, blocks, seed=0)
    adapter.attach()
    with torch.no_grad():
        for i, parameter in enumerate(adapter.parameters()):
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(i)))
    return adapter


def test_lora_only_where_gradient_arrives(cogvideox: CogVideoXBackbone) -> None:
    plain = prediction(cogvideox)
    adapter = filled(cogvideox, (0, 2))
    modules = {name.rsplit(".lora_", 1)[0] for name in adapter.named_parameters()}
    expected = {f"transformer_blocks.{b}.attn1.{p}" for b in (0, 1) for p in ("to_q", "to_k", "to_v", "to_out.0")}
    assert modules == expected | {"transformer_blocks.2.attn1.to_q", "transformer_blocks.2.attn1.to_k"}
    assert "blocks 0-2 (10 layers)" in str(adapter.signature)
    assert not torch.allclose(prediction(cogvideox), plain)
    adapter.enabled(False)
    assert torch.equal(prediction(cogvideox), plain)
    adapter.detach()
    assert torch.equal(prediction(cogvideox), plain)


def test_stock_pipeline_loads_what_was_saved(cogvideox_folder: Path, tmp_path: Path) -> None:
    ours = load_backbone(str(cogvideox_folder), device="cpu")
    filled(ours).save(tmp_path)
    stock = CogVideoXPipeline.from_pretrained(cogvideox_folder)
    plain = prediction(CogVideoXBackbone("stock", stock))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        stock.load_lora_weights(tmp_path)
    loaded = prediction(CogVideoXBackbone("stock", stock))
    assert not torch.allclose(loaded, plain)
    assert torch.equal(loaded, prediction(ours))  # alpha / rank = 3 included


def test_fused_projections_are_refused(cogvideox: CogVideoXBackbone) -> None:
    cogvideox.pipe.fuse_qkv_projections()
    with pytest.raises(UserError, match="fused"):
        LoraAdapter(cogvideox, SETTINGS.adapter, (1,), seed=0)
    cogvideox.pipe.unfuse_qkv_projections()
    assert filled(cogvideox).targets


# Test-time optimization


class Sample:
    """One prompt with masks on opposite sides, ready to run."""

    def __init__(self, backbone: CogVideoXBackbone, **changes: object) -> None:
        self.settings = replace(SETTINGS, tto=replace(SETTINGS.tto, **changes))
        self.text = backbone.encode_prompt(PROMPT, "", guidance=True, max_sequence_length=TEXT_LENGTH)
        find = backbone.vocabulary.phrase_tokens
        self.tokens = [find(PROMPT, phrase, TEXT_LENGTH) for phrase in ("dogs", "red balloon")]
        grid = backbone.token_grid(SIZE)
        masks = torch.zeros(2, grid.frames, grid.height, grid.width)
        masks[0, :, 1:3, :2], masks[1, :, 1:3, 4:] = 1 / 4, 1 / 4
        self.masks = ObjectMasks(masks, torch.ones(2, grid.frames, dtype=torch.bool))
        self.backbone, self.latents = backbone, backbone.initial_latents(SIZE, 0)

    def prepared(self, seed: int = 0) -> Prepared:
        inputs = (self.latents, self.text, self.tokens, self.masks)
        return Prepared(self.backbone, self.settings, seed, PROMPT, None, *inputs)

    def run(self, seed: int = 0) -> Sampled:
        return run_tto(self.prepared(seed))

    def base(self) -> Tensor:
        return run(self.prepared()).latents


@EVERY_KIND
def test_the_loss_falls_the_maps_move_and_the_video_changes(cogvideox: CogVideoXBackbone) -> None:
    sample = Sample(cogvideox, iterations=8, lr=3e-2)
    names = list(cogvideox.transformer.state_dict())
    result = sample.run()
    assert result.outcome.losses[-1][-1] < 0.9 * result.outcome.losses[0][0]
    inside = sample.masks.masks > 0
    shares = [(m * inside).sum() / m.sum() for m in (result.outcome.maps_before, result.outcome.maps_after)]
    assert shares[1] > shares[0] + 0.05
    assert not torch.allclose(result.latents, sample.base())
    assert list(cogvideox.transformer.state_dict()) == names


def test_steps_that_draw_noise_draw_the_same_with_and_without_optimization() -> None:
    """An optimization too small to matter changes nothing: its steps go on from the noise of the same seed."""
    sample = Sample(CogVideoXBackbone("tiny", tiny_cogvideox("5b", dpm=True)), lr=1e-30)
    base, result = sample.base(), sample.run()
    assert torch.equal(result.latents, base)
    state = {name: torch.zeros_like(value) for name, value in result.outcome.adapter.items()}
    assert torch.equal(run_loaded(sample.prepared(), state).latents, base)
    assert not torch.equal(sample.run(seed=1).latents, base)


@pytest.mark.parametrize("cogvideox", ["2b", "5b"], indirect=True)
def test_gradients_equal_finite_differences(cogvideox: CogVideoXBackbone, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss's gradient for LoRA tensors of every kind, in float64, against central differences."""
    monkeypatch.setattr(torch.Tensor, "float", lambda tensor: tensor)  # diffusers' own casts to float32 are off
    cogvideox.pipe.to(torch.float64)
    sample = Sample(cogvideox)
    adapter = LoraAdapter(cogvideox, SETTINGS.adapter, (1, 2), seed=0)
    adapter.attach()
    masks = ObjectMasks(sample.masks.masks.double(), sample.masks.visible)

    def loss() -> Tensor:
        maps = cogvideox.object_maps(sample.latents, torch.tensor(900), sample.text.positive, sample.tokens, (1, 2))
        return alignment_loss("jsd", maps, masks)

    equal_central_differences(adapter.named_parameters(), loss)


def test_from_prompt_to_video(cogvideox_folder: Path) -> None:
    """The whole way through TTOM; method base is the stock pipeline's call."""
    runner = TTOM.from_pretrained(str(cogvideox_folder), device="cpu")
    assert runner.preset == "cogvideox"
    prompt = "A red balloon moves from left to right above a blue house"
    settings = replace(SETTINGS, sampler=replace(SETTINGS.sampler, max_sequence_length=24))
    steered, base = (runner.generate(prompt, method, seed=7, settings=settings) for method in ("ttom", "base"))
    assert steered.video.shape == (17, 32, 48, 3)
    assert steered.masks is not None and steered.masks.masks.shape == (2, 5, 4, 6)
    assert steered.report.tto.loss_last < steered.report.tto.loss_first
    pipe = runner.load().pipe
    pipe.set_progress_bar_config(disable=True)
    theirs = pipe(
        prompt, height=32, width=48, num_frames=17, num_inference_steps=5, guidance_scale=4.0, output_type="latent",
        max_sequence_length=24, generator=torch.Generator().manual_seed(7),
    ).frames  # fmt: skip
    assert torch.equal(base.latents, theirs) and not torch.equal(steered.latents, theirs)
