"""Tiny random pipelines of the same diffusers classes as the real ones, built in a moment."""

from __future__ import annotations

from typing import Literal

import torch
from diffusers import (
    AutoencoderKLCogVideoX,
    AutoencoderKLWan,
    CogVideoXDDIMScheduler,
    CogVideoXDPMScheduler,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
    UniPCMultistepScheduler,
    WanPipeline,
    WanTransformer3DModel,
)
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel, UMT5Config, UMT5EncoderModel

WORDS = "a an the and with of above red blue two three moves from left right to up sky dog cat balloon house bus"


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """WordPiece with ``##s`` for plurals, ``##ing`` so that some words are split, and an end token as in T5."""
    tokens = ["[PAD]", "[EOS]", "[UNK]", *WORDS.split(), "##s", "##es", "##ing", "##house", "."]
    tokenizer = Tokenizer(models.WordPiece({t: i for i, t in enumerate(tokens)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A [EOS]", special_tokens=[("[EOS]", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", eos_token="[EOS]", unk_token="[UNK]", model_max_length=64
    )


def tiny_pipeline(patch: int = 1) -> WanPipeline:
    """Random weights: 4 blocks of 2 heads x 12, a VAE with 4x in space and time, ``patch`` x ``patch`` patches."""
    torch.manual_seed(0)
    tokenizer = tiny_tokenizer()
    text_encoder = UMT5EncoderModel(
        UMT5Config(vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    )
    transformer = WanTransformer3DModel(
        patch_size=(1, patch, patch), num_attention_heads=2, attention_head_dim=12, in_channels=16, out_channels=16,
        text_dim=16, freq_dim=16, ffn_dim=32, num_layers=4, cross_attn_norm=True,
    )  # fmt: skip
    with torch.no_grad():  # random weights attend almost evenly; sharpen them so that maps have a shape
        for block in transformer.blocks:
            block.attn2.norm_q.weight.mul_(3.0)
    vae = AutoencoderKLWan(
        base_dim=4, z_dim=16, dim_mult=[1, 1, 1], num_res_blocks=1, attn_scales=[], temperal_downsample=[True, True],
        scale_factor_spatial=4, scale_factor_temporal=4,
    )  # fmt: skip
    scheduler = UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0)
    parts = {"tokenizer": tokenizer, "text_encoder": text_encoder.eval(), "transformer": transformer.eval()}
    return WanPipeline(**parts, vae=vae.eval(), scheduler=scheduler)


CogVideoX = Literal["2b", "5b", "1.5"]
TEXT_LENGTH = 12
"""Text tokens of the tiny CogVideoX; the one like 2B takes no other number."""


def tiny_cogvideox(kind: CogVideoX = "5b", dpm: bool = False) -> CogVideoXPipeline:
    """Random weights: 4 blocks of 2 heads x 16, a VAE with 4x in space and time, 2 x 2 patches.

    As the real models, "2b" has sine codes, the others rotary ones, and "1.5" joins latent frames in pairs.
    """
    torch.manual_seed(0)
    tokenizer = tiny_tokenizer()
    text_encoder = T5EncoderModel(
        T5Config(vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    )
    transformer = CogVideoXTransformer3DModel(
        num_attention_heads=2, attention_head_dim=16, in_channels=4, out_channels=4, time_embed_dim=16,
        text_embed_dim=16, num_layers=4, sample_width=12, sample_height=8, sample_frames=9, patch_size=2,
        patch_size_t=2 if kind == "1.5" else None, patch_bias=kind != "1.5", max_text_seq_length=TEXT_LENGTH,
        use_rotary_positional_embeddings=kind != "2b",
    )  # fmt: skip
    with torch.no_grad():  # random weights attend almost evenly; sharpen them so that maps have a shape
        for block in transformer.transformer_blocks:
            block.attn1.norm_q.weight.mul_(3.0)
    blocks = 3
    vae = AutoencoderKLCogVideoX(
        down_block_types=("CogVideoXDownBlock3D",) * blocks, up_block_types=("CogVideoXUpBlock3D",) * blocks,
        block_out_channels=(4,) * blocks, latent_channels=4, layers_per_block=1, norm_num_groups=2,
        sample_height=32, sample_width=48, scaling_factor=0.7,
    )  # fmt: skip
    scheduler = (CogVideoXDPMScheduler if dpm else CogVideoXDDIMScheduler)(
        prediction_type="v_prediction", rescale_betas_zero_snr=True, timestep_spacing="trailing",
        snr_shift_scale=3.0 if kind == "2b" else 1.0,
    )  # fmt: skip
    parts = {"tokenizer": tokenizer, "text_encoder": text_encoder.eval(), "transformer": transformer.eval()}
    return CogVideoXPipeline(**parts, vae=vae.eval(), scheduler=scheduler)
