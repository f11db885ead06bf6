"""Attention bias: an object's words attract the video tokens inside its box and repel those outside, without gradients.

In the forward that reads the prompt, the attention scores of an object's text tokens are raised by
``strength * inside`` for video tokens inside its box and lowered by ``strength * outside`` for the others. The strength
falls linearly with the noise level, from full noise to ``end``: where the layout is settled, a bias that stays destroys
the picture. As a schedule over noise levels it means the same in 8 steps and in 50, and for every flow shift.

What holds in special cases:

- Objects of one group (several dogs, named once) share their words: inside means inside any of their boxes.
- Text tokens that several groups share ("dog" in "a dog and a black dog") are raised inside the boxes of each of these
  groups and lowered outside all of them.
- Where boxes overlap, the words of all their objects are raised alike, and the model decides which one it shows.
- In latent frames in which a group is out of the picture, its words are lowered everywhere.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ttom.attention.bias import TokenBias
from ttom.backbones.protocol import Biasable
from ttom.errors import SetupError, UserError
from ttom.guidance.protocol import Outcome, Part, Step
from ttom.layout.raster import regions

if TYPE_CHECKING:
    from ttom.config import BiasConfig, Settings
    from ttom.prepare import Prepared

STRENGTH = 8.0
"""Of method bias, where the settings name none: the best of those tried on EmojiWorld (experiments/LOG.md)."""


class Bias(Part):
    """Biases the attention of every step whose noise level is above ``bias.end``.

    ``maps_before`` are the objects' maps at the first step without the bias, ``maps_after`` those with it.

    Args:
        prepared: The sample; it needs a layout.

    Raises:
        UserError: The backbone has no bias, a block is out of range, or the optimization uses smaller latents.
    """

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared
        self._backbone = _biasable(prepared)
        self.strengths = schedule(prepared.settings.bias, prepared.noise_levels)
        self.steps = sum(strength > 0 for strength in self.strengths)
        self._bias = token_bias(prepared)
        self._maps: list[Tensor] = []

    def before(self, step: Step) -> Tensor:
        if step.index == 0:
            for context in (nullcontext(), self.inside(step)):
                with torch.no_grad(), context:
                    self._maps.append(self.prepared.object_maps(step.latents, step.timestep).mean(dim=0).cpu())
        return step.latents

    def inside(self, step: Step) -> AbstractContextManager[object]:
        strength, blocks = self.strengths[step.index], self.prepared.settings.bias.blocks
        if strength == 0:
            return nullcontext()
        bias = replace(self._bias, strength=strength * self._bias.strength)
        return self._backbone.biased(bias, None if blocks == "all" else blocks)

    def emphasis(self, step: Step) -> float:
        return self.prepared.settings.bias.difference if self.strengths[step.index] > 0 else 0.0

    def outcome(self) -> Outcome:
        before, after = self._maps
        return Outcome(maps_before=before, maps_after=after)


def schedule(config: BiasConfig, noise_levels: list[float]) -> list[float]:
    """The strength in each step: linear in the noise level, full at 1, 0 from ``end`` down."""
    full = STRENGTH if config.strength is None else config.strength
    return [full * max(level - config.end, 0.0) / (1 - config.end) for level in noise_levels]


def token_bias(prepared: Prepared) -> TokenBias:
    """The bias of strength 1 on the token grid of the whole latents.

    It has a column for each set of groups that share text tokens, mostly one for each group. See the module's
    documentation for what it does with them.
    """
    layout, backbone, config = prepared.layout, prepared.backbone, prepared.settings.bias
    assert layout is not None and prepared.tokens, "a bias needs a layout"
    size = prepared.settings.sampler.size
    inside = regions(
        layout,
        backbone.token_grid(size),
        frames=size.frames,
        temporal_compression=backbone.temporal_compression,
        shape=config.shape,
    ).flatten(1)
    owners: dict[tuple[int, ...], list[int]] = {}
    for token in sorted({token for tokens in prepared.tokens for token in tokens}):
        groups = tuple(n for n, tokens in enumerate(prepared.tokens) if token in tokens)
        owners.setdefault(groups, []).append(token)
    share = torch.stack([inside[list(groups)].amax(dim=0) for groups in owners], dim=1)  # (S, columns)
    words = torch.zeros(len(owners), prepared.text.positive.shape[1])
    for column, positions in enumerate(owners.values()):
        words[column, positions] = 1
    strength = config.inside * share - config.outside * (1 - share)
    return TokenBias(strength.to(backbone.device), words.to(backbone.device), config.in_maps)


def check_settings(settings: Settings) -> None:
    """Raise SetupError for settings with which no model has a bias."""
    if settings.tto.downsample > 1:
        raise SetupError(
            f"`tto.downsample` is {settings.tto.downsample}, but a bias is made for the whole latents",
            remedy="`tto.downsample=1`",
        )


def _biasable(prepared: Prepared) -> Biasable:
    """The backbone. Raises UserError where the bias cannot work."""
    backbone, settings = prepared.backbone, prepared.settings
    if not isinstance(backbone, Biasable):
        raise UserError(
            f"the attention of {backbone.name!r} takes no bias",
            expected="a Wan or CogVideoX pipeline, or a backbone with `biased`",
            remedy="another `method`, without `bias.strength`",
        )
    last = backbone.num_blocks - 1
    blocks = settings.bias.blocks
    wrong = [b for b in blocks if not 0 <= b <= last] if blocks != "all" else []
    if wrong:
        raise UserError(
            f"`bias.blocks` names block {wrong[0]}, but {backbone.name!r} has {backbone.num_blocks} blocks",
            expected=f"all, or indices from 0 to {last}",
            remedy="leave `bias.blocks` out",
        )
    check_settings(settings)
    return backbone
