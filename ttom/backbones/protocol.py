"""What the method needs of a video diffusion pipeline; wan.py (and later cogvideox.py) provide it.

Dimension letters: see ttom/types.py.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ttom.types import TextEmbeddings, TokenGrid, VideoSize


class Backbone(Protocol):
    """A diffusers text-to-video pipeline seen through the method's eyes. The pipeline itself is never modified."""

    name: str
    """What the user called the model: an embedded name, a Hub id or a folder."""
    pipe: Any
    """The stock diffusers pipeline."""

    @property
    def transformer(self) -> nn.Module: ...

    @property
    def scheduler(self) -> Any: ...

    @property
    def device(self) -> torch.device: ...

    @property
    def dtype(self) -> torch.dtype: ...

    @property
    def num_blocks(self) -> int: ...

    @property
    def temporal_compression(self) -> int:
        """Picture frames per latent frame after the first (the first latent frame is one picture frame)."""
        ...

    def check_size(self, size: VideoSize) -> None:
        """Raise UserError if the model cannot make a video of this size.

        Frames 4k+1, sides a multiple of a few pixels, no longer than its position codes reach.
        """
        ...

    def check_blocks(self, blocks: tuple[int, ...]) -> None:
        """Raise UserError if a block index is out of range."""
        ...

    def token_grid(self, size: VideoSize) -> TokenGrid: ...

    def encode_prompt(
        self, prompt: str, negative_prompt: str, *, guidance: bool, max_sequence_length: int
    ) -> TextEmbeddings: ...

    def unknown_words(self, text: str) -> list[str]:
        """Words of the text for which the tokenizer has no token (always empty for subword tokenizers)."""
        ...

    def known_words(self) -> list[str]:
        """Whole words in the tokenizer's vocabulary, for suggestions; empty where any text can be tokenised."""
        ...

    def phrase_tokens(self, prompt: str, phrase: str, max_sequence_length: int) -> list[int]:
        """Positions of the phrase's tokens in the encoded prompt: every occurrence, singular or plural.

        Raises UserError if the phrase does not occur in the prompt or lies past max_sequence_length.
        """
        ...

    def initial_latents(self, size: VideoSize, seed: int) -> Tensor:
        """Gaussian latents ``(1, C, F, H, W)`` in float32, drawn as the stock pipeline draws them."""
        ...

    def denoise(self, latents: Tensor, timestep: Tensor, text: Tensor) -> Tensor:
        """One full forward of the transformer: latents ``(1, C, F, H, W)``, text ``(1, L, D)`` -> prediction."""
        ...

    def object_maps(
        self, latents: Tensor, timestep: Tensor, text: Tensor, tokens: list[list[int]], blocks: tuple[int, ...]
    ) -> Tensor:
        """Attention maps ``(K, N, F, H, W)`` of N phrases in K blocks; stops after the last of these blocks.

        Entry = share of a video token's attention (softmax over all text tokens), mean over heads and over the
        phrase's tokens. Differentiable; float32. Raises UserError if gradient checkpointing would break the backward.
        """
        ...

    def lora_targets(self, blocks: tuple[int, ...], projections: tuple[str, ...], *, all_blocks: bool) -> list[str]:
        """Module names of the transformer that get a LoRA.

        Unless all_blocks: all projections in blocks before the last target block, to_q and to_k in that block. Raises
        UserError if that is none.
        """
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """Final latents ``(1, C, F, H, W)`` -> uint8 video ``(T, height, width, 3)`` on the CPU."""
        ...
