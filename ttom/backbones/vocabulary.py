"""Where the words of a prompt are in its encoded form, and which words a model knows: what a tokenizer alone can say.

Neither torch nor transformers is imported here, so that a prompt can be refused before a model is loaded.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ftfy
from tokenizers import Tokenizer

from ttom import checkpoints
from ttom.errors import UserError
from ttom.layout.english import find_phrase

MAX_BYTES = 2**26
"""Tokenizer files above this size are not read ahead of the model. The largest in use (umt5's) has 17 MB."""


@dataclass(frozen=True)
class Vocabulary:
    """The words of a model, as its text encoder's tokenizer splits them. Works with every fast tokenizer.

    Attributes:
        tokenizer: Ours alone, since truncation is state of a tokenizer.
        unknown: Id of the unknown token; None if there is none.
        pads_left: Whether the pipeline pads prompts on the left.
        clean: The text as the pipeline hands it to the tokenizer. Token offsets refer to that text.
    """

    tokenizer: Tokenizer
    unknown: int | None
    pads_left: bool = False
    clean: Callable[[str], str] = str

    @classmethod
    def of(cls, tokenizer: Any, clean: Callable[[str], str] = str) -> Vocabulary:
        """The vocabulary of a loaded pipeline's tokenizer, which is left as it is.

        Raises:
            UserError: It is not a fast tokenizer, so it cannot tell where tokens are in the text.
        """
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise UserError(
                f"the pipeline's tokenizer is a {type(tokenizer).__name__}",
                expected="a fast tokenizer, which returns offsets",
                remedy="load the pipeline with a fast tokenizer",
            )
        own = Tokenizer.from_str(backend.to_str())
        own.no_padding()
        return cls(own, tokenizer.unk_token_id, tokenizer.padding_side == "left", clean)

    def known_words(self) -> list[str]:
        """Whole words in the vocabulary, sorted; empty for subword tokenizers, which can spell any word."""
        if not self._has_whole_words:
            return []
        special = {token.content for token in self.tokenizer.get_added_tokens_decoder().values() if token.special}
        return sorted(w for w in self.tokenizer.get_vocab() if w not in special and re.fullmatch(r"\w[\w'-]*", w))

    def unknown_words(self, text: str) -> list[str]:
        """Words of the text that become the unknown token, in order, each once; empty for subword tokenizers."""
        if not self._has_whole_words:
            return []
        text = self.clean(text)
        ids, offsets = self._encoded(text, None)
        words = [text[a:b] for token, (a, b) in zip(ids, offsets, strict=True) if token == self.unknown]
        return list(dict.fromkeys(word for word in words if re.search(r"\w", word)))

    def cut_off(self, text: str, max_sequence_length: int) -> str:
        """The end of the text that the pipeline cuts away because it is too long; empty if it encodes every word."""
        text = self.clean(text)
        _, offsets = self._encoded(text, max_sequence_length)
        rest = text[_length_of(offsets) :].strip()
        return rest if re.search(r"\w", rest) else ""

    def phrase_tokens(self, prompt: str, phrase: str, max_sequence_length: int) -> list[int]:
        """Positions of the phrase's tokens in the prompt as the pipeline encodes it (padded, cut, special tokens).

        Every occurrence counts, singular or plural, with all pieces of a split word. Unknown words of the phrase have
        no positions, unless it consists of nothing else.

        Args:
            prompt: The prompt.
            phrase: The object's words as they appear in the prompt.
            max_sequence_length: Tokens that the prompt is padded or cut to.

        Raises:
            UserError: The phrase does not occur in the prompt, or only beyond max_sequence_length.
        """
        prompt, phrase = self.clean(prompt), self.clean(phrase)
        spans = find_phrase(prompt, phrase)
        if not spans:
            raise UserError(
                f"the phrase {phrase!r} does not occur in the prompt {prompt!r}",
                expected="an object phrase in the prompt's own words",
                remedy="name the object in the prompt, or change the phrase in the layout",
            )
        ids, offsets = self._encoded(prompt, max_sequence_length)
        whole = [span for span in spans if span[1] <= _length_of(offsets)]
        # Special tokens have empty offsets; a SentencePiece token may begin with the space before its word.
        found = [i for i, (a, b) in enumerate(offsets) if any(max(a, start) < min(b, end) for start, end in whole)]
        if not found:
            raise UserError(
                f"the phrase {phrase!r} is cut off: the prompt is longer than {max_sequence_length} tokens",
                expected="every object phrase within `sampler.max_sequence_length`",
                remedy="shorten the prompt, or raise `sampler.max_sequence_length` as far as the model allows",
            )
        padding = max(max_sequence_length - len(ids), 0) if self.pads_left else 0
        return [i + padding for i in found if ids[i] != self.unknown] or [i + padding for i in found]

    @property
    def _has_whole_words(self) -> bool:
        """Whether the vocabulary consists of words, so that other words are unknown (not so for SentencePiece, BPE)."""
        return type(self.tokenizer.model).__name__ in ("WordPiece", "WordLevel")

    def _encoded(self, text: str, max_length: int | None) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids and offsets in the text; cut and with special tokens where there is a maximum length."""
        if max_length is None:
            self.tokenizer.no_truncation()
        else:
            self.tokenizer.enable_truncation(max_length)
        encoding = self.tokenizer.encode(text, add_special_tokens=max_length is not None)
        return encoding.ids, encoding.offsets


def _length_of(offsets: list[tuple[int, int]]) -> int:
    """Characters of the text that were not cut away."""
    return max((end for _, end in offsets), default=0)


def clean_wan_prompt(text: str) -> str:
    """What diffusers' WanPipeline makes of a prompt: mended Unicode and HTML entities, single spaces."""
    return re.sub(r"\s+", " ", html.unescape(html.unescape(ftfy.fix_text(text)))).strip()


CLEANERS: dict[str, Callable[[str], str]] = {"WanPipeline": clean_wan_prompt}
"""Pipeline classes whose prompts are cleaned before the tokenizer sees them."""


def load_vocabulary(model: str) -> Vocabulary | None:
    """The vocabulary of an embedded or local model, read from its tokenizer's files alone, in milliseconds.

    Args:
        model: Name of an embedded checkpoint, a local diffusers folder, or a Hub id.

    Returns:
        None where only loading the model can tell: for Hub ids, tokenizers without a tokenizer.json, and folders that
        are damaged, which loading reports.
    """
    folder = checkpoints.folder_of(model)
    if folder is None:
        return None
    try:
        file = folder / "tokenizer" / "tokenizer.json"
        pipeline = checkpoints.pipeline_class(folder)
        config = checkpoints.read_json(folder / "tokenizer" / "tokenizer_config.json")
        if file.stat().st_size > MAX_BYTES:
            return None
        tokenizer = Tokenizer.from_file(str(file))
    except Exception:  # the tokenizers library raises plain Exception for what it cannot read
        return None
    tokenizer.no_padding()
    unknown = config.get("unk_token")
    unknown = unknown.get("content") if isinstance(unknown, dict) else unknown
    unknown_id = tokenizer.token_to_id(unknown) if isinstance(unknown, str) else None
    return Vocabulary(tokenizer, unknown_id, config.get("padding_side") == "left", CLEANERS.get(str(pipeline), str))
