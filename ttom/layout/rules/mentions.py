"""Noun phrases of a prompt, found without a part-of-speech tagger.

A phrase starts at a determiner or a number ("a", "the", "three", "several"), or bare where only a noun can stand: at
the start of a clause ("Book falls", "while dogs run"), in a list ("a cat and dog"), after a preposition of place or a
verb ("dog above cat", "dog chases cat"); there a listed noun, or any in a prompt that has no determiner at all. Its
words are then taken until something that cannot belong to it: a closed-class word, an adverb, a direction, or a verb
(see `phrase_words`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ttom.layout import english
from ttom.layout.rules import words
from ttom.layout.rules.nouns import (
    Context,
    compound_length,
    head_noun,
    is_free_noun,
    is_unsure,
    may_be_noun,
    noun_ahead,
    phrase_words,
)
from ttom.layout.rules.tokens import Kind, Token, determiner_at, text_at


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
        unsure: The word after it, if that may as well be its noun as its verb: "Football | players bump", "Spoon |
            stirs cream".
    """

    first: int
    words_first: int
    end: int
    phrase: str
    noun: str
    count: int
    kind: Kind
    determiner: str
    unsure: str = ""

    @property
    def head(self) -> str:
        return self.noun.split()[-1]

    @property
    def is_known(self) -> bool:
        """Whether the noun is a listed thing."""
        return self.noun in english.KNOWN_NOUNS or self.noun in words.COMPOUNDS

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

    @property
    def is_style(self) -> bool:
        """Whether it says how the video looks ("3D pixels"): a word with a digit, and no listed thing."""
        return self.phrase[0].isdigit() and not self.is_known


def find_mentions(prompt: str, tokens: list[Token]) -> list[Mention]:
    """All noun phrases of the prompt, in order, without those that are said to be absent.

    Raises:
        UserError: a number is larger than a picture can show.
    """
    return find_present_and_absent(prompt, tokens)[0]


def find_present_and_absent(prompt: str, tokens: list[Token]) -> tuple[list[Mention], list[Mention]]:
    """The noun phrases of the prompt, and those that it says are absent: "no dog", "without a hat", "no cats or dogs".

    Raises:
        UserError: a number is larger than a picture can show.
    """
    mentions: list[Mention] = []
    absent: list[Mention] = []
    starts = (determiner_at(tokens, index) for index in range(len(tokens)))
    telegraphic = all(start.kind == "bare" or start.number == 0 for start in starts)
    index = 0
    while index < len(tokens):
        joined = bool(mentions) and mentions[-1].end == index - 1 and tokens[index - 1].text == "and"
        mention = _mention_at(prompt, tokens, index, telegraphic=telegraphic, joined=joined)
        if mention is None:
            index += 1
            continue
        if text_at(tokens, mention.end) == "of":
            mention = _of_thing(prompt, tokens, mention)
        listed = bool(absent) and absent[-1].end == index - 1 and tokens[index - 1].text == "or"
        if listed and mention.kind in ("bare", "indefinite"):
            absent[-1] = replace(absent[-1], end=mention.end)
        elif mention.kind != "absent":
            mentions.append(mention)
        elif tokens[index].text in english.ABSENCE:
            absent.append(mention)
        index = mention.end
    return mentions, absent


def _of_thing(prompt: str, tokens: list[Token], mention: Mention) -> Mention:
    """What a phrase before "of" is about: the wolves of "a pack of wolves", the house of "a watercolor of a house", and
    the phrase itself if its noun is listed ("a bottle of wine"). Absent if it is only about scenery.
    """
    if mention.head in words.MEDIA_WORDS:  # "a video of a cat": the cat starts a phrase of its own
        return replace(mention, kind="absent")
    listed = mention.is_known or mention.is_frame or mention.is_scenery or mention.head in words.ABSTRACT
    if listed or mention.kind not in ("indefinite", "definite", "bare"):
        return mention
    thing = _mention_at(prompt, tokens, mention.end + 1, telegraphic=True, joined=False, after_of=True)
    if thing is None or thing.is_frame or thing.head in words.ABSTRACT or thing.kind in ("possessive", "absent"):
        return mention
    kind = mention.kind if thing.kind == "bare" else thing.kind
    return replace(thing, first=mention.first, kind="absent" if thing.is_scenery else kind)


