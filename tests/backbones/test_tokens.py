"""Finding a phrase's tokens: word-piece and SentencePiece-like tokenizers, plurals, splits, cuts."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from ttom.backbones.tokens import known_words, phrase_positions, unknown_words
from ttom.backbones.wan import WanBackbone
from ttom.errors import UserError


def tokens(backbone: WanBackbone, prompt: str, phrase: str, length: int = 20) -> list[str]:
    positions = backbone.phrase_tokens(prompt, phrase, length)
    ids = backbone.pipe.tokenizer(prompt, padding="max_length", max_length=length, truncation=True).input_ids
    return [backbone.pipe.tokenizer.convert_ids_to_tokens(ids[i]) for i in positions]


def test_positions_are_those_of_the_encoded_prompt(tiny: WanBackbone) -> None:
    assert tokens(tiny, "A dog above two dogs and a redhouse.", "dog") == ["dog", "dog", "##s"]
    assert tokens(tiny, "A dog above a redhouse.", "redhouse") == ["red", "##house"]
    assert tokens(tiny, "Two red balloons and a balloon", "red balloon") == ["red", "balloon", "##s"]
    assert tiny.phrase_tokens("A dog above two dogs", "dog", 20) == [1, 4, 5]


def test_the_prompt_is_cleaned_first(tiny: WanBackbone) -> None:
    assert tiny.phrase_tokens("two   dogs &amp;  a   cat", "cat", 20) == tiny.phrase_tokens(
        "two dogs & a cat", "cat", 20
    )


def test_errors_name_the_phrase(tiny: WanBackbone) -> None:
    with pytest.raises(UserError, match="'bus' does not occur"):
        tiny.phrase_tokens("a dog", "bus", 20)
    with pytest.raises(UserError, match="'cat' is cut off.*5 tokens"):
        tiny.phrase_tokens("a dog above a cat", "cat", 5)
    assert tiny.phrase_tokens("a dog above a dog", "dog", 5) == [1]  # the first occurrence is left


def test_words_without_a_token_are_left_out_of_a_phrase(tiny: WanBackbone) -> None:
    prompt = "A crimson dog and a zebra"
    assert tiny.phrase_tokens(prompt, "crimson dog", 12) == tiny.phrase_tokens(prompt, "dog", 12)
    assert len(tiny.phrase_tokens(prompt, "zebra", 12)) == 1  # it has no others


def test_what_is_cut_off(tiny: WanBackbone) -> None:
    """Of eight tokens and one that ends the text."""
    prompt = "two dogs and a red balloon."
    assert tiny.cut_off(prompt, 9) == "" and tiny.cut_off(prompt, 64) == ""
    assert tiny.cut_off(prompt, 8) == ""  # a full stop is no loss
    assert tiny.cut_off(prompt, 7) == "balloon." and tiny.cut_off(prompt, 5) == "a red balloon."


def test_unknown_and_known_words(tiny: WanBackbone) -> None:
    assert tiny.unknown_words("A zebra, two dogs, a zebra and a Giraffe!") == ["zebra", "Giraffe"]
    known = tiny.known_words()
    assert {"dog", "balloon"} <= set(known) and known == sorted(known)
    assert not any(word.startswith(("#", "[")) or word == "." for word in known)


def test_sentencepiece_like_tokenizer() -> None:
    """As umt5's: a unigram model whose tokens begin with the space before the word."""
    pieces = [
        "<pad>",
        "</s>",
        "<unk>",
        "\u2581a",
        "\u2581dog",
        "\u2581",
        "d",
        "o",
        "g",
        "s",
        "\u2581red",
        "\u2581ball",
        "oon",
        "and",
    ]
    tokenizer = Tokenizer(models.Unigram([(p, -float(i)) for i, p in enumerate(pieces)], unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
    text = "a red balloon and a dog"
    ids = fast(text).input_ids
    for phrase, expected in (("red balloon", ["\u2581red", "\u2581ball", "oon"]), ("dogs", ["\u2581dog"])):
        positions = phrase_positions(fast, text, phrase, 16)
        assert [fast.convert_ids_to_tokens(ids[i]) for i in positions] == expected
    assert unknown_words(fast, "a zebra") == [] and known_words(fast) == []
