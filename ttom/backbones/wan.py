"""Wan 2.1 text-to-video (diffusers ``WanPipeline``) behind the backbone protocol.

Dimension letters: see ttom/types.py.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from diffusers.pipelines.wan.pipeline_wan import prompt_clean
from torch import Tensor, nn

from ttom.attention.wan import captured_maps
from ttom.backbones import tokens as tokens_of
from ttom.errors import UserError
from ttom.types import TextEmbeddings, TokenGrid, VideoSize


class WanBackbone:
    """See ``Backbone``. Holds a stock ``WanPipeline`` and leaves it as it is.

    Raises:
        UserError: A Wan 2.2 pipeline (two transformers, or a timestep per token), which is another sampling loop.
    """

    def __init__(self, name: str, pipe: Any) -> None:
        if pipe.config.expand_timesteps or pipe.transformer_2 is not None:
            raise UserError(
                f"{name!r} is a Wan 2.2 pipeline", expected="a Wan 2.1 text-to-video pipeline with one transformer"
            )
        self.name = name
        self.pipe = pipe

    @property
    def transformer(self) -> nn.Module:
        return self.pipe.transformer

    @property
    def scheduler(self) -> Any:
        return self.pipe.scheduler

    @property
    def device(self) -> torch.device:
        return self.pipe._execution_device

    @property
    def dtype(self) -> torch.dtype:
        return self.pipe.transformer.dtype

    @property
    def num_blocks(self) -> int:
        return len(self.pipe.transformer.blocks)

    @property
    def temporal_compression(self) -> int:
        return self.pipe.vae_scale_factor_temporal

    def check_size(self, size: VideoSize) -> None:
        every = self.temporal_compression
        if size.frames % every != 1:
            below = max(size.frames - 1, 0) // every * every + 1
            raise UserError(
                f"--sampler.frames is {size.frames}",
                expected=f"{every}k + 1 frames for this model",
                remedy=f"{below} or {below + every}",
            )
        _, rows, columns = self.pipe.transformer.config.patch_size
        for name, value, patch in (("height", size.height, rows), ("width", size.width, columns)):
            multiple = math.lcm(16, self.pipe.vae_scale_factor_spatial * patch)  # 16: the stock pipeline's own check
            if value % multiple:
                below = max(value // multiple, 1) * multiple
                raise UserError(
                    f"--sampler.{name} is {value}",
                    expected=f"a multiple of {multiple} pixels for this model",
                    remedy=f"{below} or {below + multiple}",
                )
        grid, reach = self.token_grid(size), self.pipe.transformer.config.rope_max_seq_len
        if max(grid.frames, grid.height, grid.width) > reach:
            raise UserError(
                f"{size.frames} frames of {size.width} x {size.height} pixels are {grid.frames} latent frames of "
                f"{grid.width} x {grid.height} tokens",
                expected=f"at most {reach} of each, as far as this model's position codes reach",
                remedy="fewer --sampler.frames, or a smaller --sampler.width and --sampler.height",
            )

    def check_blocks(self, blocks: tuple[int, ...]) -> None:
        wrong = [b for b in blocks if not 0 <= b < self.num_blocks]
        if wrong:
            raise UserError(
                f"--tto.blocks names block {wrong[0]}, but {self.name!r} has {self.num_blocks} blocks",
                expected=f"indices from 0 to {self.num_blocks - 1}",
            )

    def token_grid(self, size: VideoSize) -> TokenGrid:
        frames = (size.frames - 1) // self.temporal_compression + 1
        side = self.pipe.vae_scale_factor_spatial
        return self._grid((frames, size.height // side, size.width // side))

    def _grid(self, latent_shape: tuple[int, ...]) -> TokenGrid:
        patch = self.pipe.transformer.config.patch_size
        return TokenGrid(*(n // p for n, p in zip(latent_shape, patch, strict=True)))

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

    def unknown_words(self, text: str) -> list[str]:
        return tokens_of.unknown_words(self.pipe.tokenizer, prompt_clean(text))

    def known_words(self) -> list[str]:
        return tokens_of.known_words(self.pipe.tokenizer)

    def phrase_tokens(self, prompt: str, phrase: str, max_sequence_length: int) -> list[int]:
        # The pipeline encodes the cleaned prompt (mended unicode and entities, single spaces), so offsets are in it.
        return tokens_of.phrase_positions(
            self.pipe.tokenizer, prompt_clean(prompt), prompt_clean(phrase), max_sequence_length
        )

    def initial_latents(self, size: VideoSize, seed: int) -> Tensor:
        return self.pipe.prepare_latents(
            1,
            self.pipe.transformer.config.in_channels,
            size.height,
            size.width,
            size.frames,
            torch.float32,
            self.device,
            torch.Generator("cpu").manual_seed(seed),
        )

    def denoise(self, latents: Tensor, timestep: Tensor, text: Tensor) -> Tensor:
        return self.pipe.transformer(
            hidden_states=latents.to(self.dtype),
            timestep=timestep.expand(latents.shape[0]),
            encoder_hidden_states=text,
            return_dict=False,
        )[0]

    def object_maps(
        self, latents: Tensor, timestep: Tensor, text: Tensor, tokens: list[list[int]], blocks: tuple[int, ...]
    ) -> Tensor:
        if torch.is_grad_enabled() and self.pipe.transformer.is_gradient_checkpointing:
            raise UserError(
                "the transformer has gradient checkpointing on, whose second forward would find no map to read",
                remedy="call pipe.transformer.disable_gradient_checkpointing() first",
            )
        with captured_maps(self.transformer, blocks, tokens) as processors:
            self.denoise(latents, timestep, text)
        maps = [processors[b].maps for b in blocks]
        grid = self._grid(tuple(latents.shape[2:]))
        return torch.stack([m[0] for m in maps if m is not None]).unflatten(2, (grid.frames, grid.height, grid.width))

    def lora_targets(self, blocks: tuple[int, ...], projections: tuple[str, ...], *, all_blocks: bool) -> list[str]:
        if any(getattr(block.attn2, "fused_projections", False) for block in self.pipe.transformer.blocks):
            raise UserError(
                "the pipeline's projections are fused, which hides to_k and to_v from a LoRA",
                remedy="call pipe.transformer.unfuse_qkv_projections() first",
            )
        last = self.num_blocks if all_blocks else max(blocks)
        names = [f"blocks.{b}.attn2.{p}" for b in range(last) for p in projections]
        if not all_blocks:
            names += [f"blocks.{last}.attn2.{p}" for p in projections if p in ("to_q", "to_k")]
        if not names:
            raise UserError(
                f"no gradient reaches --adapter.projections {' '.join(projections)} with --tto.blocks {last} alone",
                expected="to_q or to_k in block 0, any projection in the blocks before the last target block",
                remedy="add to_q or to_k, or a later block",
            )
        return names

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        vae = self.pipe.vae
        latents = latents.to(vae.device, vae.dtype)
        mean, std = (
            torch.tensor(values).view(1, -1, 1, 1, 1).to(latents)
            for values in (vae.config.latents_mean, vae.config.latents_std)
        )
        video = vae.decode(latents / (1.0 / std) + mean, return_dict=False)[0]
        frames = self.pipe.video_processor.postprocess_video(video, output_type="pt")[0]  # (T, 3, height, width)
        return (frames.permute(0, 2, 3, 1).float() * 255).round().to(torch.uint8).cpu()
