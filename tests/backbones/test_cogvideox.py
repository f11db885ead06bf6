"""Loading, geometry, sampling, adapters and optimisation of the CogVideoX backbone."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import CogVideoXPipeline, DDIMScheduler
from torch import Tensor

from tests.running import run, run_loaded, run_tto
from tests.tiny import TEXT_LENGTH, CogVideoX, tiny_cogvideox
from ttom import TTOM
from ttom.backbones import load_backbone
from ttom.backbones.cogvideox import CogVideoXBackbone
from ttom.config import AdapterConfig, SamplerConfig, Settings, TTOConfig
from ttom.errors import UserError
from ttom.guidance.tto.adapter import LoraAdapter
from ttom.layout.raster import latent_times
from ttom.losses import alignment_loss
from ttom.prepare import Prepared
from ttom.sampler import Sampled, Sampler
from ttom.types import ObjectMasks, TokenGrid, VideoSize

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


def test_steps_that_draw_noise_draw_the_same_with_and_without_optimisation() -> None:
    """An optimisation too small to matter changes nothing: its steps go on from the noise of the same seed."""
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
    generator = torch.Generator().manual_seed(0)

    def loss() -> Tensor:
        maps = cogvideox.object_maps(sample.latents, torch.tensor(900), sample.text.positive, sample.tokens, (1, 2))
        return alignment_loss("jsd", maps, masks)

    named = adapter.named_parameters()
    with torch.no_grad():
        for parameter in named.values():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    gradients = dict(zip(named, torch.autograd.grad(loss(), list(named.values())), strict=True))
    for name, parameter in named.items():
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        with torch.no_grad():
            values = []
            for sign in (1, -1):
                parameter.add_(direction, alpha=sign * 1e-5)
                values.append(loss().item())
                parameter.sub_(direction, alpha=sign * 1e-5)
        slope = (gradients[name] * direction).sum().item()
        assert slope != 0 and (values[0] - values[1]) / 2e-5 == pytest.approx(slope, rel=1e-5, abs=1e-12), name


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
