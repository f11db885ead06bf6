"""A prompt seen as tokens and noun phrases, and the questions that the motion and relation rules ask of it."""

from __future__ import annotations

import re
from bisect import bisect_left

from ttom.layout.rules import words
from ttom.layout.rules.mentions import Mention, find_present_and_absent
from ttom.layout.rules.tokens import tokenize

REMEDY = "write the layout yourself and pass it as `layout`, or rephrase the prompt"

_BE = ("is", "are", "was", "were")
_FRAME = "|".join(sorted(words.FRAME_WORDS))
SIDE = (  # group 1: which side of the picture
    r"(?:the\s+)?(?:far\s+)?(left|right|top|bottom)(?:[- ]hand)?(?:\s+(?:side|edge|end|corner|part|half))?\b"
    rf"(?:\s+of\s+the\s+(?:{_FRAME})\b)?"
)
CORNER = r"(?:the\s+)?(top|upper|bottom|lower)[- ](left|right)\b"
SIDE_OF = re.compile(r"(?:on|to|at)\s+the\s+(?:left|right)(?:[- ]hand)?(?:\s+side)?\s+of\b")
_OF_THING = r"(?!(?:[- ]hand)?(?:\s+(?:side|edge|end|corner|part|half))?\s+of\b)"  # "on the left side of a house"
_PART = rf"(?:{CORNER}(?:[- ]hand)?(?:\s+corner)?|{SIDE}|(?:the\s+)?(middle|cent(?:er|re))\b)"
ABSOLUTE = re.compile(rf"\b(?:on|at|in|to)\s+{_PART}(?:\s+of\s+the\s+(?:{_FRAME})\b)?{_OF_THING}")


def is_object(mention: Mention) -> bool:
    """Whether the phrase names a thing that can have a box."""
    return not (mention.is_frame or mention.is_scenery or mention.is_style or mention.kind == "possessive")


