"""The CogVideoX family of the training code, with parts so small that a CPU trains and exports them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXPipeline, CogVideoXTransformer3DModel
from safetensors.torch import save_file
from torch import Tensor, nn

from experiments.emojiworld import export, families, train_transformer, train_vae
from experiments.emojiworld.families import FAMILIES, Family
from experiments.emojiworld.models import LATENT_CHANNELS, TEXT_TOKENS, build_tokenizer
from experiments.emojiworld.train_transformer import LatentEncoder, TextToVideo, by_muon, clip_scenes
from ttom.backbones import load_backbone
from ttom.backbones.cogvideox import CogVideoXBackbone
from ttom.emojiworld.render import frame_times
from ttom.emojiworld.scene import FRAMES, HEIGHT, WIDTH

COGVIDEOX = FAMILIES["cogvideox"]
PROMPT = "Two cats on the left of a dog"


def tiny_vae() -> AutoencoderKLCogVideoX:
    config = {**COGVIDEOX.build_vae().config, "block_out_channels": (4, 4, 4), "norm_num_groups": 2}
    return AutoencoderKLCogVideoX.from_config(config)


def tiny_transformer() -> CogVideoXTransformer3DModel:
    config = {**COGVIDEOX.build_transformer().config, "num_layers": 2, "attention_head_dim": 16, "time_embed_dim": 16}
    return CogVideoXTransformer3DModel.from_config(config)


@pytest.fixture
def family() -> Family:
    torch.manual_seed(0)
    return replace(COGVIDEOX, build_vae=tiny_vae, build_transformer=tiny_transformer)


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
