"""An export is a stock pipeline that TTOM loads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers import CogVideoXPipeline
from safetensors.torch import save_file

from experiments.emojiworld import export, train_transformer
from experiments.emojiworld.families import FAMILIES, Family
from experiments.emojiworld.models import LATENT_CHANNELS
from experiments.emojiworld.train_transformer import LatentEncoder, TextToVideo, clip_scenes, scenes
from tests.experiments.emojiworld.tiny_cogvideox import PROMPT
from ttom import checkpoints
from ttom.backbones import load_backbone
from ttom.backbones.cogvideox import CogVideoXBackbone
from ttom.emojiworld.editions import FIRST
from ttom.emojiworld.render import Renderer, frame_times
from ttom.emojiworld.scene import FRAMES, HEIGHT, WIDTH


def test_an_export_is_a_stock_pipeline_that_ttom_loads(
    family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = clip_scenes
    monkeypatch.setattr(train_transformer, "clip_scenes", lambda seed, count: few(seed, 1))
    model, vae = TextToVideo(family), family.build_vae()
    for name, module in (("vae", vae), ("transformer", model)):
        (tmp_path / name).mkdir()
        tensors = {key: value.detach().clone() for key, value in module.named_parameters()}
        save_file(tensors, tmp_path / name / "ema.safetensors")
    monkeypatch.setitem(FAMILIES, "cogvideox", family)
    folder = tmp_path / "emojiworld-cogvideox"
    monkeypatch.setattr(
        "sys.argv",
        ["export", "--family", "cogvideox", "--vae", str(tmp_path / "vae")]
        + ["--transformer", str(tmp_path / "transformer"), "--out", str(folder)],
    )
    export.main()

    scaling = json.loads((folder / "vae" / "config.json").read_text())["scaling_factor"]
    encoder = LatentEncoder(folder, "cpu", family)
    assert encoder.normalization == {"scaling_factor": scaling}
    latents = torch.cat([encoder(few(seed, 1), frame_times(FRAMES)) for seed in range(8)])
    assert latents.shape == (8, LATENT_CHANNELS, 5, HEIGHT // 4, WIDTH // 4)
    assert latents.std().item() == pytest.approx(1, rel=0.05)

    stock = CogVideoXPipeline.from_pretrained(folder)
    assert {part.dtype for part in (stock.text_encoder, stock.transformer, stock.vae)} == {torch.float32}
    stock.set_progress_bar_config(disable=True)
    options = {"height": 32, "width": 48, "num_frames": 9, "num_inference_steps": 2, "max_sequence_length": 64}
    frames = stock(PROMPT, generator=torch.Generator().manual_seed(0), output_type="np", **options).frames
    assert frames.shape == (1, 9, 32, 48, 3)
    assert type(load_backbone(str(folder), device="cpu")) is CogVideoXBackbone

    again = TextToVideo(family)  # training goes on from an export, rounded to fp16
    again.load(folder)
    for name, tensor in model.state_dict().items():
        if not name.startswith("reader"):
            torch.testing.assert_close(again.state_dict()[name], tensor, rtol=1e-3, atol=1e-4)


def test_an_exported_pipeline_gives_the_latents_that_its_own_vae_gives() -> None:
    from diffusers import AutoencoderKLWan

    folder = checkpoints.path("emojiworld-wan")
    encoder = LatentEncoder(folder, "cpu")
    stated = json.loads((folder / "vae" / "config.json").read_text())
    assert encoder.normalization == {
        name: pytest.approx(stated[name], rel=1e-6) for name in ("latents_mean", "latents_std")
    }
    packed = scenes(3, 2, FIRST.shares, FIRST)
    latents = encoder(packed, frame_times(FRAMES))
    vae = AutoencoderKLWan.from_pretrained(folder / "vae")
    video, _ = Renderer()(packed, frame_times(FRAMES))
    with torch.no_grad():
        stock = vae.encode(video).latent_dist.mode()
    stock = (stock - torch.tensor(stated["latents_mean"]).view(1, -1, 1, 1, 1)) / torch.tensor(
        stated["latents_std"]
    ).view(1, -1, 1, 1, 1)
    assert latents.shape == (2, 16, 5, 16, 24)
    # bfloat16 in training against float32
    assert (latents - stock).norm() / stock.norm() < 0.03
    assert 0.7 < latents.std() < 1.4
