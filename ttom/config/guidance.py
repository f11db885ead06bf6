"""Settings of the methods: the adapter and test-time optimization, the attention bias, and LVD."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ttom.config.checks import (
    are_blocks,
    is_positive,
    is_whole,
    require,
    require_choices,
    require_counts,
    require_names,
    require_switches,
)

Average = Literal["frames", "objects"]
Mask = Literal["gaussian", "smoothed-box"]
Region = Literal["ellipse", "box", "gaussian"]
LORA_PROJECTIONS = ("to_q", "to_k", "to_v", "to_out.0")


@dataclass(frozen=True)
class AdapterConfig:
    """The LoRA that test-time optimization trains (section 4.1: q, k, v, o of cross-attention, rank 32)."""

    rank: int = 32
    """Rank of the update."""
    alpha: float = 32.0
    """The update is scaled by alpha / rank."""
    projections: tuple[str, ...] = LORA_PROJECTIONS
    """Linear layers of the text-to-video attention that get a LoRA."""
    all_blocks: bool = False
    """Attach to every block, even where no gradient arrives; by default only up to the last target block."""
    first_block: int = 0
    """First block that gets a LoRA, at most the first target block; blocks before it then run once per guided step."""

    def __post_init__(self) -> None:
        require_counts(self, "adapter", "rank")
        require_switches(self, "adapter", "all_blocks")
        require(self, "adapter", "first_block", "a block index, counted from 0", lambda b: is_whole(b, 0))
        require(self, "adapter", "alpha", "a finite number above 0", is_positive)
        some = f"some of {', '.join(LORA_PROJECTIONS)}"
        require(self, "adapter", "projections", some, lambda p: bool(p) and set(p) <= set(LORA_PROJECTIONS))


@dataclass(frozen=True)
class TTOConfig:
    """Test-time optimization (section 3.2)."""

    blocks: tuple[int, ...] | Literal["auto"] = (3,)
    """Transformer blocks whose attention maps the loss reads, counted from 0; "auto" takes those that the probe
    recommends for the model (python -m probes.run)."""
    probe: str | None = None
    """With blocks auto: the probe.json to read; by default that in the model's folder or ~/.cache/ttom/probes."""
    lr: float = 1e-4
    """AdamW learning rate."""
    weight_decay: float = 0.0
    """AdamW weight decay."""
    guided_steps: int = 5
    """Denoising steps, from the first, before which the LoRA is optimized (table 7)."""
    iterations: int = 8
    """Optimizer iterations before each guided step (table 8)."""
    loss: str = "jsd"
    """Attention-to-layout loss (table 5): "jsd", "bce", "center_of_mass", "center_of_mass_motion", or one of
    ttom.losses.register_loss."""
    average: Average = "frames"
    """How the loss is averaged: over all latent frames of all objects in which they are seen, or first over those of an
    object and then over "objects", as in equation 2."""
    mask: Mask = "gaussian"
    """Soft mask of an object: a gaussian in place of its box, or the "smoothed-box" (section 3.2)."""
    sigma: float = 0.25
    """Standard deviation of that gaussian, or of the one that smooths the box, as a share of the box's size."""
    downsample: int = 1
    """Optimize on latents with this factor fewer rows and columns: faster, but a different loss; 1 is exact."""
    stop_loss: float | None = None
    """A guided step's iterations end early once the loss is below this; off if not set."""
    keep_after: bool = False
    """Leave the LoRA on in the steps after the guided ones, which destroys the picture; for experiments."""

    def __post_init__(self) -> None:
        expected = "auto, or at least one block index, each once, counted from 0"
        require(self, "tto", "blocks", expected, lambda b: b == "auto" or are_blocks(b))
        no_probe = "a file only together with `tto.blocks=auto`"
        require(self, "tto", "probe", no_probe, lambda probe: probe is None or self.blocks == "auto")
        require(self, "tto", "lr", "a finite number above 0", is_positive)
        require(self, "tto", "weight_decay", "a finite number of at least 0", lambda w: w == 0 or is_positive(w))
        require_names(self, "tto", "loss")
        require_choices(self, "tto", average=Average, mask=Mask)
        require(self, "tto", "sigma", "a finite number above 0", is_positive)
        require_counts(self, "tto", "guided_steps", "iterations", "downsample")
        require_switches(self, "tto", "keep_after")
        require(self, "tto", "stop_loss", "a finite number, or None", lambda s: s is None or math.isfinite(s))

    @property
    def targets(self) -> tuple[int, ...]:
        """The blocks as numbers, of settings that went through ``ttom.checkpoints.probe_file.resolve_blocks``."""
        assert self.blocks != "auto", "settings with blocks auto are resolved before they are used"
        return self.blocks


