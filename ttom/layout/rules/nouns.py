"""Where a noun phrase ends: which of the words after its start belong to it, and where the clause's verb begins.

A verb is known by its place and ending: after "a dog", a word in -s, -ing or -ed ends the phrase; after "three", the
first plural does; in "Knife sharpens pencil" the word in -s is the verb, as the clause has no other.
"""

from __future__ import annotations

from dataclasses import dataclass

from ttom.layout import english
from ttom.layout.rules import words
from ttom.layout.rules.tokens import Token, text_at

_ADJECTIVE_LIKE = ("y", "ic", "al", "ive", "ed", "ing", "en")  # endings of words that mostly describe
_CLAUSE_ENDS = frozenset(".,;:!?") | {"while", "when", "as", "whereas", "but", "if", "that", "who", "which", "where"}


@dataclass(frozen=True)
class Context:
    """What the start of a phrase says about it.

    Attributes:
        plural: It starts with a number above 1.
        singular: It starts with "a", "each", "one" ...
        joined: "and" stands before it.
        subject: A clause starts with it.
        determined: It starts with a determiner or a number.
    """

    plural: bool
    singular: bool
    joined: bool
    subject: bool
    determined: bool


def phrase_words(tokens: list[Token], index: int, context: Context) -> list[int]:
    """Indices of the tokens that make up the phrase (after its determiner)."""
    taken: list[int] = []
    has_noun = has_known = False  # among the words taken
    while index < len(tokens):
        text = tokens[index].text
        length = compound_length(tokens, index)
        if length:
            end = index + length - _is_clause(tokens, index + length - 1, context)
            return [*taken, *range(index, end)]
        if taken and not has_known and text in (",", "and") and _joins_adjectives(tokens, index):
            taken, has_noun = [], False  # one run of words: "a small, fluffy cat" -> "fluffy cat"
            index += 1
            continue
        if not taken and (words.is_adverb(text) or text in words.WARDS) and text not in english.KNOWN_NOUNS:
            index += 1
            continue
        sided = text in ("left", "right") and noun_ahead(tokens, index + 1)  # "the right shoe"
        if not taken and (sided or (context.determined and _is_adjective_of(tokens, index))):
            taken += [index] * (sided or text in words.ADJECTIVES)
            index += 1
            continue
        if not words.is_content(text) or (has_known and _adds_adjectives(tokens, index)):
            break
        if has_noun and _is_verb(tokens, index, context):
            break
        taken.append(index)
        has_noun |= may_be_noun(text)
        has_known |= english.singular(text) in english.KNOWN_NOUNS | words.SCENERY
        index += 1
        if not context.singular and _is_plural_head(tokens, index - 1):
            break
    return taken


def compound_length(tokens: list[Token], index: int) -> int:
    """Number of tokens of the longest listed compound noun that starts here, 0 if none."""
    for length in (4, 3, 2):
        text = " ".join(token.text for token in tokens[index : index + length])
        if len(tokens) >= index + length and (text in words.COMPOUNDS or english.singular(text) in words.COMPOUNDS):
            return length
    return 0


def _is_clause(tokens: list[Token], last: int, context: Context) -> bool:
    """Whether a compound in the plural is a noun and its verb instead: "a street | lights up"."""
    text = tokens[last].text
    plural = english.is_plural(text) and english.singular(text) != text
    return plural and (context.singular or (not context.plural and text_at(tokens, last + 1) == "up"))


def head_noun(texts: list[str]) -> str:
    """The noun that the phrase is about, in the singular: its last word, or a compound that it ends with."""
    for length in (4, 3, 2):
        tail = english.singular(" ".join(texts[-length:]))
        if len(texts) >= length and tail in words.COMPOUNDS:
            return tail
    return english.singular(texts[-1])


def noun_ahead(tokens: list[Token], index: int) -> bool:
    """Whether a known noun that is not a verb comes here, after adjectives and participles ("big flying bird")."""
    for i in range(index, min(index + 4, len(tokens))):
        text = tokens[i].text
        if compound_length(tokens, i):
            return True
        if english.singular(text) in english.KNOWN_NOUNS and text not in words.ADJECTIVES:
            return words.verb_base(text) is None
        if not (words.is_adjective(text) or words.is_participle(text)):
            return False
    return False


def is_free_noun(text: str) -> bool:
    """Whether an unlisted word may be a noun: "badger", but not "runs", "walking", "old" or "axe's"."""
    other = words.is_participle(text) or words.is_adjective(text) or text.endswith("'s")
    return words.verb_base(text) is None and not other


def may_be_noun(text: str) -> bool:
    """Whether a phrase may end with the word."""
    return text in english.KNOWN_NOUNS or not (words.is_adjective(text) or words.is_participle(text))


