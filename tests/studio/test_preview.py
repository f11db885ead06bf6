"""Previews: what a step predicts, in colors, and not for more than a tenth of the time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.tiny import tiny_cogvideox
from ttom.backbones.cogvideox import CogVideoXBackbone
from ttom.backbones.wan import WanBackbone
from ttom.studio import preview
from ttom.studio.preview import Colors, Previews
from ttom.types import VideoSize

LEVELS = [1.0, 0.8, 0.5, 0.2]
SIGMA = torch.tensor(LEVELS)


def test_a_linear_world_is_learned_from_one_frame() -> None:
    random = np.random.default_rng(0)
    weights = random.normal(size=(4, 3)) * 0.05

    def frame(latents: np.ndarray) -> np.ndarray:
        small = np.clip(np.einsum("chw,cr->hwr", latents, weights) + 0.5, 0, 1)
        return (255 * small).round().astype(np.uint8).repeat(8, axis=0).repeat(8, axis=1)

    colors, latents = Colors(), random.normal(size=(4, 12, 16))
    assert colors.picture(latents) is None
    colors.learn(latents, frame(latents))
    other = random.normal(size=(4, 12, 16))
    shown = colors.picture(other)
    assert shown is not None and shown.shape == (12, 16, 3)
    assert np.abs(shown.astype(int) - frame(other)[::8, ::8]).max() <= 3
    assert colors.picture(random.normal(size=(5, 2, 2))) is None  # another model's


class Clock:
    """Time that passes when it is told to."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(preview, "time", made)
    return made


def prepared(backbone: Any, levels: list[float]) -> Any:
    return SimpleNamespace(backbone=backbone, noise_levels=levels)


def fake(decode: Callable[[Tensor], Tensor], prediction: str = "flow_prediction") -> Any:
    scheduler = SimpleNamespace(config={"prediction_type": prediction})
    return SimpleNamespace(pipe=SimpleNamespace(scheduler=scheduler), decode=decode)


def test_the_clean_video_is_found_where_the_steps_are_straight(tmp_path: Path) -> None:
    torch.manual_seed(0)
    clean, noise = torch.randn(2, 1, 4, 5, 6, 8).double()
    seen: list[Tensor] = []

    def decode(latents: Tensor) -> Tensor:
        seen.append(latents)
        return torch.zeros(1, 48, 64, 3, dtype=torch.uint8)

    for prediction in ("flow_prediction", "v_prediction"):
        seen.clear()
        previews = Previews(prepared(fake(decode, prediction), LEVELS), tmp_path, Colors())
        for index, level in enumerate(LEVELS):
            # Flow models mix linearly; with the others the squares of the two shares sum to 1.
            scale = 1.0 if prediction == "flow_prediction" else ((1 - level) ** 2 + level**2) ** -0.5
            previews.show(index, scale * ((1 - level) * clean + level * noise))
        assert seen and all(torch.allclose(found, clean[:, :, 2:3], atol=1e-4) for found in seen)


@pytest.mark.parametrize("cost, most", [(0.0, 29), (0.05, 29), (0.5, 6), (30.0, 1)])
def test_the_vae_is_asked_for_a_tenth_of_the_time_at_most(clock: Clock, tmp_path: Path, cost: float, most: int) -> None:
    decoded, shown = [], []

    def decode(latents: Tensor) -> Tensor:
        decoded.append(1)
        clock.now += cost
        return torch.zeros(1, 48, 64, 3, dtype=torch.uint8)

    levels = np.linspace(1, 0.1, 30).tolist()
    previews = Previews(prepared(fake(decode), levels), tmp_path, Colors())
    for index in range(30):
        shown.append(previews.show(index, torch.randn(1, 4, 5, 6, 8)))
        clock.now += 1.0
    assert not shown[0] and all(shown[1:])  # the map shows the others
    assert 1 <= len(decoded) <= most
    if cost < 1:
        assert cost * (len(decoded) - 1) <= 0.1 * 30


def test_there_are_none_where_even_the_map_takes_too_long(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    colors, map_ = Colors(), Colors.picture

    def slow(self: Colors, latents: np.ndarray) -> np.ndarray | None:
        clock.now += 5.0
        return map_(self, latents)

    def decode(latents: Tensor) -> Tensor:
        clock.now += 50.0
        return torch.zeros(1, 48, 64, 3, dtype=torch.uint8)

    monkeypatch.setattr(Colors, "picture", slow)
    previews = Previews(prepared(fake(decode), np.linspace(1, 0.1, 30).tolist()), tmp_path, colors)
    shown = []
    for index in range(30):
        shown.append(previews.show(index, torch.randn(1, 4, 5, 6, 8)))
        clock.now += 1.0
    assert sum(shown) <= 3


@pytest.mark.parametrize("kind", ["wan", "2b", "5b", "1.5"])
def test_one_frame_of_every_family_can_be_decoded(kind: str, tiny: WanBackbone, tmp_path: Path) -> None:
    backbone = tiny if kind == "wan" else CogVideoXBackbone("tiny", tiny_cogvideox(kind))  # type: ignore[arg-type]
    size = VideoSize(9, 32, 48) if kind == "wan" else VideoSize(17, 32, 48)
    latents = backbone.initial_latents(size, 0)
    colors = Colors()
    previews = Previews(prepared(backbone, LEVELS), tmp_path, colors)
    assert [previews.show(index, latents * (1 - 0.1 * index)) for index in range(3)] == [False, True, True]
    with Image.open(tmp_path / "preview.png") as picture:
        assert picture.size == (360, 240)
    assert colors.decode_seconds is not None


def test_a_preview_that_fails_ends_the_previews_and_not_the_run(tmp_path: Path) -> None:
    asked = []

    def decode(latents: Tensor) -> Tensor:
        asked.append(1)
        raise torch.OutOfMemoryError("no room")

    previews = Previews(prepared(fake(decode), LEVELS), tmp_path, Colors())
    assert [previews.show(index, torch.randn(1, 4, 5, 6, 8)) for index in range(4)] == [False] * 4
    assert len(asked) == 1 and not list(tmp_path.iterdir())
