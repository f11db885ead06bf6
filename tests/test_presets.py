"""What the presets of the paper and of its released code set, and that these settings reach the run."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.guidance.test_bias import PROMPT, SETTINGS, still
from ttom.backbones.wan import WanBackbone
from ttom.config import SamplerConfig, Settings, TTOConfig
from ttom.errors import UserError
from ttom.guidance.tto.parts import TestTimeOptimization
from ttom.layout.model import Layout
from ttom.layout.raster import rasterize
from ttom.losses import alignment_loss
from ttom.prepare import Plan, Prepared, Request, prepare
from ttom.presets import PRESETS, cogvideox, paper, released
from ttom.sampler import Sampler


def test_paper_and_released_differ_where_their_sources_do() -> None:
    ours, theirs = paper(), released()
    assert (ours.tto.lr, ours.tto.average, ours.tto.mask) == (1e-4, "objects", "smoothed-box")
    assert (theirs.tto.lr, theirs.tto.average, theirs.tto.mask) == (1e-3, "frames", "gaussian")
    assert (
        ours.tto.weight_decay == theirs.tto.weight_decay == torch.optim.AdamW([torch.zeros(1)]).defaults["weight_decay"]
    )
    assert (ours.sampler.flow_shift, theirs.sampler.flow_shift, theirs.tto.stop_loss) == (None, 5.0, 0.03)
    assert (ours.memory.top_k, ours.memory.fusion, ours.memory.key) == (5, "average", "text")
    assert replace(cogvideox().tto, blocks=(3,)) == ours.tto


@pytest.mark.parametrize("name", PRESETS)
def test_presets_need_no_network(name: str) -> None:
    settings = PRESETS[name]()
    assert (settings.planner.kind, settings.memory.embedder, settings.memory.path) == ("rules", "backbone", None)


def prepared(backbone: WanBackbone, **tto: object) -> Prepared:
    """A dog on the left, and a bus that leaves after the first latent frame."""
    settings = replace(SETTINGS, tto=replace(SETTINGS.tto, **tto))  # type: ignore[arg-type]
    layout = Layout(
        prompt=PROMPT, objects=(still("a", "dog", 0.0, 0.5), still("b", "bus", 0.75, 1.0, visible=(0.0, 0.3)))
    )
    return prepare(Request(PROMPT, 0, "ttom", layout, settings), Plan(PROMPT, layout, None), backbone)


def first_loss(sample: Prepared) -> float:
    sampler = Sampler(sample.backbone, sample.text, sample.settings.sampler)
    return sampler.run(sample.latents, [TestTimeOptimization(sample)], finish=False).outcome.losses[0][0]


def test_average_mask_and_sigma_reach_the_loss(tiny: WanBackbone) -> None:
    sample = prepared(tiny, average="objects", mask="smoothed-box", sigma=0.4)
    assert sample.layout is not None and sample.masks is not None
    grid = tiny.token_grid(Request(PROMPT, 0, "ttom", None, SETTINGS).size)
    expected = rasterize(sample.layout, grid, frames=5, temporal_compression=4, sigma=0.4, mask="smoothed-box")
    assert torch.equal(sample.masks.masks, expected.masks)
    with torch.no_grad():
        maps = sample.object_maps(sample.latents, Sampler(tiny, sample.text, SETTINGS.sampler).timesteps[0])
    assert first_loss(sample) == pytest.approx(alignment_loss("jsd", maps, expected, "objects").item())
    other = prepared(tiny)
    assert other.masks is not None
    assert first_loss(other) == pytest.approx(alignment_loss("jsd", maps, other.masks, "frames").item())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TTOConfig(average="all"), "`tto.average` is all"),  # type: ignore[arg-type]
        (lambda: TTOConfig(mask="box"), "`tto.mask` is box"),  # type: ignore[arg-type]
        (lambda: TTOConfig(sigma=0.0), "`tto.sigma` is 0.0"),
        (lambda: SamplerConfig(flow_shift=-1.0), "`sampler.flow_shift` is -1.0"),
        (lambda: Settings(sampler=SamplerConfig(flow_shift=float("nan"))), "`sampler.flow_shift` is nan"),
    ],
)
def test_settings_that_cannot_be(make, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make()
