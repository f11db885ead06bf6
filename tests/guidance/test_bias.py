"""Method bias: its schedule and its columns against definitions written out, alone, with ttom, and with a memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.tiny import TEXT_LENGTH
from ttom import TTOM, UserError
from ttom.backbones.cogvideox import CogVideoXBackbone, CogVideoXSolver
from ttom.backbones.protocol import Backbone
from ttom.backbones.wan import WanBackbone
from ttom.config import AdapterConfig, BiasConfig, MemoryConfig, SamplerConfig, Settings, TTOConfig
from ttom.guidance import find_method
from ttom.guidance.bias import Bias, schedule, token_bias
from ttom.layout.model import Box, KeyFrame, Layout, LayoutObject
from ttom.prepare import Plan, Prepared, Request, prepare
from ttom.result import Result

PROMPT = "A dog moves up above a bus"
SETTINGS = Settings(
    sampler=SamplerConfig(steps=4, guidance_scale=2.0, frames=5, height=16, width=32, fps=8, max_sequence_length=24),
    adapter=AdapterConfig(rank=2, alpha=2.0),
    tto=TTOConfig(blocks=(1,), lr=1e-2, guided_steps=2, iterations=2),
)


def with_bias(settings: Settings = SETTINGS, **values: Any) -> Settings:
    return replace(settings, bias=BiasConfig(**values))


@pytest.fixture(scope="module")
def runner(tiny_folder: Path) -> Iterator[TTOM]:
    with TTOM.from_pretrained(str(tiny_folder), device="cpu", preset="emojiworld") as runner:
        yield runner


def run(runner: TTOM, method: str = "bias", settings: Settings = SETTINGS, **options: Any) -> Result:
    return runner.generate(PROMPT, method=method, seed=1, settings=settings, **options)


# The schedule


@pytest.mark.parametrize(("steps", "shift"), [(8, 3.0), (25, 3.0), (50, 5.0)])
def test_the_strength_depends_on_the_noise_level_alone(tiny: WanBackbone, steps: int, shift: float) -> None:
    tiny.pipe.scheduler.register_to_config(flow_shift=shift)
    tiny.pipe.scheduler = type(tiny.pipe.scheduler).from_config(tiny.pipe.scheduler.config)
    levels = tiny.solver(steps, 0).noise_levels
    wanted = [shift * s / (1 + (shift - 1) * s) for s in (1 - i / steps for i in range(steps))]
    assert levels == pytest.approx(wanted, abs=5e-3)
    strengths = schedule(BiasConfig(strength=4.0, end=0.4), levels)
    assert strengths == pytest.approx([4 * max(0.0, (level - 0.4) / 0.6) for level in levels])
    assert sum(s > 0 for s in strengths) == sum(level > 0.4 for level in levels) < steps


@pytest.mark.parametrize("cogvideox", ["2b", "5b"], indirect=True)
def test_the_noise_levels_of_cogvideox_are_those_of_a_flow_with_the_same_ratio(cogvideox: CogVideoXBackbone) -> None:
    solver = cogvideox.solver(8, 0)
    assert isinstance(solver, CogVideoXSolver)
    levels = solver.noise_levels
    assert levels[0] == pytest.approx(1) and all(a > b > 0 for a, b in zip(levels, levels[1:], strict=False))
    clean, noise = torch.ones(1, 1), torch.full((1, 1), 2.0)
    for level, timestep in zip(levels, solver.timesteps, strict=True):
        noisy = solver.scheduler.add_noise(clean * 0 + 1, noise, timestep[None])
        flow = (1 - level) * clean + level * noise  # on the line between signal and noise, but for its length
        a = noisy.item() / flow.item()
        only_signal = solver.scheduler.add_noise(clean, 0 * noise, timestep[None]).item()
        assert only_signal == pytest.approx(a * (1 - level), abs=1e-4)


def test_the_strength_of_the_method_where_none_is_set() -> None:
    assert schedule(BiasConfig(end=0.0), [1.0, 0.5, 0.0]) == [8.0, 4.0, 0.0]
    assert schedule(BiasConfig(strength=0.0), [1.0, 0.5]) == [0.0, 0.0]


# The columns


def still(name: str, phrase: str, x0: float, x1: float, **more: Any) -> LayoutObject:
    frame = KeyFrame(time=0.0, box=Box(x0=x0, y0=0.0, x1=x1, y1=1.0))
    return LayoutObject(id=name, phrase=phrase, noun=phrase.split()[-1], key_frames=(frame,), **more)


def prepared(backbone: Any, prompt: str, *objects: LayoutObject, **bias: Any) -> Prepared:
    settings = with_bias(shape="box", **bias)
    if isinstance(backbone, CogVideoXBackbone):
        size = replace(settings.sampler, frames=9, height=16, width=32, max_sequence_length=TEXT_LENGTH)
        settings = replace(settings, sampler=size)
    layout = Layout(prompt=prompt, objects=objects)
    return prepare(Request(prompt, 0, "bias", layout, settings), Plan(prompt, layout, None), backbone)


def dense(sample: Prepared) -> torch.Tensor:
    """(F, H, W, L)."""
    bias = token_bias(sample)
    assert bias.tokens.shape[1] == sample.text.positive.shape[1]
    size = SETTINGS.sampler if isinstance(sample.backbone, WanBackbone) else sample.settings.sampler
    grid = sample.backbone.token_grid(Request("a", 0, "bias", None, replace(SETTINGS, sampler=size)).size)
    return (bias.strength @ bias.tokens).unflatten(0, (grid.frames, grid.height, grid.width))


def test_words_are_raised_inside_and_lowered_outside(tiny: WanBackbone) -> None:
    """Left half for the dog; the bus is a quarter on the right and leaves."""
    objects = still("a", "dog", 0.0, 0.5), still("b", "bus", 0.75, 1.0, visible=(0.0, 0.3))
    bias = dense(prepared(tiny, PROMPT, *objects, inside=2.0, outside=0.5))
    (dog,), (bus,) = (tiny.vocabulary.phrase_tokens(PROMPT, word, 24) for word in ("dog", "bus"))
    assert bias.shape == (2, 4, 8, 24)
    left = torch.zeros(4, 8, dtype=torch.bool)
    left[:, :4] = True
    assert (bias[..., dog][:, left] == 2.0).all() and (bias[..., dog][:, ~left] == -0.5).all()
    assert (bias[0, :, 6:, bus] == 2.0).all() and (bias[0, :, :6, bus] == -0.5).all()
    assert (bias[1, ..., bus] == -0.5).all()  # out of the picture
    others = [i for i in range(24) if i not in (dog, bus)]
    assert not bias[..., others].any()


def test_words_of_several_objects(tiny: WanBackbone) -> None:
    """Dogs of one group have one map; the red dog shares the word with them; boxes overlap."""
    prompt = "two dogs and a red dog"
    objects = (
        still("a", "dogs", 0.0, 0.25), still("b", "dogs", 0.5, 0.75), still("c", "red dog", 0.5, 1.0),
    )  # fmt: skip
    sample = prepared(tiny, prompt, *objects)
    bias, (red,) = dense(sample), tiny.vocabulary.phrase_tokens(prompt, "red", 24)
    dogs = tiny.vocabulary.phrase_tokens(prompt, "dogs", 24)
    assert set(dogs) == set(sample.tokens[0]) and set(sample.tokens[0]) & set(sample.tokens[1])
    row = bias[0, 0]
    assert row[:, red].tolist() == [-1] * 4 + [1] * 4
    for token in dogs:  # "##s" is the dogs' alone
        shared = token in sample.tokens[1]
        assert row[:, token].tolist() == [1, 1, -1, -1, 1, 1, *([1, 1] if shared else [-1, -1])]


def test_a_gaussian_has_values_between(tiny: WanBackbone) -> None:
    sample = prepared(tiny, PROMPT, still("a", "dog", 0.25, 0.75))
    sample = replace(sample, settings=with_bias(shape="gaussian"))
    (dog,) = sample.tokens[0]
    row = dense(sample)[0, 2, :, dog]
    assert (row[:4].diff() > 0).all() and torch.allclose(row, row.flip(0)) and row[0] < -0.9 and row[4] > 0.5


def test_a_bias_of_cogvideox_covers_its_grid_and_its_text(cogvideox: CogVideoXBackbone) -> None:
    bias = dense(prepared(cogvideox, PROMPT, still("a", "dog", 0.0, 0.5)))
    (dog,) = cogvideox.vocabulary.phrase_tokens(PROMPT, "dog", TEXT_LENGTH)
    assert (
        bias.shape == (3, 2, 4, TEXT_LENGTH) and (bias[:, :, :2, dog] == 1).all() and (bias[..., 2:, dog] == -1).all()
    )


# Runs


def prepared_as(result: Result, backbone: Backbone) -> Prepared:
    """What the run of this result began with."""
    request = Request(PROMPT, 1, "bias", result.layout, result.settings)
    return prepare(request, Plan(PROMPT, result.layout, None), backbone)


def test_a_run_equals_the_loop_written_out(runner: TTOM) -> None:
    """The bias acts in the prompt's forward alone, with the strength of the step, in the chosen blocks."""
    settings = with_bias(strength=6.0, end=0.7, blocks=(0, 2))
    result, backbone = run(runner, settings=settings), runner.load()
    sample = prepared_as(result, backbone)
    solver, latents, bias = backbone.solver(4, 1), sample.latents, token_bias(sample)
    with torch.no_grad():
        for level, timestep in zip(solver.noise_levels, solver.timesteps, strict=True):
            strength = 6 * max(0.0, (level - 0.7) / 0.3)
            with backbone.biased(replace(bias, strength=strength * bias.strength), (0, 2)):  # type: ignore[attr-defined]
                positive = backbone.denoise(latents, timestep, sample.text.positive)
            negative = backbone.denoise(latents, timestep, sample.text.negative)
            latents = solver.step(negative + 2.0 * (positive - negative), timestep, latents)
    torch.testing.assert_close(result.latents, latents)
    assert result.report.method == "bias" and result.report.tto is None and result.adapter is None


