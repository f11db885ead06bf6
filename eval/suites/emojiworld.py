"""EmojiWorld's held-out prompts: motion, relation and count, with the facts of the scenes they describe."""

from __future__ import annotations

from typing import Any

from eval.suites import Options, Suite, suite
from eval.types import Case
from ttom.emojiworld.facts import Split
from ttom.emojiworld.nouns import NOUNS
from ttom.emojiworld.prompts import Prompt, prompts

PER_CATEGORY = 100
"""Prompts of each category, unless a limit asks for more: the world has any number of them."""
_REVISION = 1
"""Changes when the prompts of an id change."""


@suite("emojiworld")
def test_prompts(options: Options) -> Suite:
    """Prompts of the test split: to report on."""
    return _build("emojiworld", "test", options)


@suite("emojiworld-tune")
def tuning_prompts(options: Options) -> Suite:
    """Prompts of the tuning split: to choose settings by, never to report on."""
    return _build("emojiworld-tune", "tune", options)


def facts(prompt: Prompt) -> dict[str, Any]:
    """What the video must show, by noun names; see eval/suites/__init__.py."""
    name = [noun.name for noun in NOUNS]
    found: dict[str, Any] = {"nouns": [name[noun] for noun in prompt.nouns]}
    if prompt.directions:
        found["directions"] = [[name[noun], direction] for noun, direction in prompt.directions]
    if prompt.relation and prompt.suite == "relation":  # of things that move, it need not hold all the time
        first, second, relation = prompt.relation
        found["relation"] = [name[first], name[second], relation]
    if prompt.counts:
        found["counts"] = [[name[noun], number] for noun, number in prompt.counts]
    return found


def _build(name: str, split: Split, options: Options) -> Suite:
    cases = []
    for prompt in prompts(split, max(options.limit or 0, PER_CATEGORY)):
        case_id = prompt.id if split == "test" else f"{split}-{prompt.id}"
        cases.append(
            Case(
                id=case_id,
                suite=name,
                category=prompt.suite,
                prompt=prompt.text,
                seed=prompt.seed,
                video=f"{prompt.suite}/{prompt.id}.mp4",
                facts=facts(prompt),
            )
        )
    return Suite(name, f"{split}-{_REVISION}", tuple(cases), source="ttom.emojiworld.prompts")
