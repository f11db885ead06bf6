"""A third backbone, written against ``ttom/backbones/protocol.py`` alone: the example of CONTRIBUTING.md.

The model family is made up and as small as can be: pictures are their own latents, every picture is a latent frame,
each block is one cross-attention to the text. Nothing is inherited from the adapters of this package.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import DiffusionPipeline, FlowMatchEulerDiscreteScheduler, ModelMixin
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.loaders import CogVideoXLoraLoaderMixin, PeftAdapterMixin
from torch import Tensor, nn
from transformers import T5Config, T5EncoderModel

from tests.tiny import tiny_tokenizer
from ttom.attention.capture import MapObserver
from ttom.backbones.vocabulary import Vocabulary
from ttom.errors import UserError
from ttom.types import TextEmbeddings, TokenGrid, VideoSize

WIDTH, PATCH, BLOCKS = 16, 4, 3


class ToyBlock(nn.Module):
    """Video tokens ``(1, S, D)`` look at the text ``(1, L, D)``; one head."""

    def __init__(self) -> None:
        super().__init__()
        self.to_q, self.to_k, self.to_v = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(WIDTH, WIDTH)])

    def shares(self, video: Tensor, text: Tensor) -> Tensor:
        """Attention ``(1, S, L)``."""
        return (3 * self.to_q(video) @ self.to_k(text).mT / WIDTH**0.5).softmax(-1)

    def forward(self, video: Tensor, text: Tensor) -> Tensor:
        return video + self.to_out[0](self.shares(video, text) @ self.to_v(text))


class ToyTransformer(ModelMixin, ConfigMixin, PeftAdapterMixin):
    """A diffusers model, so that peft can put a LoRA into it and its configuration can be told from another's."""

    @register_to_config
    def __init__(self, num_layers: int = BLOCKS) -> None:
        super().__init__()
        self.enter = nn.Linear(3 * PATCH * PATCH + 3, WIDTH)
        self.layers = nn.ModuleList([ToyBlock() for _ in range(num_layers)])
        self.leave = nn.Linear(WIDTH, 3 * PATCH * PATCH)

    def tokens(self, latents: Tensor) -> Tensor:
        """Latents ``(1, 3, F, H, W)`` -> one token for each patch, with its position: ``(1, S, D)``."""
        patches = latents.unfold(3, PATCH, PATCH).unfold(4, PATCH, PATCH)  # (1, 3, F, rows, columns, 4, 4)
        values = patches.permute(0, 2, 3, 4, 1, 5, 6).flatten(4)
        places = [torch.linspace(-1, 1, n, dtype=latents.dtype) for n in values.shape[1:4]]
        where = torch.stack(torch.meshgrid(*places, indexing="ij"), dim=-1)[None]
        return self.enter(torch.cat([values, where], dim=-1).flatten(1, 3))

    def forward(self, latents: Tensor, text: Tensor) -> Tensor:
        video = self.tokens(latents)
        for block in self.layers:
            video = block(video, text)
        _, _, frames, height, width = latents.shape
        patches = self.leave(video).view(1, frames, height // PATCH, width // PATCH, 3, PATCH, PATCH)
        return patches.permute(0, 4, 1, 2, 5, 3, 6).reshape(latents.shape)


class ToyPipeline(DiffusionPipeline, CogVideoXLoraLoaderMixin):
    """The parts; the loader mixin gives save_lora_weights and load_lora_weights."""

    def __init__(self, tokenizer: Any, text_encoder: Any, transformer: ToyTransformer, scheduler: Any) -> None:
        super().__init__()
        self.register_modules(
            tokenizer=tokenizer, text_encoder=text_encoder, transformer=transformer, scheduler=scheduler
        )

    @classmethod
    def from_pretrained(cls, source: str, **_: Any) -> ToyPipeline:
        """Random weights, whatever the folder holds."""
        torch.manual_seed(0)
        tokenizer = tiny_tokenizer()
        config = T5Config(vocab_size=len(tokenizer), d_model=WIDTH, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
        parts = T5EncoderModel(config).eval(), ToyTransformer().eval()
        return cls(tokenizer, *parts, FlowMatchEulerDiscreteScheduler())


class ToySolver:
    """See ``ttom.backbones.protocol.Solver``."""

    def __init__(self, scheduler: Any, steps: int) -> None:
        self.scheduler = copy.deepcopy(scheduler)
        self.scheduler.set_timesteps(steps)
        self.timesteps: Tensor = self.scheduler.timesteps

    @property
    def noise_levels(self) -> list[float]:
        return self.scheduler.sigmas[:-1].tolist()

    def step(self, prediction: Tensor, timestep: Tensor, latents: Tensor) -> Tensor:
        return self.scheduler.step(prediction, timestep, latents, return_dict=False)[0]


class ToyBackbone:
    """See ``ttom.backbones.protocol.Backbone``."""

    batched_guidance = False
    num_blocks = BLOCKS
    temporal_compression = 1
    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self, name: str, pipe: ToyPipeline) -> None:
        self.name, self.pipe, self.transformer = name, pipe, pipe.transformer
        self.vocabulary = Vocabulary.of(pipe.tokenizer)

    def check_size(self, size: VideoSize) -> None:
        if size.height % PATCH or size.width % PATCH:
            raise UserError(f"the picture is {size.width} x {size.height}", expected=f"multiples of {PATCH} pixels")

    def check_blocks(self, blocks: tuple[int, ...]) -> None:
        if max(blocks) >= BLOCKS:
            raise UserError(f"--tto.blocks names block {max(blocks)}", expected=f"indices below {BLOCKS}")

    def token_grid(self, size: VideoSize) -> TokenGrid:
        return TokenGrid(size.frames, size.height // PATCH, size.width // PATCH)

    @torch.no_grad()
    def encode_prompt(
        self, prompt: str, negative_prompt: str, *, guidance: bool, max_sequence_length: int
    ) -> TextEmbeddings:
        options = {"padding": "max_length", "max_length": max_sequence_length, "truncation": True}
        ids = self.pipe.tokenizer([prompt, negative_prompt], return_tensors="pt", **options).input_ids
        positive, negative = self.pipe.text_encoder(ids).last_hidden_state.split(1)
        return TextEmbeddings(positive, negative if guidance else None)

    def initial_latents(self, size: VideoSize, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(1, 3, size.frames, size.height, size.width, generator=generator)

    def solver(self, steps: int, seed: int, flow_shift: float | None = None) -> ToySolver:
        return ToySolver(self.pipe.scheduler, steps)

    def denoise(self, latents: Tensor, timestep: Tensor, text: Tensor) -> Tensor:
        return self.transformer(latents, text)

    def object_maps(
        self,
        latents: Tensor,
        timestep: Tensor,
        text: Tensor,
        tokens: list[list[int]],
        blocks: tuple[int, ...],
        prefix: Any = None,
    ) -> Tensor:
        video, maps = self.transformer.tokens(latents), {}
        for b, block in enumerate(self.transformer.layers[: max(blocks) + 1]):
            shares = block.shares(video, text)[0]
            maps[b] = torch.stack([shares[:, positions].mean(-1) for positions in tokens])
            if b < max(blocks):
                video = block(video, text)
        grid = (latents.shape[2], latents.shape[3] // PATCH, latents.shape[4] // PATCH)
        return torch.stack([maps[b] for b in blocks]).unflatten(2, grid)

    @contextmanager
    def watching(self, tokens: list[list[int]], blocks: tuple[int, ...], observer: MapObserver) -> Iterator[None]:
        def shown(block: int, layer: ToyBlock, inputs: tuple[Tensor, Tensor]) -> None:
            shares = layer.shares(*inputs)
            observer(block, torch.stack([shares[..., positions].mean(-1) for positions in tokens], dim=1))

        hooks = [
            self.transformer.layers[b].register_forward_pre_hook(lambda layer, inputs, b=b: shown(b, layer, inputs))
            for b in blocks
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def reduced(self, latents: Tensor, factor: int) -> Tensor:
        if factor != 1:
            raise UserError(f"--tto.downsample is {factor}", expected="1 for this model")
        return latents

    def lora_targets(
        self, blocks: tuple[int, ...], projections: tuple[str, ...], *, all_blocks: bool, first: int = 0
    ) -> list[str]:
        last = max(blocks)
        earlier = range(first, BLOCKS if all_blocks else last)
        names = [f"layers.{b}.{p}" for b in earlier for p in projections]
        return names if all_blocks else names + [f"layers.{last}.{p}" for p in projections if p in ("to_q", "to_k")]

    def decode(self, latents: Tensor) -> Tensor:
        return (latents[0].permute(1, 2, 3, 0).clamp(-1, 1) * 127.5 + 127.5).round().to(torch.uint8)
