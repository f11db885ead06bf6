"""The tokenizer."""

from __future__ import annotations

import pytest
from transformers import PreTrainedTokenizerFast

from experiments.emojiworld.models import TEXT_TOKENS, build_tokenizer
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
