"""Base class of the adapters: a diffusers pipeline of tokenizer, text encoder, transformer and VAE.

Dimension letters: see ttom/types.py.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from ttom.attention.bias import TokenBias
from ttom.attention.capture import MapObserver, MapReader, Prefix, biased, captured_maps
from ttom.backbones.vocabulary import CLEANERS, Vocabulary
from ttom.config import RuntimeConfig
from ttom.errors import UserError
from ttom.types import TextEmbeddings, TokenGrid, VideoSize


class PipelineBackbone(ABC):
    """The part of ``Backbone`` that does not depend on the model family. The pipeline itself is never modified."""

    batched_guidance = False
    vae_in_float32 = True
    """Whether the VAE is loaded in float32, whatever precision the rest has."""
    runtime = RuntimeConfig()
    """The settings that the pipeline was prepared with (see runtime.py)."""
    text_encoder: type[Any]
    """Class of the pipeline's text encoder."""
    pipeline: str
    """Name of the pipeline class, as model_index.json has it."""
    attention: str
    """Name of a block's text-to-video attention in the transformer, such as "blocks.{}.attn2"."""
    reader: type[MapReader]
    """The attention processor that reads maps there."""
    biaser: type[MapReader]
    """The attention processor that adds a bias there."""
    self_attention: str | None = None
    """A block's attention between video tokens, if there is one that comes first and never has a LoRA."""

    def __init__(self, name: str, pipe: Any) -> None:
        self.name = name
        self.pipe = pipe

    @property
    def transformer(self) -> nn.Module:
        return self.pipe.transformer

    @property
    def device(self) -> torch.device:
        return self.pipe._execution_device

    @property
    def dtype(self) -> torch.dtype:
        return self.pipe.transformer.dtype

    @cached_property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary.of(self.pipe.tokenizer, CLEANERS.get(self.pipeline, str))

    @property
    def blocks(self) -> nn.ModuleList:
        blocks: Any = self.transformer.get_submodule(self.attention.split(".")[0])
        return blocks

    @property
    def num_blocks(self) -> int:
        return len(self.blocks)

    def check_blocks(self, blocks: tuple[int, ...]) -> None:
        last = self.num_blocks - 1
        wrong = [b for b in blocks if not 0 <= b <= last]
        if wrong:
            raise UserError(
                f"`tto.blocks` names block {wrong[0]}, but {self.name!r} has {self.num_blocks} blocks",
                expected=f"indices from 0 to {last}",
                remedy=f"`tto.blocks={min(3, last)}`, the model's own `preset`, or `python -m probes.run`",
            )
        resident = self.runtime.resident_blocks
        if resident is not None and max(blocks) >= resident:
            raise UserError(
                f"`tto.blocks` names block {max(blocks)}, but `runtime.resident_blocks` is {resident}",
                expected="target blocks that stay on the GPU",
                remedy=f"`runtime.resident_blocks={max(blocks) + 1}`",
            )

    @torch.no_grad()
    def encode_prompt(
        self, prompt: str, negative_prompt: str, *, guidance: bool, max_sequence_length: int
    ) -> TextEmbeddings:
        positive, negative = self.pipe.encode_prompt(
            prompt=prompt,
            negative_prompt=negative_prompt,
            do_classifier_free_guidance=guidance,
            max_sequence_length=max_sequence_length,
            device=self.device,
        )
        return TextEmbeddings(positive.to(self.dtype), negative.to(self.dtype) if guidance else None)

    @abstractmethod
    def denoise(self, latents: Tensor, timestep: Tensor, text: Tensor) -> Tensor: ...

    def object_maps(
        self,
        latents: Tensor,
        timestep: Tensor,
        text: Tensor,
        tokens: list[list[int]],
        blocks: tuple[int, ...],
        prefix: Prefix | None = None,
    ) -> Tensor:
        with self._captured(blocks, tokens, prefix=prefix) as processors:
            self.denoise(latents, timestep, text)
        maps = torch.stack([processors[b].maps[0] for b in blocks])
        grid = self._grid(latents)
        return maps.unflatten(2, (grid.frames, grid.height, grid.width))

    def watching(
        self, tokens: list[list[int]], blocks: tuple[int, ...], observer: MapObserver
    ) -> AbstractContextManager[object]:
        return self._captured(blocks, tokens, observer=observer)

    def biased(self, bias: TokenBias, blocks: tuple[int, ...] | None = None) -> AbstractContextManager[None]:
        chosen = tuple(range(self.num_blocks)) if blocks is None else blocks
        return biased(self.transformer, self.attention, self.biaser, bias, chosen)

    def reduced(self, latents: Tensor, factor: int) -> Tensor:
        full = self._grid(latents)
        small = full.reduced(factor)
        for axis, before, after in ((-2, full.height, small.height), (-1, full.width, small.width)):
            side = latents.shape[axis]
            count = side // before * after
            # The center of each of ``count`` equal parts.
            chosen = ((torch.arange(count) + 0.5) * side / count).long()
            latents = latents.index_select(axis, chosen.to(latents.device))
        return latents

    def lora_targets(
        self, blocks: tuple[int, ...], projections: tuple[str, ...], *, all_blocks: bool, first: int = 0
    ) -> list[str]:
        if self._fused():
            raise UserError(
                "the pipeline's projections are fused, which hides to_k and to_v from a LoRA",
                remedy="call pipe.transformer.unfuse_qkv_projections() first",
            )
        if all_blocks and self.runtime.resident_blocks is not None:
            raise UserError(
                "`adapter.all_blocks` puts a LoRA into blocks that do not stay on the GPU",
                remedy="leave `adapter.all_blocks` or `runtime.resident_blocks` out",
            )
        last = self.num_blocks if all_blocks else max(blocks)
        names = [f"{self.attention.format(b)}.{p}" for b in range(first, last) for p in projections]
        if not all_blocks:
            names += [f"{self.attention.format(last)}.{p}" for p in projections if p in ("to_q", "to_k")]
        if not names:
            raise UserError(
                f"no gradient reaches `adapter.projections={' '.join(projections)}` in block {first} alone",
                expected="to_q or to_k in the last target block, any projection in the blocks before it",
                remedy="add to_q or to_k, a later block, or an earlier `adapter.first_block`",
            )
        return names

    @contextmanager
    def _decoder(self) -> Iterator[Any]:
        """The VAE, on the device while it decodes."""
        vae = self.pipe.vae
        if not self.runtime.offload:
            yield vae
            return
        try:
            yield vae.to(self.device)
        finally:
            vae.to("cpu")

    def _captured(
        self,
        blocks: tuple[int, ...],
        tokens: list[list[int]],
        *,
        prefix: Prefix | None = None,
        observer: MapObserver | None = None,
    ) -> AbstractContextManager[dict[int, Any]]:
        where = (self.transformer, self.attention, self.reader, blocks, tokens)
        return captured_maps(*where, prefix=prefix, self_attention=self.self_attention, observer=observer)

    @abstractmethod
    def _grid(self, latents: Tensor) -> TokenGrid: ...

    @abstractmethod
    def _fused(self) -> bool:
        """Whether to_k and to_v are fused into one projection."""


def check_frames(frames: int, every: int) -> None:
    """UserError unless frames = every k + 1."""
    if frames % every != 1:
        below = max(frames - 1, 0) // every * every + 1
        raise UserError(
            f"`sampler.frames` is {frames}",
            expected=f"{every}k + 1 frames for this model",
            remedy=f"{below} or {below + every}",
        )


def check_sides(size: VideoSize, rows: int, columns: int) -> None:
    """UserError unless the height is a multiple of ``rows`` pixels and the width of ``columns``."""
    for name, value, multiple in (("height", size.height, rows), ("width", size.width, columns)):
        if value % multiple:
            below = max(value // multiple, 1) * multiple
            raise UserError(
                f"`sampler.{name}` is {value}",
                expected=f"a multiple of {multiple} pixels for this model",
                remedy=f"{below} or {below + multiple}",
            )


def to_frames(pipe: Any, video: Tensor) -> Tensor:
    """The VAE's output ``(1, 3, T, height, width)`` -> uint8 ``(T, height, width, 3)`` on the CPU."""
    frames = pipe.video_processor.postprocess_video(video, output_type="pt")[0]  # (T, 3, height, width)
    return (frames.permute(0, 2, 3, 1).float() * 255).round().to(torch.uint8).cpu()
