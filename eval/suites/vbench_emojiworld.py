"""VBench's prompts about single objects, two objects and relations that EmojiWorld's vocabulary covers.

Prompts, seeds and file names are those of `vbench`; whatever judges them here, it is not VBench.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from eval.suites import Options, Suite, suite
from eval.suites.coverage import covered, named_nouns
from eval.suites.vbench import load
from eval.types import Case
from ttom.errors import UserError

DIMENSIONS = ("object_class", "multiple_objects", "spatial_relationship")
RELATIONS = {
    "on the left of": "left",
    "on the right of": "right",
    "on the top of": "above",
    "on the bottom of": "below",
}
"""VBench's relation -> EmojiWorld's."""


@suite("vbench-emojiworld")
def build(options: Options) -> Suite:
    """The covered prompts of three dimensions, one sample each unless more are asked for."""
    everything = load("vbench-emojiworld", replace(options, samples=options.samples or 1))
    cases = tuple(case for case in everything.cases if case.category in DIMENSIONS)
    return covered(replace(everything, cases=cases), world_facts)


def world_facts(case: Case) -> dict[str, Any]:
    """The facts of a case by EmojiWorld's noun names.

    Raises:
        UserError: EmojiWorld does not cover the prompt; its `problem` says why.
    """
    try:
        told = case.facts["auxiliary_info"][case.category]
        if case.category == "spatial_relationship":
            told = told[case.category]
            objects, relation = [told["object_a"], told["object_b"]], RELATIONS.get(told["relationship"])
        else:
            objects, relation = told["object"].split(" and "), None
    except (KeyError, TypeError, AttributeError):
        raise UserError("VBench's list does not name its objects") from None
    names = named_nouns(case.prompt, objects)
    return {"nouns": list(dict.fromkeys(names))} | ({"relation": [*names, relation]} if relation else {})