def _mention_at(
    prompt: str, tokens: list[Token], index: int, *, telegraphic: bool, joined: bool, after_of: bool = False
) -> Mention | None:
    kind, count, start = determiner_at(tokens, index)
    before = text_at(tokens, index - 1)
    may_start = after_of and words.is_content(text_at(tokens, index))
    if kind == "bare" and not (may_start or _may_start_bare(tokens, index, telegraphic=telegraphic, joined=joined)):
        return None
    possessor = any(text_at(tokens, start + k).endswith("'s") for k in (0, 1))  # "a cat's eyes" may be plural
    singular = (kind == "indefinite" and not possessor) or (kind == "number" and count == 1)
    context = Context(
        plural=kind == "number" and count > 1,
        singular=singular,
        joined=before == "and",
        subject=before in ".,;:!?" or before in words.OPENERS,
        determined=kind != "bare",
    )
    taken = phrase_words(tokens, start, context)
    if kind == "bare" and before == "and":
        taken = _to_first_noun(tokens, taken)
    texts = [tokens[i].text for i in taken]
    if not any(map(may_be_noun, texts)) and not (after_of and texts):  # "a piece of metal"
        return None
    first, last = taken[0], taken[-1]
    noun = head_noun(texts)
    if kind == "bare" and before != "." and noun.split()[-1] in words.ABSTRACT:  # "a boat at sea, Van Gogh style"
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
        unsure=text_at(tokens, last + 1) if kind == "bare" and context.subject and is_unsure(tokens, last + 1) else "",
    )


def _may_start_bare(tokens: list[Token], index: int, *, telegraphic: bool, joined: bool) -> bool:
    """A phrase without determiner counts only where no verb and no mass ("on grass") can stand."""
    text, before, following = (text_at(tokens, index + k) for k in (0, -1, 1))
    if not words.is_content(text):
        return False
    moves = words.verb_base(text) in words.MOTION_VERBS and english.singular(text) not in english.KNOWN_NOUNS
    if moves and not words.is_content(following):  # "moves left" has no subject
        return False
    if before == ".":
        return not text.endswith("ing") or text in words.ING_NOUNS or noun_ahead(tokens, index)
    known = noun_ahead(tokens, index)
    if before in ("while", "and", "whereas", "or", ","):
        if before == "," and (words.is_participle(text) or words.is_participle(following)):
            return False  # not a list: "in the sky, stars twinkling", "an oasis, featuring palm trees"
        # "a duck and ducklings swim", but "a duck and quacks"; "sofa, lamp", but "shop, frozen in time"
        sure = joined and (not english.is_plural(text) or words.verb_base(following) is not None)
        listed = telegraphic and before == "," and following in (",", "and", ".")
        return known or ((sure or listed) and is_free_noun(text))
    if before in words.PLACES or (before in ("of", "to") and _ends_place(tokens, index)):
        return known or (telegraphic and before != "over" and is_free_noun(text))  # "over coffee" is no place
    return words.verb_base(before) is not None and known


def _ends_place(tokens: list[Token], index: int) -> bool:
    """Whether the preposition before the token ends "left of", "in front of", "next to", "close to"."""
    start = text_at(tokens, index - 2)
    return start in words.SIDE_WORDS or start in ("next", "close")


def _to_first_noun(tokens: list[Token], taken: list[int]) -> list[int]:
    """ "a father and daughter | carve pumpkins": without a determiner the verb may be any word, so the phrase ends with
    its first noun, and goes on only to a known one.
    """
    for end, index in enumerate(taken[:-1], start=1):
        rest = [english.singular(tokens[i].text) for i in taken[end:]]
        known = rest[0] in english.KNOWN_NOUNS or " ".join(rest) in words.COMPOUNDS
        if may_be_noun(tokens[index].text) and not known:
            return taken[: max(end, compound_length(tokens, taken[0]))]
    return taken
