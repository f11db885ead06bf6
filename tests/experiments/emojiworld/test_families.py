"""The CogVideoX family of the training code, with parts so small that a CPU trains and exports them."""

from __future__ import annotations

import pytest
import torch
from diffusers import CogVideoXPipeline
from torch import Tensor, nn

from experiments.emojiworld import families
from experiments.emojiworld.families import FAMILIES, Family
from experiments.emojiworld.models import LATENT_CHANNELS, TEXT_TOKENS, build_tokenizer
from experiments.emojiworld.train_transformer import TextToVideo
from tests.experiments.emojiworld.tiny_cogvideox import COGVIDEOX, PROMPT, tiny_transformer
from ttom.emojiworld.scene import HEIGHT, WIDTH


def pipeline_of(model: TextToVideo, family: Family) -> CogVideoXPipeline:
    parts = {"text_encoder": model.text_encoder.eval(), "transformer": model.transformer.eval()}
    return CogVideoXPipeline(build_tokenizer(), vae=family.build_vae(), scheduler=family.build_scheduler(), **parts)


@pytest.mark.parametrize(("name", "megabytes"), [("wan", 24), ("cogvideox", 20)])
def test_size_of_a_checkpoint(name: str, megabytes: float) -> None:
    family = FAMILIES[name]
    parts = (family.build_vae(), family.build_transformer(), family.build_text_encoder(build_tokenizer()))
    assert megabytes / 2 < 2 * sum(p.numel() for part in parts for p in part.parameters()) / 1e6 < megabytes


@pytest.mark.parametrize("length", [TEXT_TOKENS, COGVIDEOX.text_length])
@torch.no_grad()
def test_text_and_positions_are_the_stock_pipelines(family: Family, length: int) -> None:
    model = TextToVideo(family).eval()
    pipe = pipeline_of(model, family)
    tokens = torch.tensor(build_tokenizer()([PROMPT], padding="max_length", max_length=TEXT_TOKENS).input_ids)
    theirs, _ = pipe.encode_prompt(PROMPT, do_classifier_free_guidance=False, max_sequence_length=length)
    torch.testing.assert_close(family.embed(model.text_encoder, tokens, length), theirs)
    for frames in (1, 5):
        stock = pipe._prepare_rotary_positional_embeddings(HEIGHT, WIDTH, frames, torch.device("cpu"))
        ours = families.cogvideox_rotary(model.transformer, frames, torch.device("cpu"))
        assert all(torch.equal(a, b) for a, b in zip(ours, stock, strict=True))
        assert ours[0].shape[0] == frames * (HEIGHT // 8) * (WIDTH // 8)


class Oracle(nn.Module):
    """Predicts the velocity of clips that it knows, from the noisy clips alone."""

    def __init__(self, clean: Tensor) -> None:
        super().__init__()
        self.clean, self.config = clean.transpose(1, 2), tiny_transformer().config
        self.seen: list[Tensor] = []

    def forward(self, noisy: Tensor, text: Tensor, timestep: Tensor, **_: object) -> tuple[Tensor]:
        self.seen.append(timestep)
        signal = COGVIDEOX.build_scheduler().alphas_cumprod[timestep].view(-1, 1, 1, 1, 1).float()
        noise = (noisy - signal.sqrt() * self.clean) / (1 - signal).sqrt()
        return (signal.sqrt() * noise - (1 - signal).sqrt() * self.clean,)


def test_the_loss_is_that_of_the_velocity_at_all_timesteps() -> None:
    torch.manual_seed(0)
    oracle = Oracle(torch.randn(64, LATENT_CHANNELS, 2, HEIGHT // 4, WIDTH // 4))
    clips = oracle.clean.transpose(1, 2)
    for _ in range(4):
        assert COGVIDEOX.loss(oracle, clips, torch.zeros(1), 1.0).item() < 1e-6
    assert COGVIDEOX.loss(oracle, clips + 1, torch.zeros(1), 1.0).item() > 0.5
    seen = torch.cat(oracle.seen).float()
    assert seen.min() < 30 and seen.max() > 970 and abs(seen.mean().item() - 500) < 60
    oracle.seen.clear()
    COGVIDEOX.loss(oracle, clips, torch.zeros(1), 4.0)
    assert oracle.seen[0].float().mean() > 650


def test_the_stock_scheduler_brings_the_oracles_clip_back() -> None:
    """What is learnt is what the stock pipeline samples with: from noise alone to the clip."""
    clean = torch.randn(1, LATENT_CHANNELS, 2, 4, 4)
    oracle, scheduler = Oracle(clean), COGVIDEOX.build_scheduler()
    scheduler.set_timesteps(25)
    latents = torch.randn_like(oracle.clean)
    for timestep in scheduler.timesteps:
        (velocity,) = oracle(latents, torch.zeros(1), timestep.expand(1))
        latents = scheduler.step(velocity, timestep, latents, return_dict=False)[0]
    torch.testing.assert_close(latents, oracle.clean, rtol=0, atol=1e-4)
