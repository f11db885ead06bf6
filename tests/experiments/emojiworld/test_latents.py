"""The latents that the transformer is trained on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from experiments.emojiworld.train_transformer import LatentEncoder, TextToVideo, scenes
from ttom import checkpoints
from ttom.emojiworld.editions import FIRST
from ttom.emojiworld.render import Renderer, frame_times
from ttom.emojiworld.scene import FRAMES


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


def test_going_on_from_the_checkpoint_starts_at_its_loss() -> None:
    """The exported weights, put back into the training module, predict far better than fresh ones."""
    torch.manual_seed(0)
    folder = checkpoints.path("emojiworld-wan")
    packed = scenes(5, 4, FIRST.shares, FIRST)
    latents = LatentEncoder(folder, "cpu")(packed, frame_times(FRAMES))
    fresh, trained = TextToVideo(edition=FIRST), TextToVideo(edition=FIRST)
    trained.load(folder)
    with torch.no_grad():
        losses = [
            model(latents, packed["tokens"].long(), packed["roles"], 64, 2.0)[0].item() for model in (fresh, trained)
        ]
    assert losses[1] < 0.4 < losses[0]


def test_a_run_that_resumes_keeps_its_normalization(tmp_path: Path) -> None:
    """Measured again on another machine it would differ in the last digits, and the export would not fit."""
    from safetensors.torch import save_file

    from experiments.emojiworld.families import FAMILIES

    torch.manual_seed(0)
    weights = FAMILIES["wan"].build_vae().state_dict()
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, tmp_path / "ema.safetensors")
    known = {"latents_mean": [0.25] * 16, "latents_std": [1.5] * 16}
    (tmp_path / "kept.json").write_text(json.dumps(known))
    encoder = LatentEncoder(tmp_path, "cpu", kept=tmp_path / "kept.json")
    assert encoder.normalization == known
    encoder.save_normalization(tmp_path / "again.json")
    assert json.loads((tmp_path / "again.json").read_text()) == known
