"""A prompt seen as tokens and noun phrases, and the questions that the motion and relation rules ask of it."""

from __future__ import annotations

import re
from typing import Literal

from ttom.layout import words
from ttom.layout.mentions import Mention, find_mentions, tokenize

Direction = Literal["left", "right", "up", "down"]
OPPOSITE: dict[Direction, Direction] = {"left": "right", "right": "left", "up": "down", "down": "up"}
REMEDY = "write the layout yourself and pass it with --layout FILE, or rephrase the prompt"

_FRAME = "|".join(sorted(words.FRAME_WORDS))
SIDE = (  # group 1: which side of the picture
    r"(?:the\s+)?(?:far\s+)?(left|right|top|bottom)(?:[- ]hand)?(?:\s+(?:side|edge|end|corner|part|half))?\b"
    rf"(?:\s+of\s+the\s+(?:{_FRAME})\b)?"
)
ABSOLUTE = re.compile(rf"\b(?:on|at|in)\s+{SIDE}(?!\s+of\b)")


def is_object(mention: Mention) -> bool:
    """Whether the phrase names a thing that can have a box."""
    return not (mention.is_frame or mention.is_scenery or mention.kind == "possessive")


class Reading:
    """One prompt.

    Attributes:
        text: The prompt in lower case.
        tokens: Its tokens.
        mentions: Its noun phrases, in order.
        subjects: Those of them that are the subject of a clause.
    """

    def __init__(self, prompt: str) -> None:
        self.text = prompt.lower()
        self.tokens = tokenize(prompt)
        self.mentions = find_mentions(prompt, self.tokens)
        self.subjects: list[Mention] = []
        for mention in self.mentions:
            if self.is_subject(mention):
                self.subjects.append(mention)

    def word(self, index: int) -> str:
        return self.tokens[index].text if 0 <= index < len(self.tokens) else "."

    def token_at(self, offset: int) -> int:
        """Index of the first token that starts at or after the character offset."""
        return next((i for i, token in enumerate(self.tokens) if token.start >= offset), len(self.tokens))

    def mention_from(self, index: int) -> Mention | None:
        return next((mention for mention in self.mentions if mention.first == index), None)

    def in_mention(self, index: int) -> bool:
        return any(mention.first <= index < mention.end for mention in self.mentions)

    def skip_adverbs(self, index: int) -> int:
        while words.is_adverb(self.word(index)):
            index += 1
        return index

    def is_subject(self, mention: Mention) -> bool:
        """Whether the phrase is the subject of a clause rather than an object or part of a place."""
        before = self.word(mention.first - 1)
        if mention.is_frame:
            return False
        if before in ".,;:!?" or before in words.AUXILIARIES:
            return True
        if before == "of":
            return self.word(mention.first - 2) in words.MEDIA_WORDS
        if before not in words.OPENERS:
            return False
        if before == "with":  # "with a car driving left" is a clause, "a robot with a hat walks" is not
            return words.is_participle(self.word(self.skip_adverbs(mention.end)))
        if before not in ("and", "or"):
            return True
        return any(m.end == mention.first - 1 for m in self.subjects) or self._has_predicate(mention)

    def _has_predicate(self, mention: Mention) -> bool:
        index = self.skip_adverbs(mention.end)
        word = self.word(index)
        if word in words.AUXILIARIES or word in words.DIRECTIONS or word in ("that", "which", "who"):
            return True
        if word in words.PREPOSITIONS and index < len(self.tokens):
            return ABSOLUTE.match(self.text, self.tokens[index].start) is not None
        return words.is_content(word)

    def subject_before(self, index: int, *, after: int | None = None) -> Mention | None:
        """The last subject before the token; where none is ("Above a house floats a balloon"), the first object
        at or after the token ``after`` (default: the same token)."""
        before = [mention for mention in self.subjects if mention.end <= index]
        if before:
            return before[-1]
        start = index if after is None else after
        return next((mention for mention in self.mentions if mention.first >= start and is_object(mention)), None)