class Reading:
    """One prompt.

    Attributes:
        text: The prompt in lower case.
        tokens: Its tokens.
        mentions: Its noun phrases, in order.
        absent: Phrases of what it says is not there: "no dog", "without a hat".
        subjects: Those of them that are the subject of a clause.
        relatives: Those that are the subject of a relative clause only ("past a bird that flies left").
    """

    def __init__(self, prompt: str) -> None:
        self.text = prompt.lower()
        self.tokens = tokenize(prompt)
        self.mentions, self.absent = find_present_and_absent(prompt, self.tokens)
        self._starts = [token.start for token in self.tokens]
        self._from = {mention.first: mention for mention in self.mentions}
        self._until = {mention.end: mention for mention in self.mentions}
        self._inside = {
            index for mention in [*self.mentions, *self.absent] for index in range(mention.first, mention.end)
        }
        self.subjects: list[Mention] = []
        for mention in self.mentions:
            if self.is_subject(mention):
                self.subjects.append(mention)
        self.relatives = [m for m in self.mentions if m not in self.subjects and self._has_relative_clause(m)]

    def word(self, index: int) -> str:
        return self.tokens[index].text if 0 <= index < len(self.tokens) else "."

    def token_at(self, offset: int) -> int:
        """Index of the first token that starts at or after the character offset."""
        return bisect_left(self._starts, offset)

    def mention_from(self, index: int) -> Mention | None:
        return self._from.get(index)

    def mention_until(self, index: int) -> Mention | None:
        """The phrase that ends right before the token."""
        return self._until.get(index)

    def in_mention(self, index: int) -> bool:
        """Whether the token belongs to a noun phrase, be the thing present or absent."""
        return index in self._inside

    def denied_before(self, index: int) -> Mention | None:
        """The absent subject of the verb at index: "no cats" of "no cats follow"; not the tail of "a cat with no tail
        runs" or "a cat without a tail runs".
        """
        end = self.before_adverbs(index) + 1
        absent = next((mention for mention in self.absent if mention.end == end), None)
        if absent is None or self.word(absent.first) == "without" or self.word(absent.first - 1) in words.PREPOSITIONS:
            return None
        return absent

    def _has_relative_clause(self, mention: Mention) -> bool:
        """'a bird that flies left', and beside the camera, which is never seen, 'on a dog running left'."""
        filmed = any(m.is_camera for m in self.subjects) and words.is_participle(self.word(mention.end))
        return is_object(mention) and (filmed or self.word(mention.end) in words.RELATIVES)

    def first_of(self, mention: Mention) -> Mention:
        """The phrase that first named the thing: "a dog" for "the dog"; the phrase itself if it names a new thing."""
        if mention.kind not in ("definite", "bare"):
            return mention
        for known in self.mentions:
            if known.first >= mention.first:
                break
            said = set(known.phrase.lower().split())
            if known.noun == mention.noun and said.issuperset(mention.phrase.lower().split()):
                return known
        return mention

    def skip_adverbs(self, index: int) -> int:
        """Index of the first word from the token on that is not an adverb."""
        while words.is_adverb(self.word(index)):
            index += 1
        return index

    def before_adverbs(self, index: int) -> int:
        """Index of the last word before the token that is not an adverb."""
        index -= 1
        while words.is_adverb(self.word(index)):
            index -= 1
        return index

    def verb_before(self, index: int) -> int | None:
        """Index of the last word before the token, in its sentence, that can be a verb; phrases are passed over."""
        for place in range(index - 1, -1, -1):
            word = self.word(place)
            if word in ".;:!?":
                break
            if not self.in_mention(place) and words.is_content(word) and not words.is_adjective(word):
                return place
        return None

    def is_subject(self, mention: Mention) -> bool:
        """Whether the phrase is the subject of a clause rather than an object or part of a place."""
        before = self.word(mention.first - 1)
        if mention.is_frame and not mention.is_camera:
            return False
        if self._follows_place(mention):
            return True
        if before in ".,;:!?":
            return True
        if before in _BE:  # "there is a cat", but not "the cat is a tabby"
            end = self.before_adverbs(mention.first - 1) + 1
            return not any(subject.end == end for subject in self.subjects)
        if before == "of":
            return self.word(mention.first - 2) in words.MEDIA_WORDS
        if before not in words.OPENERS:
            return False
        if before == "with":  # "with a car driving left" is a clause, "a robot with a hat walks" is not
            return words.is_participle(self.word(self.skip_adverbs(mention.end)))
        if before not in ("and", "or"):
            return True
        new_clause = self.word(mention.first - 2) == ","  # ", and a bird"
        if self._ends_between(mention):
            return False
        return new_clause or self.subject_joined_to(mention) is not None or self._has_predicate(mention)

    def _ends_between(self, mention: Mention) -> bool:
        """Whether it is the dog of "between a cat and a dog"."""
        other = self.mention_until(mention.first - 1)
        return other is not None and self.word(other.first - 1) == "between"

    def subject_joined_to(self, mention: Mention, *, by: tuple[str, ...] = ("and", "or")) -> Mention | None:
        """The subject before "and": "a cat" for the dog of "a cat and a dog run", also of "a cat, and a dog"."""
        end = mention.first - 1
        if self.word(end) not in by:
            return None
        if self.word(end) in ("and", "or") and self.word(end - 1) == ",":
            end -= 1
        return next((subject for subject in self.subjects if subject.end == end), None)

    def joined_subjects(self, subject: Mention) -> list[Mention]:
        """The subject and those that "and" joins to it, in reading order: "a cat, a dog and a bird run"."""
        chain = [subject]
        while joined := self.subject_joined_to(chain[0], by=("and",) if len(chain) == 1 else ("and", ",")):
            chain.insert(0, joined)
        return chain

    def _follows_place(self, mention: Mention) -> bool:
        """Whether the sentence starts with a place right before it: "In the garden near the wall | a cat runs"."""
        place = self.mention_until(mention.first)
        if place is None or self.word(place.first - 1) not in words.PREPOSITIONS:
            return False
        dots = [index for index in range(mention.first) if self.word(index) in ".;!?"]
        return not any(subject.first > max(dots, default=-1) for subject in self.subjects)

    def _has_predicate(self, mention: Mention) -> bool:
        index = self.skip_adverbs(mention.end)
        word = self.word(index)
        if word in words.AUXILIARIES or word in words.DIRECTIONS or word in words.RELATIVES:
            return True
        if word in words.PREPOSITIONS and index < len(self.tokens):
            start = self.tokens[index].start
            return word in words.PLACES or any(place.match(self.text, start) for place in (ABSOLUTE, SIDE_OF))
        return words.is_content(word)

    def subject_before(self, index: int, *, after: int | None = None) -> Mention | None:
        """The last subject before the token; where none is ("Above a house floats a balloon"), the first object
        at or after the token ``after`` (default: the same token).
        """
        before = [mention for mention in self.subjects if mention.end <= index]
        before += [mention for mention in self.relatives if mention.end <= index and self._in_clause_of(mention, index)]
        if before:
            return max(before, key=lambda mention: mention.first)
        start = index if after is None else after
        return next((mention for mention in self.mentions if mention.first >= start and is_object(mention)), None)

    def _in_clause_of(self, mention: Mention, index: int) -> bool:
        """Whether a relative clause goes on until the token: a second finite verb belongs to the main clause again."""
        verbs = [word for i in range(mention.end + 1, index + 1) if not self.in_mention(i) for word in [self.word(i)]]
        finite = [word for word in verbs if words.verb_base(word) is not None and not words.is_participle(word)]
        return len(finite) < 2 and not any(word in ".,;:!?" for word in verbs)
