"""A CogVideoX so small that a CPU trains and exports it."""

from __future__ import annotations

from diffusers import AutoencoderKLCogVideoX, CogVideoXTransformer3DModel

from experiments.emojiworld.families import FAMILIES

COGVIDEOX = FAMILIES["cogvideox"]


PROMPT = "Two cats on the left of a dog"


def tiny_vae() -> AutoencoderKLCogVideoX:
    config = dict(COGVIDEOX.build_vae().config) | {"block_out_channels": (4, 4, 4), "norm_num_groups": 2}  # type: ignore[arg-type]
    return AutoencoderKLCogVideoX.from_config(config)


def tiny_transformer() -> CogVideoXTransformer3DModel:
    sizes = {"num_layers": 2, "attention_head_dim": 16, "time_embed_dim": 16}
    config = dict(COGVIDEOX.build_transformer().config) | sizes  # type: ignore[arg-type]
    return CogVideoXTransformer3DModel.from_config(config)
