"""Which prompts of other benchmarks EmojiWorld's vocabulary covers, and what it calls their objects."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from eval.suites import Dropped, Suite
from eval.types import Case
from ttom.emojiworld.editions import CURRENT
from ttom.errors import UserError
from ttom.layout.model import ObjectGroup
from ttom.layout.rules.planner import plan
from ttom.layout.rules.words import singular

_ASPECT = 1.5
_NAMES = {noun.name: noun.name for noun in CURRENT.nouns} | {noun.plural: noun.name for noun in CURRENT.nouns}


def covered(everything: Suite, facts: Callable[[Case], dict[str, Any]]) -> Suite:
    """The cases that have facts in EmojiWorld's words, with these facts added.

    Args:
        everything: The suite's whole.
        facts: Facts of a case; raises UserError, whose `problem` says why, for one that is not covered.
    """
    cases: list[Case] = []
    dropped: list[Dropped] = []
    for case in everything.cases:
        try:
            cases.append(case.model_copy(update={"facts": case.facts | facts(case)}))
        except UserError as error:
            dropped.append(Dropped(case.category, case.prompt, error.problem))
    chosen = hashlib.sha256("\n".join(case.prompt for case in cases).encode()).hexdigest()[:8]
    revision = f"{everything.revision}-{chosen}"
    return replace(everything, revision=revision, cases=tuple(cases), dropped=tuple(dropped))


def named_nouns(prompt: str, objects: Sequence[str]) -> list[str]:
    """EmojiWorld's names of a prompt's objects, which the rules planner must find in it, all with a sprite.

    Raises:
        UserError: The prompt is not covered.
    """
    groups = plan(prompt, aspect=_ASPECT).groups()
    unknown = [group.noun for group in groups if _name(group.noun) is None]
    if unknown:
        raise UserError(f"no sprite for {unknown[0]!r}")
    return [_name_of(name, groups) for name in objects]


def _name(noun: str) -> str | None:
    """EmojiWorld's name of a noun in singular or plural; None without a sprite."""
    return _NAMES.get(noun) or _NAMES.get(singular(noun))


def _name_of(official: str, groups: list[ObjectGroup]) -> str:
    """The sprite's noun of an official object: its own, or that of the planned phrase that holds its words."""
    name = _name(official)
    for group in groups:
        noun = _name(group.noun)
        words = singular(official)
        if noun is not None and (noun == name or words in singular(group.phrase) or words.endswith(f" {noun}")):
            return noun
    raise UserError(f"the planner finds no {official!r} in the prompt")
