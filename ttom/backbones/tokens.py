"""Where the words of a prompt are in its encoded form. Works with every fast tokenizer."""

from __future__ import annotations

import re
from typing import Any

from ttom.errors import UserError
from ttom.layout.english import find_phrase


def phrase_positions(tokenizer: Any, text: str, phrase: str, max_sequence_length: int) -> list[int]:
    """Positions of the phrase's tokens in the text as the pipeline encodes it (padded, cut, with special tokens).

    Every occurrence counts, singular or plural, all pieces of a split word; of words that the vocabulary lacks none, if
    it has others of the phrase.

    Args:
        tokenizer: A fast tokenizer (it must return offsets).
        text: The prompt, cleaned as the pipeline cleans it.
        phrase: The object's words as they stand in the prompt.
        max_sequence_length: Tokens the prompt is padded or cut to.

    Raises:
        UserError: The phrase does not occur in the text, or only beyond max_sequence_length.
    """
    spans = find_phrase(text, phrase)
    if not spans:
        raise UserError(
            f"the phrase {phrase!r} does not occur in the prompt {text!r}",
            expected="an object phrase in the prompt's own words",
            remedy="name the object in the prompt, or change the phrase in the layout",
        )
    ids, offsets = _encoded(tokenizer, text, max_sequence_length)
    kept = max(end for _, end in offsets)  # characters of the text that were not cut away
    whole = [span for span in spans if span[1] <= kept]
    # Special and padding tokens have empty offsets; a SentencePiece token may begin with the space before its word.
    positions = [i for i, (a, b) in enumerate(offsets) if any(max(a, s) < min(b, e) for s, e in whole)]
    if not positions:
        raise UserError(
            f"the phrase {phrase!r} is cut off: the prompt is longer than {max_sequence_length} tokens",
            expected="every object phrase within --sampler.max-sequence-length",
            remedy="shorten the prompt, or raise --sampler.max-sequence-length as far as the model allows",
        )
    return [i for i in positions if ids[i] != tokenizer.unk_token_id] or positions


def cut_off(tokenizer: Any, text: str, max_sequence_length: int) -> str:
    """The end of the text that the pipeline cuts away; empty if it encodes every word."""
    _, offsets = _encoded(tokenizer, text, max_sequence_length)
    rest = text[max(end for _, end in offsets) :].strip()
    return rest if re.search(r"\w", rest) else ""


def _encoded(tokenizer: Any, text: str, max_sequence_length: int) -> tuple[list[int], list[tuple[int, int]]]:
    """Token ids and their characters in the text, as the pipeline encodes it."""
    encoded = tokenizer(
        text,
        padding="max_length",
        max_length=max_sequence_length,
        truncation=True,
        add_special_tokens=True,
        return_offsets_mapping=True,
    )
    return encoded["input_ids"], encoded["offset_mapping"]


def _whole_word_model(tokenizer: Any) -> bool:
    """Whether the vocabulary consists of words, so that other words are unknown (not so for SentencePiece or BPE)."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return type(getattr(backend, "model", None)).__name__ in ("WordPiece", "WordLevel")


def unknown_words(tokenizer: Any, text: str) -> list[str]:
    """Words of the text that become the unknown token, in order, each once; empty for subword tokenizers."""
    if not _whole_word_model(tokenizer):
        return []
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    pairs = zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
    words = [text[a:b] for token, (a, b) in pairs if token == tokenizer.unk_token_id]
    return list(dict.fromkeys(word for word in words if re.search(r"\w", word)))


def known_words(tokenizer: Any) -> list[str]:
    """Whole words of the vocabulary, sorted; empty for subword tokenizers."""
    if not _whole_word_model(tokenizer):
        return []
    special = set(tokenizer.all_special_tokens)
    return sorted(w for w in tokenizer.get_vocab() if w not in special and re.fullmatch(r"\w[\w'-]*", w))