def test_guidance_by_the_difference_that_the_bias_makes(runner: TTOM) -> None:
    settings = with_bias(strength=6.0, end=0.7, difference=1.5)
    result, backbone = run(runner, settings=settings), runner.load()
    sample = prepared_as(result, backbone)
    solver, latents, bias = backbone.solver(4, 1), sample.latents, token_bias(sample)
    with torch.no_grad():
        for level, timestep in zip(solver.noise_levels, solver.timesteps, strict=True):
            strength = 6 * max(0.0, (level - 0.7) / 0.3)
            plain = backbone.denoise(latents, timestep, sample.text.positive)
            with backbone.biased(replace(bias, strength=strength * bias.strength), None):  # type: ignore[attr-defined]
                positive = backbone.denoise(latents, timestep, sample.text.positive)
            negative = backbone.denoise(latents, timestep, sample.text.negative)
            prediction = negative + 2.0 * (positive - negative) + 1.5 * (positive - plain)
            latents = solver.step(prediction, timestep, latents)
    torch.testing.assert_close(result.latents, latents)
    assert not torch.equal(result.latents, run(runner, settings=with_bias(strength=6.0, end=0.7)).latents)


def test_maps_before_and_after(runner: TTOM) -> None:
    base, result = run(runner, "base"), run(runner)
    assert torch.equal(result.maps_before, base.maps_before)
    inside = result.masks.masks > result.masks.masks.amax(dim=(-2, -1), keepdim=True) / 2
    shares = [(maps * inside).sum() / maps.sum() for maps in (result.maps_before, result.maps_after)]
    assert shares[1] > 1.5 * shares[0]
    assert not torch.equal(result.latents, base.latents)


