"""The published pipelines with random weights, which cost the same as trained ones, and their operation counts."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from torch import nn

from experiments.bench.generate import count_operations
from ttom import checkpoints
from ttom.attention.capture import Prefix
from ttom.backbones import ADAPTERS, Backbone
from ttom.backbones.loading import vae_dtype
from ttom.config import Settings
from ttom.guidance.tto.adapter import LoraAdapter
from ttom.presets import cogvideox, paper
from ttom.types import VideoSize

CONFIGS = Path(__file__).parent / "configs"
TOKENS = [[3, 4], [9]]
"""Text positions of two objects."""


@dataclass(frozen=True)
class Model:
    """A published pipeline: its class, its parts as names of files in configs/, and the settings of its official size.

    ``tiny`` makes every part of the same classes small, to test the benchmark on a CPU.
    """

    pipeline: str
    transformer: str
    text_encoder: str
    vae: str
    scheduler: str
    preset: Callable[[], Settings]
    tiny: bool = False

    def small(self) -> Model:
        """The same model with small parts."""
        return replace(self, tiny=True)

    @property
    def settings(self) -> Settings:
        settings = self.preset()
        if self.tiny:
            frames = 9 if self.pipeline == "WanPipeline" else 17
            small = dict(frames=frames, height=64, width=96, max_sequence_length=16)
            sampler = replace(settings.sampler, **small)  # type: ignore[arg-type]
            settings = replace(settings, sampler=sampler, adapter=replace(settings.adapter, rank=4, alpha=4.0))
        return settings

    @property
    def size(self) -> VideoSize:
        return self.settings.sampler.size

    def config(self, part: str) -> dict[str, Any]:
        """The configuration of a part ("transformer", "vae", ...)."""
        config = json.loads((CONFIGS / f"{getattr(self, part)}.json").read_text())
        return config | (TINY.get(config["_class_name"], {}) if self.tiny else {})


MODELS = {
    "wan-14b": Model(
        "WanPipeline", "wan2.1-t2v-14b", "umt5-xxl-encoder", "wan2.1-vae", "wan2.1-scheduler", paper
    ),
    "wan-1.3b": Model(
        "WanPipeline", "wan2.1-t2v-1.3b", "umt5-xxl-encoder", "wan2.1-vae", "wan2.1-scheduler", paper
    ),
    "cogvideox-5b": Model(
        "CogVideoXPipeline", "cogvideox-5b", "t5-xxl-encoder", "cogvideox-5b-vae", "cogvideox-5b-scheduler", cogvideox
    ),
    "cogvideox-2b": Model(
        "CogVideoXPipeline", "cogvideox-2b", "t5-xxl-encoder", "cogvideox-2b-vae", "cogvideox-2b-scheduler", cogvideox
    ),
}  # fmt: skip

_TEXT = dict(d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, vocab_size=2048)
TINY: dict[str, dict[str, Any]] = {
    "WanTransformer3DModel": dict(
        num_layers=6, num_attention_heads=2, attention_head_dim=12, ffn_dim=32, freq_dim=16, text_dim=16
    ),
    "CogVideoXTransformer3DModel": dict(
        num_layers=6, num_attention_heads=2, attention_head_dim=16, time_embed_dim=16, text_embed_dim=16,
        sample_width=12, sample_height=8, sample_frames=17, max_text_seq_length=16,
    ),
    "AutoencoderKLWan": dict(base_dim=4, num_res_blocks=1),
    "AutoencoderKLCogVideoX": dict(block_out_channels=[4] * 4, layers_per_block=1, norm_num_groups=2),
    "UMT5EncoderModel": _TEXT,
    "T5EncoderModel": _TEXT,
}  # fmt: skip


def build(model: Model, device: str, dtype: torch.dtype, *, text_encoder: bool = False) -> Backbone:
    """The pipeline's backbone with random weights, initialized on the device without a copy on the CPU.

    The tokenizer is EmojiWorld's, whose ids are valid in any larger vocabulary. Without ``text_encoder`` there is no
    tokenizer either, and embeddings must be given. The VAE has the precision that `load_backbone` gives it.
    """
    torch.manual_seed(0)
    parts: dict[str, Any] = {"scheduler": _scheduler(model)}
    parts["transformer"] = _module(model.config("transformer"), device, dtype)
    pipeline, adapter = ADAPTERS[model.pipeline]
    parts["vae"] = _module(model.config("vae"), device, vae_dtype(adapter, dtype))
    parts["text_encoder"] = _module(model.config("text_encoder"), device, dtype) if text_encoder else None
    tokenizer = checkpoints.path("emojiworld-wan") / "tokenizer"
    parts["tokenizer"] = transformers.PreTrainedTokenizerFast.from_pretrained(tokenizer) if text_encoder else None
    pipe = pipeline(**parts)
    pipe.set_progress_bar_config(disable=True)
    return adapter(model.transformer, pipe)


def _scheduler(model: Model) -> Any:
    config = model.config("scheduler")
    return getattr(diffusers, config["_class_name"]).from_config(config)


def _module(config: dict[str, Any], device: str, dtype: torch.dtype) -> nn.Module:
    config = dict(config)
    name = config.pop("_class_name")
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            module: Any
            if hasattr(diffusers, name):
                module = getattr(diffusers, name).from_config(config)
            else:
                module = getattr(transformers, name)(getattr(transformers, name).config_class(**config))
    finally:
        torch.set_default_dtype(before)
    for parameter_name, parameter in module.named_parameters() if hasattr(diffusers, name) else ():
        # diffusers' from_pretrained keeps these in float32 too.
        if set(parameter_name.split(".")) & set(getattr(module, "_keep_in_fp32_modules", None) or ()):
            parameter.data = parameter.data.float()
    return module.eval().requires_grad_(False)


def text_embedding(model: Model, device: torch.device, dtype: torch.dtype, seed: int) -> torch.Tensor:
    """Random text embeddings ``(1, L, D)``."""
    config = model.config("transformer")
    width = config.get("text_dim") or config["text_embed_dim"]
    generator = torch.Generator("cpu").manual_seed(seed)
    shape = (1, model.settings.sampler.max_sequence_length, width)
    return torch.randn(shape, generator=generator).to(device, dtype)


@cache
def operations(model: Model, settings: Settings) -> dict[str, int]:
    """Floating-point operations of a denoising step with guidance, and of an iteration for two objects.

    Counted on the code that runs, on the meta device. The iteration is counted without recomputation.
    """
    backbone = build(model, "meta", torch.bfloat16)
    latents, timestep = backbone.initial_latents(model.size, 0), torch.tensor(900.0, device="meta")
    text = text_embedding(model, backbone.device, backbone.dtype, 0)

    def step() -> None:
        with torch.no_grad():
            backbone.denoise(latents, timestep, text)

    small, prefix = backbone.reduced(latents, settings.tto.downsample), Prefix(settings.adapter.first_block)

    def iteration() -> None:
        backbone.object_maps(small, timestep, text, TOKENS, settings.tto.targets, prefix).sum().backward()

    counted = {"step": 2 * count_operations(step)["total"]}
    adapter = LoraAdapter(backbone, settings.adapter, settings.tto.targets, seed=0)
    adapter.attach()
    iteration()  # fills the prefix
    return counted | {"iteration": count_operations(iteration)["total"]}
