"""Noun phrases of a prompt, found without a part-of-speech tagger.

A phrase starts at a determiner or a number ("a", "the", "three", "several"), or bare where only a noun can stand: at
the start of a clause ("Book falls", "while dogs run"), in a list ("a cat and dog"), after a preposition of place or a
verb ("dog above cat", "dog chases cat"); there a listed noun, or any in a prompt that has no determiner at all. Its
words are then taken until something that cannot belong to it: a closed-class word, an adverb, a direction, or a verb.
A verb is known by its place and ending: after "a dog", a word in -s, -ing or -ed ends the phrase; after "three", the
first plural does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ttom.errors import UserError
from ttom.layout import english
from ttom.layout.rules import words

MAX_COUNT = 24
_TOKEN = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*|\d+|[.,;:!?\n]")
_TENS = range(20, 100, 10)


@dataclass(frozen=True)
class Token:
    """A word or punctuation mark; ``start`` and ``end`` are character offsets in the prompt."""

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Mention:
    """A noun phrase.

    Attributes:
        first: Index of its first token, determiner included.
        words_first: Index of the first token of the phrase without determiner and number.
        end: Index after its last token.
        phrase: Its words as the prompt spells them, without determiner and number.
        noun: Head noun in the singular.
        count: Objects meant; 1 for a bare plural, which is one thing to the layout ("clouds").
        kind: How it starts: "number", "indefinite", "definite", "possessive", "absent" ("no dogs") or "bare".
        determiner: The words before the phrase, lower case ("three", "the two").
    """

    first: int
    words_first: int
    end: int
    phrase: str
    noun: str
    count: int
    kind: str
    determiner: str

    @property
    def head(self) -> str:
        return self.noun.split()[-1]

    @property
    def is_scenery(self) -> bool:
        return self.head in words.SCENERY and self.noun not in words.COMPOUNDS

    @property
    def is_camera(self) -> bool:
        """Whether it is who looks, which moves ("the camera pans left") but is never seen."""
        return self.noun == "camera" and self.phrase.lower() == "camera"

    @property
    def is_frame(self) -> bool:
        """Whether it names the picture or a part of it ("the screen", "the left side")."""
        return self.head in words.FRAME_WORDS or self.head in words.SIDE_WORDS


def tokenize(prompt: str) -> list[Token]:
    """Words, whole numbers and punctuation marks, in order; a new line ends a sentence."""
    marks = {"’": "'", "\n": "."}
    return [
        Token(re.sub("[’\n]", lambda mark: marks[mark.group()], match.group().lower()), *match.span())
        for match in _TOKEN.finditer(prompt.rstrip())
    ]


def find_mentions(prompt: str, tokens: list[Token]) -> list[Mention]:
    """All noun phrases of the prompt, in order.

    Raises:
        UserError: a number is larger than a picture can show.
    """
    mentions: list[Mention] = []
    telegraphic = not any(_determiner(tokens, index)[0] != "bare" for index in range(len(tokens)))
    index = 0
    while index < len(tokens):
        joined = bool(mentions) and mentions[-1].end == index - 1 and tokens[index - 1].text == "and"
        mention = _mention_at(prompt, tokens, index, telegraphic=telegraphic, joined=joined)
        if mention is None:
            index += 1
            continue
        of = mention.end < len(tokens) and tokens[mention.end].text == "of"
        medium = of and mention.head in words.MEDIA_WORDS  # "a video of a cat" is about the cat
        if not medium and mention.kind != "absent":
            mentions.append(mention)
        index = mention.end
    return mentions


def _mention_at(prompt: str, tokens: list[Token], index: int, *, telegraphic: bool, joined: bool) -> Mention | None:
    kind, count, start = _determiner(tokens, index)
    if kind == "bare" and not _may_start_bare(tokens, index, telegraphic=telegraphic, joined=joined):
        return None
    plural = kind == "number" and count > 1
    after_and = index >= 1 and tokens[index - 1].text == "and"
    taken = _phrase_words(tokens, start, plural=plural, singular=_is_singular(tokens, index, kind), joined=after_and)
    if kind == "bare" and after_and:
        taken = _to_first_noun(tokens, taken)
    if not taken:
        return None
    first, last = taken[0], taken[-1]
    texts = [tokens[i].text for i in taken]
    noun = _head_noun(texts)
    starts = index == 0 or tokens[index - 1].text == "."
    if kind == "bare" and not starts and noun.split()[-1] in words.ABSTRACT:  # "a boat at sea, Van Gogh style"
        return None
    if english.singular(noun) in english.PAIRED and tokens[index].text == "a":
        count = 1  # "a pair of sunglasses" is one thing
    return Mention(
        first=index,
        words_first=first,
        end=last + 1,
        phrase=prompt[tokens[first].start : tokens[last].end],
        noun=noun,
        count=count,
        kind=kind,
        determiner=" ".join(token.text for token in tokens[index:start]),
    )


def _determiner(tokens: list[Token], index: int) -> tuple[str, int, int]:
    """(kind, count, index after the determiner) of the phrase that may start at index."""
    text = tokens[index].text
    following = [token.text for token in tokens[index : index + 3]]
    for quantifier, count in english.QUANTIFIERS.items():
        parts = quantifier.split()
        if following[: len(parts)] == parts:
            return "number", count, index + len(parts)
    after = 1
    if text == "the" and len(following) > 1 and _number(following[1]) is not None:  # "the two dogs"
        text, after = following[1], 2
    number = _number(text)
    if number is None and text == "a" and following[1:2] and following[1] in english.LARGE_NUMBERS:
        number = 1  # "a hundred dogs"
    if number is not None:
        unit = english.NUMBERS.get(tokens[index + after].text, 0) if index + after < len(tokens) else 0
        if number in _TENS and 0 < unit < 10:  # "twenty two dogs"
            number, after = number + unit, after + 1
        large = next((word for word in following[:3] if word in english.LARGE_NUMBERS), None)
        if large or not 1 <= number <= MAX_COUNT:
            raise UserError(
                f"the prompt asks for {large or number} objects",
                expected=f"1 to {MAX_COUNT} of a kind",
                remedy="name fewer objects",
            )
        return "number", number, index + after
    for kind, group in (
        ("indefinite", english.SINGULAR_DETERMINERS),
        ("definite", english.OPEN_DETERMINERS),
        ("possessive", english.POSSESSIVES),
        ("absent", english.ABSENCE),
    ):
        if text in group:
            both = text == "without" and following[1:2] and following[1] in english.DETERMINERS  # "without a hat"
            return kind, 1, index + (2 if both else 1)
    return "bare", 1, index


def _number(text: str) -> int | None:
    if text.isdigit():
        return int(text[:9])  # too many anyway, and Python refuses thousands of digits
    tens, _, unit = text.partition("-")
    if english.NUMBERS.get(tens) in _TENS and english.NUMBERS.get(unit, 10) < 10:  # "twenty-two"
        return english.NUMBERS[tens] + english.NUMBERS[unit]
    return english.NUMBERS.get(text)


def _is_singular(tokens: list[Token], index: int, kind: str) -> bool:
    return kind == "indefinite" or (kind == "number" and _number(tokens[index].text) == 1)


def _may_start_bare(tokens: list[Token], index: int, *, telegraphic: bool, joined: bool) -> bool:
    """A phrase without determiner counts only where no verb and no mass ("on grass") can stand."""
    text = tokens[index].text
    if not words.is_content(text):
        return False
    before = tokens[index - 1].text if index else "."
    following = tokens[index + 1].text if index + 1 < len(tokens) else "."
    moves = words.verb_base(text) in words.MOTION_VERBS and english.singular(text) not in english.KNOWN_NOUNS
    if moves and not words.is_content(following):  # "moves left" has no subject
        return False
    if before == ".":
        return not text.endswith("ing") or text in words.ING_NOUNS or _noun_ahead(tokens, index)
    known = _noun_ahead(tokens, index)
    if before in ("while", "and", "whereas", "or", ","):
        if before == "," and (words.is_participle(text) or words.is_participle(following)):
            return False  # not a list: "in the sky, stars twinkling", "an oasis, featuring palm trees"
        # "a duck and ducklings swim", but "a duck and quacks"; "sofa, lamp", but "shop, frozen in time"
        sure = joined and (not english.is_plural(text) or words.verb_base(following) is not None)
        listed = telegraphic and before == "," and following in (",", "and", ".")
        return known or ((sure or listed) and _is_free_noun(text))
    if before in words.PLACES or (before in ("of", "to") and _ends_place(tokens, index)):
        return known or (telegraphic and before != "over" and _is_free_noun(text))  # "over coffee" is no place
    return words.verb_base(before) is not None and known


def _noun_ahead(tokens: list[Token], index: int) -> bool:
    """Whether a known noun that is no verb stands here, after adjectives and participles ("big flying bird")."""
    for i in range(index, min(index + 4, len(tokens))):
        text = tokens[i].text
        if _compound_length(tokens, i):
            return True
        if english.singular(text) in english.KNOWN_NOUNS and text not in words.ADJECTIVES:
            return words.verb_base(text) is None
        if not (words.is_adjective(text) or words.is_participle(text)):
            return False
    return False


def _is_free_noun(text: str) -> bool:
    """Whether an unlisted word may be a noun: "badger", but not "runs", "walking", "old" or "axe's"."""
    other = words.is_participle(text) or words.is_adjective(text) or text.endswith("'s")
    return words.verb_base(text) is None and not other


def _ends_place(tokens: list[Token], index: int) -> bool:
    """Whether the preposition before the token ends "left of", "in front of", "next to", "close to"."""
    start = tokens[index - 2].text if index >= 2 else ""
    return start in words.SIDE_WORDS or start in ("next", "close")


def _phrase_words(tokens: list[Token], index: int, *, plural: bool, singular: bool, joined: bool) -> list[int]:
    """Indices of the tokens that make up the phrase (after its determiner)."""
    taken: list[int] = []
    while index < len(tokens):
        text = tokens[index].text
        length = _compound_length(tokens, index)
        if length:
            return [*taken, *range(index, index + length)]
        if taken and text in (",", "and") and _joins_adjectives(tokens, index):
            taken = []  # the phrase restarts, so that it is one run of words: "a small, fluffy cat" -> "fluffy cat"
            index += 1
            continue
        if not taken and (words.is_adverb(text) or text in words.WARDS) and text not in english.KNOWN_NOUNS:
            index += 1
            continue
        if not taken and text in ("left", "right") and _noun_ahead(tokens, index + 1):  # "the right shoe"
            taken.append(index)
            index += 1
            continue
        if not words.is_content(text):
            break
        has_noun = any(_may_be_noun(tokens[i].text) for i in taken)
        if has_noun and _is_verb(tokens, index, singular=singular, plural=plural, joined=joined):
            break
        taken.append(index)
        index += 1
        if not singular and _is_plural_head(tokens, index - 1, taken):
            break
    return taken


def _to_first_noun(tokens: list[Token], taken: list[int]) -> list[int]:
    """ "a father and daughter | carve pumpkins": without a determiner the verb may be any word, so the phrase ends with
    its first noun, and goes on only to a known one."""
    for end, index in enumerate(taken[:-1], start=1):
        rest = [english.singular(tokens[i].text) for i in taken[end:]]
        if (
            _may_be_noun(tokens[index].text)
            and rest[0] not in english.KNOWN_NOUNS
            and " ".join(rest) not in words.COMPOUNDS
        ):
            return taken[: max(end, _compound_length(tokens, taken[0]))]
    return taken


def _compound_length(tokens: list[Token], index: int) -> int:
    """Number of tokens of the longest listed compound noun that starts here, 0 if none."""
    for length in (4, 3, 2):
        text = " ".join(token.text for token in tokens[index : index + length])
        if len(tokens) >= index + length and (text in words.COMPOUNDS or english.singular(text) in words.COMPOUNDS):
            return length
    return 0


def _joins_adjectives(tokens: list[Token], index: int) -> bool:
    if index + 1 >= len(tokens) or not words.is_content(tokens[index + 1].text):
        return False
    before, after = tokens[index - 1].text, tokens[index + 1].text
    only_adjective = words.is_adjective(before) and before not in english.KNOWN_NOUNS
    return only_adjective or (before.endswith("y") and before not in english.KNOWN_NOUNS and words.is_adjective(after))


def _may_be_noun(text: str) -> bool:
    return text in english.KNOWN_NOUNS or not (words.is_adjective(text) or words.is_participle(text))


def _is_plural_head(tokens: list[Token], index: int, taken: list[int]) -> bool:
    """Whether the plural at index ends a phrase that may be plural ("three toy cars | drive")."""
    text = tokens[index].text
    following = tokens[index + 1].text if index + 1 < len(tokens) else "."
    if english.is_same_plural(text):
        return not (english.is_plural(following) and words.verb_base(following) is None)
    return english.is_plural(text) and not words.is_adjective(text)


def _is_verb(tokens: list[Token], index: int, *, singular: bool, plural: bool, joined: bool) -> bool:
    """Whether the word after at least one possible noun is the clause's verb rather than part of the phrase."""
    text, before = tokens[index].text, tokens[index - 1].text
    following = tokens[index + 1].text if index + 1 < len(tokens) else "."
    base = words.verb_base(text)
    if plural:  # "three wooden boats" has its head still to come
        return base is not None and not any(english.is_plural(token.text) for token in tokens[index + 1 : index + 3])
    if words.is_participle(text) and not words.is_adjective(text):
        if text.endswith(("ing", "ed")) and words.is_content(following) and not english.is_plural(following):
            return english.singular(before) in english.KNOWN_NOUNS  # "sleek running shoe", but "dog chasing mice"
        return True
    if text in words.ING_NOUNS:  # "a girl painting", but "a farm building"
        return base is not None and english.singular(before) in english.KNOWN_NOUNS
    if english.is_plural(text):
        if singular or before == "camera":  # "the camera pans"
            return True
        return english.singular(text) not in english.KNOWN_NOUNS and (base is not None or before in english.KNOWN_NOUNS)
    # A base form is a verb where two things make the subject plural: "a cat and a dog walk to the right".
    return joined and base == text and before in english.KNOWN_NOUNS and not words.is_content(following)


def _head_noun(texts: list[str]) -> str:
    for length in (4, 3, 2):
        tail = english.singular(" ".join(texts[-length:]))
        if len(texts) >= length and tail in words.COMPOUNDS:
            return tail
    return english.singular(texts[-1])