def _adds_adjectives(tokens: list[Token], index: int) -> bool:
    """Whether the word after a noun describes it: "a vase | glossy and new"."""
    adjective = text_at(tokens, index + 2)
    return (
        text_at(tokens, index + 1) == "and" and words.is_adjective(adjective) and adjective not in english.KNOWN_NOUNS
    )


def _is_adjective_of(tokens: list[Token], index: int) -> bool:
    """Whether a preposition describes the noun: "a round table", "a nearby tree"."""
    return tokens[index].text in words.PREPOSITIONS and words.is_content(text_at(tokens, index + 1))


def is_unsure(tokens: list[Token], index: int) -> bool:
    """Whether a word in -s after a possible noun may be a plural or a verb, as the next word tells neither."""
    text, following = text_at(tokens, index), text_at(tokens, index + 1)
    unlisted = words.verb_base(text) is None and english.singular(text) not in english.KNOWN_NOUNS
    open_word = words.is_content(following) and is_free_noun(following)
    return english.is_plural(text) and unlisted and open_word and english.singular(following) not in english.KNOWN_NOUNS


def _joins_adjectives(tokens: list[Token], index: int) -> bool:
    before, after = text_at(tokens, index - 1), text_at(tokens, index + 1)
    if not words.is_content(after) or after.endswith("ing"):
        return False
    only_adjective = words.is_adjective(before) and before not in english.KNOWN_NOUNS
    return only_adjective or (before.endswith("y") and before not in english.KNOWN_NOUNS and words.is_adjective(after))


def _is_plural_head(tokens: list[Token], index: int) -> bool:
    """Whether the plural at index ends a phrase that may be plural ("three toy cars | drive")."""
    text, following = text_at(tokens, index), text_at(tokens, index + 1)
    if english.is_same_plural(text):
        return not (english.is_plural(following) and words.verb_base(following) is None)
    return english.is_plural(text) and not words.is_adjective(text)


def _is_verb(tokens: list[Token], index: int, context: Context) -> bool:
    """Whether the word after at least one possible noun is the clause's verb rather than part of the phrase."""
    text, before, following = (text_at(tokens, index + k) for k in (0, -1, 1))
    base = words.verb_base(text)
    if context.plural:  # "three wooden boats" has its head still to come
        return base is not None and not any(english.is_plural(text_at(tokens, index + k)) for k in (1, 2))
    if words.is_participle(text) and not words.is_adjective(text):
        return _is_participle_verb(tokens, index)
    if text in words.ING_NOUNS:  # "a girl painting", but "a farm building"
        return base is not None and english.singular(before) in english.KNOWN_NOUNS
    if english.is_plural(text):
        if context.singular or before == "camera":  # "the camera pans"
            return True
        known = english.singular(text) in english.KNOWN_NOUNS
        after_known = before in english.KNOWN_NOUNS
        if context.subject and not (base is not None and after_known):
            scenery = english.singular(text) in words.SCENERY or text in words.SCENERY
            return not (known or (scenery and not after_known) or _has_verb_after(tokens, index))
        return not known and (base is not None or after_known)
    # A base form is a verb where two things make the subject plural: "a cat and a dog walk to the right".
    return context.joined and base == text and before in english.KNOWN_NOUNS and not words.is_content(following)


def _is_participle_verb(tokens: list[Token], index: int) -> bool:
    """ "a toaster toasting bread", "a pepper turning red", but "a sleek running shoe", "a wooden steering wheel"."""
    text, before, following = (text_at(tokens, index + k) for k in (0, -1, 1))
    modifies = words.is_content(following) and not (english.is_plural(following) or words.is_adjective(following))
    if not (text.endswith(("ing", "ed")) and modifies):
        return True
    if english.singular(before) in english.KNOWN_NOUNS or before in words.ING_NOUNS:
        return True
    return text.endswith("ing") and not before.endswith(_ADJECTIVE_LIKE)


def _has_verb_after(tokens: list[Token], index: int) -> bool:
    """Whether the clause has its verb after the plural at index: "the street performers | dance"."""
    place = index + 1
    while words.is_adverb(text_at(tokens, place)):
        place += 1
    word = text_at(tokens, place)
    if word in words.AUXILIARIES or word.endswith("ing"):
        return True
    if words.verb_base(word) == word and word not in words.SCENERY:
        return True
    if word not in words.PREPOSITIONS and word not in ("and", "or") and word not in words.DIRECTIONS:
        return False
    while (word := text_at(tokens, place)) not in _CLAUSE_ENDS:  # "the flower pots on the table are red"
        if word in words.AUXILIARIES and word not in ("be", "been", "being"):  # not "pretends to be a doctor"
            return True
        place += 1
    return False
