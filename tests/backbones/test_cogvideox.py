"""Sampling, geometry, text and loading of the CogVideoX backbone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import CogVideoXPipeline, DDIMScheduler
from torch import Tensor

from tests.tiny import TEXT_LENGTH, CogVideoX, tiny_cogvideox
from ttom.backbones import load_backbone
from ttom.backbones.cogvideox import CogVideoXBackbone
from ttom.config import AdapterConfig, SamplerConfig, Settings, TTOConfig
from ttom.errors import UserError
from ttom.layout.raster import latent_times
from ttom.sampler import Sampler
from ttom.types import TokenGrid, VideoSize

PROMPT = "two  dogs and a red balloon"
SIZE = VideoSize(17, 32, 48)
SETTINGS = Settings(
    sampler=SamplerConfig(steps=5, guidance_scale=4.0, frames=17, height=32, width=48, max_sequence_length=TEXT_LENGTH),
    adapter=AdapterConfig(rank=4, alpha=12.0),
    tto=TTOConfig(blocks=(1, 2), lr=1e-2, guided_steps=2, iterations=3),
)
KINDS = pytest.mark.parametrize("kind", ["2b", "5b", "1.5"])
EVERY_KIND = pytest.mark.parametrize("cogvideox", ["2b", "5b", "1.5"], indirect=True)


def stock_call(pipe: CogVideoXPipeline, output_type: str = "latent", **options: object) -> Tensor:
    pipe.set_progress_bar_config(disable=True)
    given = dict(
        negative_prompt="a blue bus", height=32, width=48, num_frames=17, num_inference_steps=5, guidance_scale=4.0,
        max_sequence_length=TEXT_LENGTH, generator=torch.Generator().manual_seed(7),
    )  # fmt: skip
    return pipe(PROMPT, output_type=output_type, **(given | options)).frames


def sampled(backbone: CogVideoXBackbone, **changes: object) -> Tensor:
    config = replace(SETTINGS.sampler, **changes)
    text = backbone.encode_prompt(
        PROMPT, "a blue bus", guidance=config.guidance_scale > 1, max_sequence_length=TEXT_LENGTH
    )
    return Sampler(backbone, text, config, seed=7).run(backbone.initial_latents(SIZE, 7)).latents


# Sampling


@KINDS
@pytest.mark.parametrize("dpm", [False, True], ids=["ddim", "dpm"])
@pytest.mark.parametrize("dynamic", [False, True], ids=["fixed", "dynamic"])
def test_latents_equal_the_stock_pipelines(kind: CogVideoX, dpm: bool, dynamic: bool) -> None:
    backbone = CogVideoXBackbone("tiny", tiny_cogvideox(kind, dpm))
    theirs = stock_call(backbone.pipe, use_dynamic_cfg=dynamic)
    for _ in range(2):  # a second run meets no state of the first
        ours = sampled(backbone, dynamic_guidance=dynamic)
        assert ours.dtype == theirs.dtype == torch.float32
        assert (ours - theirs).abs().max().item() == 0.0
    assert ours.shape == (1, 6 if kind == "1.5" else 5, 4, 8, 12)


@pytest.mark.parametrize("dpm", [False, True], ids=["ddim", "dpm"])
def test_latents_equal_the_stock_pipelines_without_guidance_and_in_bfloat16(dpm: bool) -> None:
    backbone = CogVideoXBackbone("tiny", tiny_cogvideox("5b", dpm))
    assert torch.equal(sampled(backbone, guidance_scale=1.0), stock_call(backbone.pipe, guidance_scale=1.0))
    backbone.pipe.to(torch.bfloat16)
    ours, theirs = sampled(backbone), stock_call(backbone.pipe)
    assert ours.dtype == torch.bfloat16 and torch.equal(ours, theirs)


def test_dynamic_guidance_and_the_schedulers_make_a_difference(cogvideox: CogVideoXBackbone) -> None:
    other = CogVideoXBackbone("tiny", tiny_cogvideox("5b", dpm=True))
    results = [sampled(cogvideox), sampled(cogvideox, dynamic_guidance=True), sampled(other)]
    assert not torch.allclose(results[0], results[1]) and not torch.allclose(results[0], results[2])


def test_other_schedulers_are_refused(cogvideox: CogVideoXBackbone) -> None:
    cogvideox.pipe.scheduler = DDIMScheduler()
    with pytest.raises(UserError, match="(?s)scheduler is a DDIMScheduler.*CogVideoXDDIMScheduler"):
        sampled(cogvideox)


def test_the_pipelines_scheduler_is_left_alone(cogvideox: CogVideoXBackbone) -> None:
    before = dict(vars(cogvideox.pipe.scheduler))
    sampled(cogvideox)
    assert vars(cogvideox.pipe.scheduler).keys() == before.keys()
    assert all(vars(cogvideox.pipe.scheduler)[key] is value for key, value in before.items())


@EVERY_KIND
def test_decode_equals_the_stock_pipelines_frames(cogvideox: CogVideoXBackbone) -> None:
    frames = torch.from_numpy(stock_call(cogvideox.pipe, output_type="np")[0])
    video = cogvideox.decode(stock_call(cogvideox.pipe))
    assert video.shape == (17, 32, 48, 3) and video.dtype == torch.uint8
    assert torch.equal(video, (frames * 255).round().to(torch.uint8))
    assert video.float().std() > 0


# Geometry


def test_grids_of_the_real_sizes() -> None:
    """2B, 5B: 49 pictures of 720 x 480 are 13 latent frames; 1.5: 81 of 1360 x 768 are 21, with one more 11 pairs."""
    for kind, size, expected in (
        ("2b", VideoSize(49, 480, 720), TokenGrid(13, 30, 45)),
        ("5b", VideoSize(49, 480, 720), TokenGrid(13, 30, 45)),
        ("1.5", VideoSize(81, 768, 1360), TokenGrid(11, 48, 85)),
    ):
        backbone = CogVideoXBackbone("real", tiny_cogvideox(kind))  # type: ignore[arg-type]
        backbone.pipe.vae_scale_factor_spatial = 8
        backbone.transformer.register_to_config(sample_height=96, sample_width=170)
        backbone.check_size(size)
        assert backbone.token_grid(size) == expected
        assert len(latent_times(expected.frames, size.frames, backbone.temporal_compression)) == expected.frames


@EVERY_KIND
def test_shapes_agree(cogvideox: CogVideoXBackbone) -> None:
    cogvideox.check_size(SIZE)
    cogvideox.check_blocks((0, 3))
    with pytest.raises(UserError, match="has 4 blocks"):
        cogvideox.check_blocks((4,))
    latents = cogvideox.initial_latents(SIZE, 0)
    text = cogvideox.encode_prompt(PROMPT, "", guidance=False, max_sequence_length=TEXT_LENGTH)
    maps = cogvideox.object_maps(latents, torch.tensor(9), text.positive, [[1]], (0, 1))
    grid = cogvideox.token_grid(SIZE)
    assert maps.shape == (2, 1, grid.frames, grid.height, grid.width)
    assert cogvideox.num_blocks == 4


@torch.no_grad()
def test_the_pictures_of_a_token_frame_of_1_5() -> None:
    """Of 17 pictures the last token frame holds 9 to 16; the latent frame that fills the first pair holds none."""
    backbone = CogVideoXBackbone("tiny", tiny_cogvideox("1.5"))
    latents = backbone.initial_latents(SIZE, 0)
    video = backbone.decode(latents)
    changed = [latents.clone() for _ in range(2)]
    changed[0][:, 0] += 1.0
    changed[1][:, 4:] += 1.0
    assert torch.equal(backbone.decode(changed[0]), video)
    differs = (backbone.decode(changed[1]) != video).flatten(1).any(1)
    assert differs.tolist() == [False] * 9 + [True] * 8
    times = latent_times(3, 17, backbone.temporal_compression) * 16
    assert times.tolist() == [0.0, 4.5, 12.5]  # middles of pictures 0, 1-8 and 9-16


@pytest.mark.parametrize(
    ("kind", "size", "message"),
    [
        ("5b", VideoSize(16, 32, 48), "frames` is 16.*8k \\+ 1.*9 or 17"),
        ("5b", VideoSize(13, 32, 48), "frames` is 13.*8k \\+ 1.*9 or 17"),  # 4 latent frames: 16 pictures
        ("1.5", VideoSize(21, 32, 48), "frames` is 21.*8k \\+ 1"),
        ("2b", VideoSize(17, 36, 48), "height` is 36.*multiple of 8.*32 or 40"),
        ("2b", VideoSize(17, 32, 4), "width` is 4"),
        ("1.5", VideoSize(17, 32, 56), "7 x 4 tokens.*at most 6 x 4.*position embeddings"),
    ],
)
def test_impossible_sizes(kind: CogVideoX, size: VideoSize, message: str) -> None:
    with pytest.raises(UserError, match=f"(?s){message}"):
        CogVideoXBackbone("tiny", tiny_cogvideox(kind)).check_size(size)


def test_why_an_even_number_of_latent_frames_is_refused(cogvideox: CogVideoXBackbone) -> None:
    frames = stock_call(cogvideox.pipe, output_type="np", num_frames=13, num_inference_steps=1)
    assert frames.shape[1] == 16  # not 13: a layout over 13 pictures would be too fast


# Text


def test_words_are_found_in_the_prompt_as_it_is(cogvideox: CogVideoXBackbone) -> None:
    tokenizer = cogvideox.pipe.tokenizer
    ids = tokenizer(PROMPT, padding="max_length", max_length=TEXT_LENGTH, truncation=True).input_ids
    found = [cogvideox.vocabulary.phrase_tokens(PROMPT, phrase, TEXT_LENGTH) for phrase in ("dog", "red balloon")]
    words = [[tokenizer.convert_ids_to_tokens(ids[i]) for i in positions] for positions in found]
    assert words == [["dog", "##s"], ["red", "balloon"]]
    assert cogvideox.vocabulary.unknown_words("A zebra and a dog") == ["zebra"]
    assert "balloon" in cogvideox.vocabulary.known_words()


def test_the_text_length_of_sine_codes_is_fixed() -> None:
    rotary, sine = (CogVideoXBackbone("tiny", tiny_cogvideox(kind)) for kind in ("5b", "2b"))
    options = {"guidance": False, "max_sequence_length": 20}
    assert rotary.encode_prompt("a dog", "", **options).positive.shape == (1, 20, 16)
    with pytest.raises(UserError, match="(?s)max_sequence_length` is 20.*12, the only"):
        sine.encode_prompt("a dog", "", **options)


# Loading and adapters


def test_loading_picks_the_adapter_by_the_pipelines_class(cogvideox_folder: Path) -> None:
    backbone = load_backbone(str(cogvideox_folder), device="cpu", dtype="bfloat16")
    assert type(backbone) is CogVideoXBackbone and type(backbone.pipe) is CogVideoXPipeline
    dtypes = [part.dtype for part in (backbone.pipe.text_encoder, backbone.pipe.transformer, backbone.pipe.vae)]
    assert dtypes == [torch.bfloat16] * 3
    assert backbone.decode(sampled(backbone)).shape == (17, 32, 48, 3)
