"""What the method needs of a video diffusion pipeline; wan.py and cogvideox.py provide it.

A backbone is a video model (text and noise to video, as the stock pipeline does it) that can be steered (its attention
is read, a LoRA goes into it) and has a vocabulary (which words it knows, and where they are in a prompt). A function
asks for the smallest of these protocols that it needs. How to add a model family: CONTRIBUTING.md.

Dimension letters: see ttom/types.py.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from ttom.attention.bias import TokenBias
from ttom.attention.capture import MapObserver, Prefix
from ttom.backbones.vocabulary import Vocabulary
from ttom.types import TextEmbeddings, TokenGrid, VideoSize


class Solver(Protocol):
    """A copy of the pipeline's scheduler for one run. It has state: steps are taken in order, each once."""

    timesteps: Tensor
    """One per step, in the form that the transformer takes."""

    @property
    def noise_levels(self) -> list[float]:
        """One per step: noise / (noise + signal) in the latents before it, from 1 down. For flow models their sigma."""
        ...

    def step(self, prediction: Tensor, timestep: Tensor, latents: Tensor) -> Tensor:
        """Latents before the step and the model's prediction there -> latents after it."""
        ...


class VideoModel(Protocol):
    """Text and noise to video, step by step, equal to the stock pipeline."""

    batched_guidance: bool
    """Whether the stock pipeline predicts for negative prompt and prompt in one batch (in this order).

    The sampler does the same, since kernels may round differently for another batch size.
    """

    @property
    def device(self) -> torch.device: ...

    @property
    def dtype(self) -> torch.dtype: ...

    @property
    def temporal_compression(self) -> int:
        """Picture frames per frame of the token grid, except for its first frame, which is one picture frame."""
        ...

    def check_size(self, size: VideoSize) -> None:
        """Raise UserError if the model cannot make a video of this size.

        For example, frames must be 4k + 1, sides a multiple of 16 pixels, and none beyond the position embeddings.
        """
        ...

    def token_grid(self, size: VideoSize) -> TokenGrid: ...

    def encode_prompt(
        self, prompt: str, negative_prompt: str, *, guidance: bool, max_sequence_length: int
    ) -> TextEmbeddings:
        """Embeddings as the stock pipeline makes them.

        Raises UserError for a max_sequence_length that the model cannot take.
        """
        ...

    def initial_latents(self, size: VideoSize, seed: int) -> Tensor:
        """Gaussian latents as the stock pipeline draws them, with its order of axes and its precision.

        Only the backbone interprets the axes: ``(1, C, F, H, W)`` for Wan, ``(1, F, C, H, W)`` for CogVideoX.
        """
        ...

    def solver(self, steps: int, seed: int, flow_shift: float | None = None) -> Solver:
        """A solver for a run of ``steps`` steps.

        Its steps' noise, if any, continues the random sequence of ``initial_latents``, as in the stock pipeline.
        Raises UserError for a flow_shift where the scheduler has none.
        """
        ...

    def denoise(self, latents: Tensor, timestep: Tensor, text: Tensor) -> Tensor:
        """One full forward of the transformer: latents, text ``(1, L, D)`` -> prediction, shaped like the latents.

        With ``batched_guidance``, also for a batch of two.
        """
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """Final latents -> uint8 video ``(T, height, width, 3)`` on the CPU."""
        ...


class Steerable(Protocol):
    """A transformer whose text-to-video attention can be read and changed."""

    @property
    def transformer(self) -> nn.Module: ...

    @property
    def num_blocks(self) -> int: ...

    def check_blocks(self, blocks: tuple[int, ...]) -> None:
        """Raise UserError if a block index is out of range."""
        ...

    def object_maps(
        self,
        latents: Tensor,
        timestep: Tensor,
        text: Tensor,
        tokens: list[list[int]],
        blocks: tuple[int, ...],
        prefix: Prefix | None = None,
    ) -> Tensor:
        """Attention maps ``(K, N, F, H, W)`` of N phrases in K blocks; the forward ends with the last of these blocks.

        An entry is the share of a video token's attention that a text token receives, averaged over heads and over the
        phrase's tokens. The softmax is the block's own: over all text tokens in cross-attention, over all text and
        video tokens in joint attention. Differentiable; float32.

        A prefix caches, for these latents, this timestep and this text, what comes before the first LoRA: all blocks
        before the prefix's first, and for Wan also that block's self-attention. A backbone may ignore it.
        """
        ...

    def watching(
        self, tokens: list[list[int]], blocks: tuple[int, ...], observer: MapObserver
    ) -> AbstractContextManager[object]:
        """Within the context, every ``denoise`` also calls the observer with the maps of ``blocks``, block by block.

        The prediction stays the same to the last bit, and no map is kept. The observer gets a block's index and its
        maps ``(B, N, S)``: entries as in ``object_maps``, S in the order of the token grid, B as ``denoise`` was given
        it (with ``batched_guidance`` the prompt's are the last).
        """
        ...

    def reduced(self, latents: Tensor, factor: int) -> Tensor:
        """The latents of a smaller picture, at evenly spaced rows and columns of tokens, ``factor`` times fewer.

        Its token grid is ``TokenGrid.reduced(factor)``. Latents are picked, not averaged: the noise keeps its variance,
        so the timestep stays right. Raises UserError if nothing would be left.
        """
        ...

    def lora_targets(
        self, blocks: tuple[int, ...], projections: tuple[str, ...], *, all_blocks: bool, first: int = 0
    ) -> list[str]:
        """Names of the transformer's modules that get a LoRA; the part after the first dot is the block's index.

        Begins at block ``first``. Unless all_blocks is set, these are all projections in blocks before the last target
        block, and to_q and to_k in that block. Raises UserError if there is none.
        """
        ...


@runtime_checkable
class Biasable(Protocol):
    """A transformer whose text-to-video attention takes a bias. Not every backbone has it."""

    def biased(self, bias: TokenBias, blocks: tuple[int, ...] | None = None) -> AbstractContextManager[None]:
        """Within the context, the attention of ``blocks`` (all if None) from video to text has a bias.

        It acts in every forward, on the last sample of a batch (see `TokenBias`), and on the maps that are read.
        The bias's tokens are those of the latents that are denoised, in the order of their token grid.
        """
        ...


class Backbone(VideoModel, Steerable, Protocol):
    """A diffusers text-to-video pipeline as the method sees it. The pipeline itself is never modified."""

    name: str
    """What the user called the model: an embedded name, a Hub id or a folder."""
    pipe: Any
    """The stock diffusers pipeline; others use its tokenizer, text_encoder and save_lora_weights."""

    @property
    def vocabulary(self) -> Vocabulary:
        """Words that the model knows, and where they are in a prompt."""
        ...
