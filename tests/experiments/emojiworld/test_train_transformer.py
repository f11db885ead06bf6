"""Training of the transformer: losses fall, and a run goes on where it stopped."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

from experiments.emojiworld import train_vae
from experiments.emojiworld.families import Family
from experiments.emojiworld.models import LATENT_CHANNELS, TEXT_TOKENS
from experiments.emojiworld.train_transformer import LatentEncoder, TextToVideo, by_muon, clip_scenes, scenes
from tests.experiments.emojiworld.tiny_cogvideox import COGVIDEOX
from ttom import checkpoints
from ttom.emojiworld.editions import FIRST
from ttom.emojiworld.render import frame_times
from ttom.emojiworld.scene import FRAMES, HEIGHT, WIDTH


def test_a_few_steps_lower_the_losses_of_both_models(family: Family) -> None:
    """Everything trainable receives a gradient, and one clip is learnt a little."""
    video, weight = torch.linspace(-1, 1, 16).expand(1, 3, 9, 8, 16), torch.ones(1, 1, 9, 8, 16)
    vae, model = family.build_vae(), TextToVideo(family)
    packed = clip_scenes(1, 2)
    latents = torch.randn(2, LATENT_CHANNELS, 1, HEIGHT // 4, WIDTH // 4)

    def vae_loss() -> Tensor:
        return train_vae.losses(family, vae, video, weight)["total"]

    def text_to_video_loss() -> Tensor:
        loss, read = model(latents, packed["tokens"].long(), packed["roles"], TEXT_TOKENS, 1.0)
        return loss + read

    for module, loss in ((vae, vae_loss), (model, text_to_video_loss)):
        optimizer, values = torch.optim.Adam(module.parameters(), lr=1e-2), []
        for _ in range(15):
            torch.manual_seed(3)  # the same noise each time
            value = loss()
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            values.append(value.item())
        silent = [name for name, p in module.named_parameters() if p.grad is None]
        assert silent == []
        assert values[-1] < 0.9 * values[0]


def test_muon_takes_the_matrices_of_the_blocks() -> None:
    names = {name for name, _ in TextToVideo(COGVIDEOX).named_parameters() if by_muon(name)}
    stems = {name.split("transformer.transformer_blocks.0.")[1] for name in names if "transformer_blocks.0." in name}
    projections = {f"attn1.{p}.weight" for p in ("to_q", "to_k", "to_v", "to_out.0")}
    assert stems == projections | {"ff.net.0.proj.weight", "ff.net.2.weight"}
    assert any("text_encoder" in name for name in names)


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
