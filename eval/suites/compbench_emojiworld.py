"""The motion, spatial and numeracy prompts of T2V-CompBench V2 that EmojiWorld's vocabulary covers.

Ids, seeds and file names are those of `compbench`, so that a run on an embedded checkpoint and one on a real model show
the same cases. A prompt is covered if the rules planner finds its objects, each with a sprite, and the official
metadata's objects are among them; "in front of" and "behind" are left out, since the world has no depth. The layout is
left to the planner of the run.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

from eval.suites import Dropped, Options, Suite, suite
from eval.suites.compbench import CATEGORIES, load
from eval.types import Case
from ttom.emojiworld.nouns import NOUNS
from ttom.errors import UserError
from ttom.layout.model import ObjectGroup
from ttom.layout.rules.planner import plan
from ttom.layout.rules.words import singular

COVERED = ("spatial_relationships", "motion_binding", "generative_numeracy")
RELATIONS = {"left": "left", "right": "right", "above": "above", "on": "above", "below": "below", "under": "below"}
"""Official relation -> EmojiWorld's."""
_ASPECT = 1.5
_NAMES = {noun.name: noun.name for noun in NOUNS} | {noun.plural: noun.name for noun in NOUNS}


@suite("compbench-emojiworld")
def build(options: Options) -> Suite:
    """The covered prompts of three categories; `Suite.dropped` lists the others with reasons."""
    everything = load("compbench-emojiworld", options, [c for c in CATEGORIES if c.folder in COVERED])
    cases: list[Case] = []
    dropped: list[Dropped] = []
    for case in everything.cases:
        try:
            cases.append(case.model_copy(update={"facts": case.facts | world_facts(case)}))
        except UserError as error:
            dropped.append(Dropped(case.category, case.prompt, error.problem))
    covered = hashlib.sha256("\n".join(case.id for case in cases).encode()).hexdigest()[:8]
    revision = f"{everything.revision}-{covered}"
    return replace(everything, revision=revision, cases=tuple(cases), dropped=tuple(dropped))


def world_facts(case: Case) -> dict[str, Any]:
    """The facts of a case by EmojiWorld's noun names; see eval/suites/__init__.py.

    Raises:
        UserError: EmojiWorld does not cover the prompt; its `problem` says why.
    """
    official = _official_objects(case)
    if case.category == "spatial_relationships" and case.facts["spatial"] not in RELATIONS:
        raise UserError(f"the relation {case.facts['spatial']!r} needs depth")
    groups = plan(case.prompt, aspect=_ASPECT).groups()
    unknown = [group.noun for group in groups if _name(group.noun) is None]
    if unknown:
        raise UserError(f"no sprite for {unknown[0]!r}")
    names = [_name_of(name, groups) for name in official]
    facts: dict[str, Any] = {"nouns": list(dict.fromkeys(names))}
    if case.category == "motion_binding":
        ways = (case.facts["d_1"], case.facts["d_2"])
        facts["directions"] = [list(pair) for pair in zip(names, ways, strict=False)]
    elif case.category == "spatial_relationships":
        facts["relation"] = [*names, RELATIONS[case.facts["spatial"]]]
    else:
        numbers = [int(number) for number in case.facts["numbers"].split(",")]
        facts["counts"] = [list(pair) for pair in zip(names, numbers, strict=True)]
    return facts


def _official_objects(case: Case) -> list[str]:
    if case.category == "generative_numeracy":
        return [name.strip() for name in case.facts["objects"].split(",")]
    return [name for name in (case.facts["object_1"], case.facts["object_2"]) if name]


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
