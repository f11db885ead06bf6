"""Finding the prompt's own words for an object of a plan, and comparing the plan's counts with the prompt's."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from ttom.errors import UserError
from ttom.layout import english
from ttom.layout.rules import words
from ttom.layout.rules.mentions import Mention, find_mentions
from ttom.layout.rules.reading import is_object
from ttom.layout.rules.tokens import tokenize

_LEADING = english.DETERMINERS | english.NUMBERS.keys() | english.LARGE_NUMBERS | {"of"}
_QUANTIFIERS = sorted(english.QUANTIFIERS, key=len, reverse=True)
_VAGUE = english.QUANTIFIERS.keys() - {"a couple of", "a pair of", "a dozen", "a trio of", "both"}
_LIKENESS = 0.8  # of difflib: "baloon" finds "balloon", "cat" does not find "car"


def nearest_phrase(prompt: str, phrase: str, noun: str) -> str | None:
    """The prompt's own words for an object, without determiner and number; None if there are none.

    The phrase itself, else its end ("shiny red car" -> "red car" -> "car"), else its noun, else the words most like
    the phrase; case and number do not matter (the rule of `ttom.layout.english.find_phrase`).
    """
    bare = without_determiner(phrase).split()
    ends = [" ".join(bare[start:]) for start in range(len(bare))]
    for wanted in (*ends, noun):
        spans = english.find_phrase(prompt, wanted)
        if spans:
            return prompt[slice(*spans[0])]
    alike = " ".join(bare) or noun.strip()
    return _most_alike(prompt, alike) if alike else None


def without_determiner(phrase: str) -> str:
    """The phrase without leading "a", "the", "his", "three", "a pair of" ...; unchanged if nothing else is left."""
    parts = phrase.split()
    while len(parts) > 1:
        lower = [part.lower() for part in parts]
        quantifier = next((q.split() for q in _QUANTIFIERS if lower[: len(q.split())] == q.split()), None)
        if quantifier is not None and len(parts) > len(quantifier):
            parts = parts[len(quantifier) :]
        elif lower[0] in _LEADING or lower[0].isdigit():
            parts = parts[1:]
        else:
            break
    return " ".join(parts)


def _most_alike(prompt: str, phrase: str) -> str | None:
    """The run of words of the prompt that is most like the phrase, if any is alike enough."""
    tokens = list(re.finditer(r"[^\W_]+(?:['’-][^\W_]+)*", prompt))
    length = len(phrase.split())
    best, found = _LIKENESS, None
    matcher = difflib.SequenceMatcher(b=phrase.lower(), autojunk=False)
    for start in range(len(tokens) - length + 1):
        text = prompt[tokens[start].start() : tokens[start + length - 1].end()]
        matcher.set_seq1(text.lower())
        if matcher.real_quick_ratio() >= best and matcher.quick_ratio() >= best and matcher.ratio() >= best:
            best, found = matcher.ratio(), text
    return found


def count_problems(prompt: str, objects: Iterable[tuple[str, str]]) -> list[str]:
    """What is wrong with the number of objects, worded for their planner; empty if nothing is.

    Args:
        prompt: Its number words are read as by the rules planner; prompts in other languages mostly contain none.
        objects: (phrase, noun) of each object.

    A counted thing that is missing altogether is a mistake only where its noun is known as a thing: "for five
    seconds" counts no objects.
    """
    planned = list(objects)
    try:
        mentions = [mention for mention in find_mentions(prompt, tokenize(prompt)) if is_object(mention)]
    except UserError:  # a number too large for the rules planner, often a year
        return []
    problems = []
    for noun in dict.fromkeys(mention.noun for mention in mentions):
        same = [mention for mention in mentions if mention.noun == noun]
        found = [phrase for phrase, of in planned if _same_noun(noun, phrase, of)]
        more = len(english.find_phrase(prompt, noun)) > len(same)  # also where no mention was seen: "past other dogs"
        problems += _noun_problems(noun, same, found, open_ended=more or any(map(_is_open, same)))
    return problems


def _noun_problems(noun: str, mentions: list[Mention], found: list[str], *, open_ended: bool) -> list[str]:
    """Mistakes with one noun: its mentions in the prompt, and the phrases of the planned objects of that noun."""
    counted = [mention for mention in mentions if mention.kind == "number" and not _refers_back(mention, mentions)]
    if not counted or not (found or noun in english.KNOWN_NOUNS or noun in words.COMPOUNDS):
        return []
    fewest = sum(2 if _is_open(mention) else mention.count for mention in counted)
    most = sum(mention.count if mention.kind == "number" else 1 for mention in mentions)
    said = " and ".join(f'"{mention.determiner} {mention.phrase}"' for mention in counted)
    if len(found) < fewest or (len(found) > most and not open_ended):
        return [f"the prompt says {said}, but {len(found)} objects of that name are listed"]
    if len(counted) < len(mentions):
        return []
    problems = []
    for mention in counted:  # "two red cars and three blue cars": each kind separately, if the phrases distinguish them
        exact = [phrase for phrase in found if english.singular(phrase) == english.singular(mention.phrase)]
        alone = sum(english.singular(other.phrase) == english.singular(mention.phrase) for other in counted) == 1
        if exact and alone and len(exact) < len(found) and len(exact) != mention.count and not _is_open(mention):
            problems.append(f'the prompt says "{mention.determiner} {mention.phrase}", but {len(exact)} are listed')
    return problems


def _refers_back(mention: Mention, mentions: list[Mention]) -> bool:
    """ "the three dogs" after "three dogs"."""
    definite = mention.determiner.split()[0] in english.OPEN_DETERMINERS
    return definite and any(m.first < mention.first and m.kind == "number" for m in mentions)


def _is_open(mention: Mention) -> bool:
    """Whether its number is not said: "several dogs", "dogs"."""
    if mention.kind == "number":
        return mention.determiner in _VAGUE
    return english.is_plural(mention.phrase.split()[-1].lower())


def _same_noun(noun: str, phrase: str, planned_noun: str) -> bool:
    wanted = noun.split()
    names = (english.singular(phrase).split(), english.singular(planned_noun).split())
    return any(name[-len(wanted) :] == wanted for name in names) or names[1] == wanted[-len(names[1]) :]
