"""The motion, spatial and numeracy prompts of T2V-CompBench V2 that EmojiWorld's vocabulary covers.

Ids, seeds and file names are those of `compbench`, so that a run on an embedded checkpoint and one on a real model show
the same cases. A prompt is covered if the rules planner finds its objects, each with a sprite, and the official
metadata's objects are among them; "in front of" and "behind" are left out, since the world has no depth. The layout is
left to the planner of the run.
"""

from __future__ import annotations

from typing import Any

from eval.suites import Options, Suite, suite
from eval.suites.compbench import CATEGORIES, load
from eval.suites.coverage import covered, named_nouns
from eval.types import Case
from ttom.errors import UserError

COVERED = ("spatial_relationships", "motion_binding", "generative_numeracy")
RELATIONS = {"left": "left", "right": "right", "above": "above", "on": "above", "below": "below", "under": "below"}
"""Official relation -> EmojiWorld's."""


@suite("compbench-emojiworld")
def build(options: Options) -> Suite:
    """The covered prompts of three categories; `Suite.dropped` lists the others with reasons."""
    everything = load("compbench-emojiworld", options, [c for c in CATEGORIES if c.folder in COVERED])
    return covered(everything, world_facts)


def world_facts(case: Case) -> dict[str, Any]:
    """The facts of a case by EmojiWorld's noun names; see eval/suites/__init__.py.

    Raises:
        UserError: EmojiWorld does not cover the prompt; its `problem` says why.
    """
    official = _official_objects(case)
    if case.category == "spatial_relationships" and case.facts["spatial"] not in RELATIONS:
        raise UserError(f"the relation {case.facts['spatial']!r} needs depth")
    names = named_nouns(case.prompt, official)
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
