"""Method lvd: its energy computed by hand, its updates against a loop written out, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.guidance.test_bias import PROMPT, SETTINGS
from ttom import TTOM, UserError
from ttom.config import LVDConfig, MemoryConfig, Settings
from ttom.guidance.lvd import energy
from ttom.layout.raster import regions
from ttom.prepare import Plan, Request, prepare
from ttom.result import Result


@pytest.fixture(scope="module")
def runner(tiny_folder: Path) -> Iterator[TTOM]:
    with TTOM.from_pretrained(str(tiny_folder), device="cpu", preset="emojiworld") as runner:
        yield runner


def with_lvd(**values: Any) -> Settings:
    return replace(SETTINGS, lvd=LVDConfig(**values))


def run(runner: TTOM, settings: Settings, method: str = "lvd") -> Result:
    return runner.generate(PROMPT, method=method, seed=1, settings=settings)


# One object of two tokens, the other of one; two frames of 2 x 4 cells; the first object leaves, the second moves.
MAPS = torch.tensor(
    [
        [[[0.4, 0.2, 0.0, 0.0], [0.3, 0.1, 0.1, 0.0]], [[0.0, 0.0, 0.0, 0.2], [0.0, 0.0, 0.0, 0.4]]],
        [[[0.8, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.4]], [[0.1, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.1]]],
        [[[0.0, 0.0, 0.5, 0.5], [0.0, 0.0, 0.0, 0.0]], [[0.2, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]],
    ]
)[None]
INSIDE = torch.zeros(2, 2, 2, 4, dtype=torch.bool)
INSIDE[0, 0, :, :2] = True  # the left half; in the second frame the object is out of the picture
INSIDE[1, 0, 0, 3] = True  # the upper right cell, and then the upper left one
INSIDE[1, 1, 0, 0] = True


def test_the_energy_computed_by_hand() -> None:
    """top = 1/2: 2 of 4 cells inside and 2 of 4 outside, 4 of 8 where all are outside; 1 of 1 and 3 of 7."""
    config = LVDConfig(top=0.5, outside=4.0)
    first = [
        (1 - 0.35) + 4 * 0.05,  # token 0, frame 0: (.4 + .3) / 2 inside, (.1 + 0) / 2 outside
        (1 - 0.4) + 4 * 0.2,  # token 1, frame 0: (.8 + 0) / 2, (.4 + 0) / 2
    ]
    first_out = [4 * 0.15, 4 * 0.1]  # frame 1: (.4 + .2 + 0 + 0) / 4, and .1
    second = (1 - 0.5) + 4 * 0.5 / 3 + (1 - 0.2) + 0  # frame 0: .5, (.5 + 0 + 0) / 3; frame 1: .2, 0
    expected = (sum(first) / 2 + sum(first_out) / 2 + second) / 2
    assert energy(MAPS, INSIDE, [0, 0, 1], config).item() == pytest.approx(expected)
    twice = torch.cat([MAPS, MAPS])  # a mean over blocks
    assert energy(twice, INSIDE, [0, 0, 1], config).item() == pytest.approx(expected)


def test_the_terms_of_motion_computed_by_hand() -> None:
    """Centers of mass as (row, column) in cells, where the object is in the picture."""
    config = LVDConfig(top=0.5, outside=4.0, center=0.1, velocity=5.0)
    rest = energy(MAPS, INSIDE, [0, 0, 1], LVDConfig(top=0.5, outside=4.0)).item()
    # Boxes: the first object's center is (.5, .5) in frame 0. Token 0: row .5 / 1.1, column .5 / 1.1; token 1: row
    # .4 / 1.2, column 1.2 / 1.2. The second object is seen in both frames: (0, 3), then (0, 0); its map is at
    # (0, 2.5), then (0, 0), so that its move differs by half a cell.
    zero = ((0.5 / 1.1 - 0.5) ** 2 + (0.5 / 1.1 - 0.5) ** 2, (1 / 3 - 0.5) ** 2 + (1.0 - 0.5) ** 2)
    position = (sum(zero) / 2, 0.5**2)
    expected = rest + 0.1 * (position[0] + position[1] + 5 * 0.5**2) / 2
    assert energy(MAPS, INSIDE, [0, 0, 1], config).item() == pytest.approx(expected)


def test_the_gradient_equals_finite_differences() -> None:
    config = LVDConfig(top=0.6, center=0.05)
    maps = torch.rand(2, 3, 2, 2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    maps.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: energy(x, INSIDE, [0, 0, 1], config), (maps,))


def test_a_run_equals_the_loop_written_out(runner: TTOM) -> None:
    settings = with_lvd(share=0.5, iterations=3, scale=2.0)
    result, backbone = run(runner, settings), runner.load()
    request = Request(PROMPT, 1, "lvd", result.layout, settings)
    sample = prepare(request, Plan(PROMPT, result.layout, None), backbone)
    grid = backbone.token_grid(request.size)
    inside = regions(result.layout, grid, frames=5, temporal_compression=4, shape="box").bool()
    tokens = [[token] for group in sample.tokens for token in group]
    owners = [n for n, group in enumerate(sample.tokens) for _ in group]
    solver, latents, losses = backbone.solver(4, 1), sample.latents, []
    for i, timestep in enumerate(solver.timesteps):
        for _ in range(3 if i < 2 else 0):
            moving = latents.detach().requires_grad_()
            maps = backbone.object_maps(moving, timestep, sample.text.positive, tokens, (1,))
            value = energy(maps, inside, owners, settings.lvd)
            latents = latents - 2.0 * torch.autograd.grad(value, moving)[0]
            losses.append(value.item())
        with torch.no_grad():
            positive, negative = (
                backbone.denoise(latents, timestep, text) for text in (sample.text.positive, sample.text.negative)
            )
            latents = solver.step(negative + 2.0 * (positive - negative), timestep, latents)
    assert result.report.tto is not None
    assert [loss for step in result.report.tto.losses for loss in step] == pytest.approx(losses)
    assert len(result.report.tto.losses) == 2 and losses[2] < losses[0]
    torch.testing.assert_close(result.latents, latents)
    base = run(runner, SETTINGS, "base")
    torch.testing.assert_close(result.maps_before, base.maps_before)
    assert result.maps_after is not None and not torch.equal(result.maps_after, base.maps_before)
    assert result.adapter is None and not torch.equal(result.latents, base.latents)
    assert all(parameter.requires_grad for parameter in backbone.transformer.parameters())


def test_steps_are_a_share_and_updates_end_early(runner: TTOM) -> None:
    for share, steps in ((0.25, 1), (1.0, 4), (0.01, 1)):
        tto = run(runner, with_lvd(share=share, iterations=2, stop_energy=1e9)).report.tto
        assert tto is not None and [len(losses) for losses in tto.losses] == [1] * steps


def test_together_with_others(runner: TTOM) -> None:
    """After ttom, whose LoRA goes on being trained; under a bias, whose maps it reads."""
    settings = with_lvd(iterations=1, share=0.5)
    alone, both = run(runner, SETTINGS, "ttom"), run(runner, settings, "ttom+lvd")
    assert both.adapter is not None and both.report.tto.losses[0] == alone.report.tto.losses[0]
    assert not torch.equal(both.latents, alone.latents)
    under = run(runner, settings, "bias+lvd").report.tto
    assert under is not None and under.loss_first < run(runner, settings).report.tto.loss_first


def test_a_memory_is_refused(runner: TTOM, tmp_path: Path) -> None:
    settings = replace(SETTINGS, memory=MemoryConfig(path=str(tmp_path / "m")))
    with pytest.raises(UserError, match=r"(?s)the method lvd uses no memory.*leave `memory.path` out"):
        run(runner, settings)
    assert not (tmp_path / "m").exists()


def test_inference_mode_and_numbers_that_are_none(runner: TTOM) -> None:
    with torch.inference_mode(), pytest.raises(UserError, match="inference_mode"):
        run(runner, SETTINGS)
    with pytest.raises(UserError, match=r"(?s)not a finite number.*`lvd.scale`"):
        run(runner, with_lvd(scale=1e38))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"share": 0.0}, "`lvd.share` is 0.0"), ({"share": 1.5}, "`lvd.share` is 1.5"),
        ({"iterations": 0}, "`lvd.iterations` is 0"), ({"scale": -1.0}, "`lvd.scale` is -1.0"),
        ({"scale": float("nan")}, "`lvd.scale` is nan"), ({"top": 0.0}, "`lvd.top` is 0.0"),
        ({"outside": -4.0}, "`lvd.outside` is -4.0"), ({"center": float("inf")}, "`lvd.center` is inf"),
        ({"velocity": "fast"}, "`lvd.velocity` is fast"), ({"stop_energy": float("nan")}, "`lvd.stop_energy` is nan"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        LVDConfig(**values)
