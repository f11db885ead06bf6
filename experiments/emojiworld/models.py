"""The parts of the EmojiWorld checkpoints: stock diffusers and transformers classes at a small size."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from diffusers import (
    AutoencoderKLCogVideoX,
    AutoencoderKLWan,
    CogVideoXDDIMScheduler,
    CogVideoXTransformer3DModel,
    UniPCMultistepScheduler,
    WanTransformer3DModel,
)
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    PreTrainedTokenizerFast,
    T5Config,
    T5EncoderModel,
    UMT5Config,
    UMT5EncoderModel,
)

from ttom.emojiworld.editions import SECOND, Edition
from ttom.emojiworld.scene import FRAMES, HEIGHT, WIDTH

LATENT_CHANNELS = 16
TEXT_TOKENS = 64
"""Text length that the checkpoints prefer; they are trained to work at diffusers' default as well."""
FLOW_SHIFT = 2.0

TextEncoder = TypeVar("TextEncoder", UMT5EncoderModel, T5EncoderModel)


def build_vae() -> AutoencoderKLWan:
    """4x in space, 4x in time, with the residual shortcuts of Wan 2.2's VAE."""
    return AutoencoderKLWan(
        base_dim=16,
        decoder_base_dim=16,
        z_dim=LATENT_CHANNELS,
        dim_mult=[1, 4, 4],
        num_res_blocks=1,
        attn_scales=[],
        temperal_downsample=[True, True],
        is_residual=True,
        latents_mean=[0.0] * LATENT_CHANNELS,
        latents_std=[1.0] * LATENT_CHANNELS,
        scale_factor_temporal=4,
        scale_factor_spatial=4,
    )


def build_transformer() -> WanTransformer3DModel:
    return WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=4,
        attention_head_dim=64,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        text_dim=192,
        freq_dim=128,
        ffn_dim=768,
        num_layers=8,
        cross_attn_norm=True,
        rope_max_seq_len=64,
    )


def build_cogvideox_vae() -> AutoencoderKLCogVideoX:
    """4x in space, 4x in time; encodes and decodes clips in parts of 9 and then 8 frames, as the stock code does."""
    blocks = 3
    return AutoencoderKLCogVideoX(
        down_block_types=("CogVideoXDownBlock3D",) * blocks,
        up_block_types=("CogVideoXUpBlock3D",) * blocks,
        block_out_channels=(24, 64, 64),
        latent_channels=LATENT_CHANNELS,
        layers_per_block=1,
        norm_num_groups=8,
        temporal_compression_ratio=4,
        sample_height=HEIGHT,
        sample_width=WIDTH,
        scaling_factor=1.0,
    )


def build_cogvideox_transformer() -> CogVideoXTransformer3DModel:
    """Rotary positions, as 5B has them, so that texts of any length fit.

    A block's two modulations cost 12 x time_embed_dim x width parameters: 64 keeps them smaller than its attention.
    """
    return CogVideoXTransformer3DModel(
        num_attention_heads=4,
        attention_head_dim=64,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        time_embed_dim=64,
        text_embed_dim=192,
        num_layers=6,
        sample_width=WIDTH // 4,
        sample_height=HEIGHT // 4,
        sample_frames=FRAMES,
        patch_size=2,
        max_text_seq_length=226,
        use_rotary_positional_embeddings=True,
    )


def build_text_encoder(tokenizer: PreTrainedTokenizerFast) -> UMT5EncoderModel:
    """Wan's kind: positions in every layer."""
    return _look_both_ways(UMT5EncoderModel(UMT5Config(**_text_config(tokenizer))))


def build_cogvideox_text_encoder(tokenizer: PreTrainedTokenizerFast) -> T5EncoderModel:
    """CogVideoX's kind: T5 v1.1."""
    return _look_both_ways(T5EncoderModel(T5Config(feed_forward_proj="gated-gelu", **_text_config(tokenizer))))


def _text_config(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    return dict(
        vocab_size=len(tokenizer),
        d_model=192,
        d_kv=48,
        d_ff=384,
        num_layers=3,
        num_heads=4,
        dropout_rate=0.0,
        relative_attention_num_buckets=16,
        relative_attention_max_distance=32,
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,
        tie_word_embeddings=False,
    )


def _look_both_ways(encoder: TextEncoder) -> TextEncoder:
    """Half of the heads begin by looking ahead in the text, half by looking back.

    Word order then shows in the output from the start: the roles of a relation's nouns could be read from it after 100
    steps of 64 captions instead of 350, in a trial with 3 instead of 2 (experiments/LOG.md).
    """
    ahead = torch.tensor([2.0, 2.0, -2.0, -2.0])
    with torch.no_grad():
        for name, table in encoder.named_parameters():
            if name.endswith("relative_attention_bias.weight"):  # (buckets, heads): upper half of the buckets is ahead
                table[8:] += ahead
                table[1:8] -= ahead
    return encoder


def build_tokenizer(edition: Edition = SECOND) -> PreTrainedTokenizerFast:
    """Whole words, the nouns' plurals among them, and "##s" and "##es" for other words; the rest is <unk>."""
    words = ["<pad>", "</s>", "<unk>", *".,'-", "##s", "##es", *edition.vocabulary()]
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=512
    )


def build_scheduler() -> UniPCMultistepScheduler:
    return UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=FLOW_SHIFT, num_train_timesteps=1000
    )


def build_cogvideox_scheduler() -> CogVideoXDDIMScheduler:
    """As CogVideoX-5B's: v-prediction, and nothing but noise at the first step."""
    return CogVideoXDDIMScheduler(
        prediction_type="v_prediction",
        beta_schedule="scaled_linear",
        rescale_betas_zero_snr=True,
        snr_shift_scale=1.0,
        timestep_spacing="trailing",
        clip_sample=False,
    )
