"""A tiny random Wan pipeline of the same diffusers classes as the real one, built in a moment."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanPipeline, WanTransformer3DModel
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

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
