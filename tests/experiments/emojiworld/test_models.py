"""The tokenizer, and the VAE on whole clips against diffusers' chunked one."""

from __future__ import annotations

import copy

import pytest
import torch
from diffusers import AutoencoderKLWan
from transformers import PreTrainedTokenizerFast

from experiments.emojiworld import whole_clip
from experiments.emojiworld.models import TEXT_TOKENS, build_tokenizer, build_vae
from ttom.emojiworld.editions import SECOND
from ttom.emojiworld.words import UNKNOWN_WORD


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return build_tokenizer()


def test_words_are_whole_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    assert tokenizer.tokenize("A cat glides, left-wards.") == ["a", "cat", "glides", ",", "left", "-", "<unk>", "."]
    for word in SECOND.vocabulary():
        assert tokenizer.tokenize(word) == [word]


def test_plurals(tokenizer: PreTrainedTokenizerFast) -> None:
    """The nouns' plurals are words of captions, hence whole; other words take ##s and ##es."""
    for noun in SECOND.nouns:
        assert tokenizer.tokenize(noun.plural) == noun.plural.split()
    assert tokenizer.tokenize("forests beaches") == ["forest", "##s", "beach", "##es"]


def test_an_unknown_word_is_one_unk(tokenizer: PreTrainedTokenizerFast) -> None:
    assert tokenizer.tokenize(f"a {UNKNOWN_WORD} zebra's cat") == ["a", "<unk>", "<unk>", "'", "<unk>", "cat"]


def test_padding_and_end_token(tokenizer: PreTrainedTokenizerFast) -> None:
    batch = tokenizer(["a cat", ""], padding="max_length", max_length=TEXT_TOKENS, truncation=True)
    ids, mask = batch.input_ids, batch.attention_mask
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id) == (0, 1, 2)
    assert [len(row) for row in ids] == [TEXT_TOKENS] * 2
    assert ids[0][2:] == [1] + [0] * (TEXT_TOKENS - 3)
    assert ids[1] == [1] + [0] * (TEXT_TOKENS - 1)
    assert [sum(row) for row in mask] == [3, 1]


@pytest.fixture(scope="module")
def vaes() -> tuple[AutoencoderKLWan, AutoencoderKLWan]:
    """A VAE with random weights as stock, and a copy for whole clips."""
    torch.manual_seed(0)
    stock = build_vae().eval()
    return stock, whole_clip.use_whole_clips(copy.deepcopy(stock))


@pytest.mark.parametrize("frames", [1, 5, 17])
@torch.no_grad()
def test_whole_clips_equal_the_chunked_code(vaes: tuple[AutoencoderKLWan, AutoencoderKLWan], frames: int) -> None:
    stock, whole = vaes
    video = torch.rand(1, 3, frames, 16, 24) * 2 - 1
    posterior = stock.encode(video).latent_dist
    mean, log_variance = whole_clip.encode(whole, video)
    assert mean.shape == (1, 16, (frames - 1) // 4 + 1, 4, 6)
    torch.testing.assert_close(mean, posterior.mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(log_variance, posterior.logvar, rtol=1e-4, atol=1e-5)
    assert mean.std() > 0.01
    decoded = whole_clip.decode(whole, mean)
    assert decoded.shape == video.shape
    torch.testing.assert_close(decoded.clamp(-1, 1), stock.decode(mean).sample, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_whole_clips_are_causal(vaes: tuple[AutoencoderKLWan, AutoencoderKLWan]) -> None:
    """The comparison above would not notice a mistake that both share; the first latent sees the first frame only."""
    _, whole = vaes
    video = torch.rand(1, 3, 9, 16, 24) * 2 - 1
    changed = video.clone()
    changed[:, :, 5:] = 0
    before, after = (whole_clip.encode(whole, clip)[0] for clip in (video, changed))
    torch.testing.assert_close(before[:, :, :2], after[:, :, :2])
    assert (before[:, :, 2] - after[:, :, 2]).abs().max() > 1e-3