def test_no_strength_is_the_plain_model(runner: TTOM) -> None:
    assert torch.equal(run(runner, settings=with_bias(strength=0.0)).latents, run(runner, "base").latents)
    assert torch.equal(run(runner, "ttom", with_bias(strength=0.0)).latents, run(runner, "ttom").latents)


def test_ttom_with_a_bias(runner: TTOM) -> None:
    """A strength adds the bias to ttom, once; the optimization reads the biased maps, or those beside the bias."""
    alone, settings = run(runner, "ttom"), with_bias(strength=5.0)
    both = run(runner, "ttom", settings)
    assert both.report.tto.loss_first < 0.8 * alone.report.tto.loss_first
    assert torch.equal(both.maps_before, alone.maps_before)
    assert torch.equal(run(runner, "bias+ttom", settings).latents, both.latents)
    beside = run(runner, "ttom", with_bias(strength=5.0, in_maps=False))
    assert beside.report.tto.loss_first > both.report.tto.loss_first
    assert not torch.equal(beside.latents, both.latents)
    # Named second, the bias comes after the optimization, which reads the plain model then.
    other_order = run(runner, "ttom+bias", settings)
    assert other_order.report.tto.losses[0] == alone.report.tto.losses[0]
    assert not torch.equal(other_order.latents, both.latents)