@dataclass(frozen=True)
class BiasConfig:
    """Attention bias: scores of an object's words, raised for video tokens inside its box and lowered outside."""

    strength: float | None = None
    """What is added to the attention scores at full noise. If not set, 8 for method bias, and none for method ttom,
    which takes a bias from a strength above 0."""
    end: float = 0.5
    """Noise level, from 0 to 1, where the bias has fallen to 0; it falls linearly from full noise, 1."""
    shape: Region = "ellipse"
    """What counts as inside: the ellipse inscribed in the box, the whole box, or smoothly a gaussian."""
    inside: float = 1.0
    """Weight of the raised scores inside."""
    outside: float = 1.0
    """Weight of the lowered scores outside."""
    blocks: tuple[int, ...] | Literal["all"] = "all"
    """Transformer blocks that get the bias, counted from 0."""
    difference: float = 0.0
    """Weight of a further guidance, by the difference between the predictions with and without the bias: a third
    forward in each biased step. None at 0."""
    in_maps: bool = True
    """Together with test-time optimization: whether its loss reads maps with the bias or without."""

    def __post_init__(self) -> None:
        expected = "a finite number of at least 0, or None"
        require(self, "bias", "strength", expected, lambda s: s is None or s == 0 or is_positive(s))
        require(self, "bias", "end", "a noise level of at least 0 and below 1", lambda e: 0 <= e < 1)
        require_choices(self, "bias", shape=Region)
        require_switches(self, "bias", "in_maps")
        for name in ("inside", "outside", "difference"):
            require(self, "bias", name, "a finite number of at least 0", lambda w: w == 0 or is_positive(w))
        expected = "all, or at least one block index, each once, counted from 0"
        require(self, "bias", "blocks", expected, lambda b: b == "all" or are_blocks(b))


@dataclass(frozen=True)
class LVDConfig:
    """Method lvd: latents that follow the gradient of LVD's attention energy (arXiv 2309.17444), on `tto.blocks`."""

    share: float = 0.25
    """Share of the denoising steps, from the first, before which the latents are optimized (10 of 40)."""
    iterations: int = 5
    """Updates before each of these steps, at most."""
    scale: float = 5.0
    """Step size: the latents move by this many times the gradient."""
    stop_energy: float | None = None
    """A step's updates end early once the energy is below this; off if not set."""
    top: float = 0.75
    """Share of the cells inside the boxes, and of those outside, whose attention counts, the largest first."""
    outside: float = 4.0
    """Weight of the attention outside the boxes."""
    center: float = 0.0
    """Weight of the distance between the centers of mass of attention and boxes, such as 0.03; off at 0."""
    velocity: float = 5.0
    """Weight of the distance between their moves from frame to frame, as a multiple of the center's."""

    def __post_init__(self) -> None:
        require(self, "lvd", "share", "a share above 0, at most 1", lambda s: 0 < s <= 1)
        require_counts(self, "lvd", "iterations")
        require(self, "lvd", "scale", "a finite number above 0", is_positive)
        require(self, "lvd", "stop_energy", "a finite number, or None", lambda e: e is None or math.isfinite(e))
        require(self, "lvd", "top", "a share above 0, at most 1", lambda t: 0 < t <= 1)
        for name in ("outside", "center", "velocity"):
            require(self, "lvd", name, "a finite number of at least 0", lambda w: w == 0 or is_positive(w))