def test_filling_a_memory_takes_the_optimized_steps_alone(runner: TTOM, tmp_path: Path) -> None:
    memory, seen = MemoryConfig(path=str(tmp_path / "m")), []
    handle = runner.load().transformer.register_forward_hook(lambda *_: seen.append(1))
    runner.optimize(PROMPT, settings=replace(with_bias(strength=5.0, end=0.0), memory=memory))
    handle.remove()
    assert len(seen) == 2 * 2  # of four steps, which all have the bias; maps are read in forwards that end early


def test_a_bias_with_a_memory_loads_and_never_learns(runner: TTOM, tmp_path: Path) -> None:
    memory = MemoryConfig(path=str(tmp_path / "m"), threshold=0.9)
    settings = replace(SETTINGS, memory=memory)
    filled = run(runner, "ttom", settings)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*.safetensors")}
    result = run(runner, settings=settings)
    report = result.report.memory
    assert report is not None and report.hit and report.used == "load" and not report.updated and not report.inserted
    assert result.report.tto is not None and len(result.report.tto.losses) == 1
    assert before and before == {file: file.read_bytes() for file in tmp_path.rglob("*.safetensors")}
    assert filled.adapter is not None and result.adapter is not None
    assert not torch.equal(result.latents, run(runner).latents)  # the adapter acts
    empty = replace(SETTINGS, memory=MemoryConfig(path=str(tmp_path / "m"), namespace="other"))
    missed = run(runner, settings=empty)
    assert missed.report.memory is not None and not missed.report.memory.hit
    assert torch.equal(missed.latents, run(runner).latents)


# Bad input


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"strength": -1.0}, "`bias.strength` is -1.0"),
        ({"strength": float("nan")}, "`bias.strength` is nan"),
        ({"strength": "many"}, "`bias.strength` is many"),
        ({"end": 1.0}, "`bias.end` is 1.0"),
        ({"end": -0.1}, "`bias.end` is -0.1"),
        ({"end": float("nan")}, "`bias.end` is nan"),
        ({"inside": -1.0}, "`bias.inside` is -1.0"),
        ({"outside": float("inf")}, "`bias.outside` is inf"),
        ({"difference": -1.0}, "`bias.difference` is -1.0"),
        ({"blocks": ()}, "`bias.blocks` is empty"),
        ({"blocks": (1, 1)}, "`bias.blocks` is 1 1"),
        ({"blocks": (-1,)}, "`bias.blocks` is -1"),
        ({"shape": "star"}, "`bias.shape` is star"),
    ],
)
def test_settings_that_cannot_be(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        BiasConfig(**values)


def test_what_a_model_cannot_do(runner: TTOM, tiny: WanBackbone) -> None:
    with pytest.raises(UserError, match=r"`bias.blocks` names block 9, but .* has 4 blocks"):
        run(runner, settings=with_bias(blocks=(1, 9)))
    with pytest.raises(UserError, match="`tto.downsample` is 2"):
        run(runner, settings=replace(SETTINGS, tto=replace(SETTINGS.tto, downsample=2)))
    sample = prepared(tiny, PROMPT, still("a", "dog", 0.0, 0.5))
    names = ("name", "num_blocks", "solver", "token_grid", "temporal_compression", "device")
    without = SimpleNamespace(**{name: getattr(tiny, name) for name in names})
    with pytest.raises(UserError, match="takes no bias"):
        Bias(replace(sample, backbone=without))  # type: ignore[arg-type]


def test_a_prompt_without_a_layout_is_refused(runner: TTOM) -> None:
    assert find_method("bias").needs_layout
    with pytest.raises(UserError):
        runner.generate("and of the with", method="bias", settings=SETTINGS)
