"""The held-out prompts: of their split alone, and the same forever."""

from __future__ import annotations

import pytest

from ttom.emojiworld.captions import UNKNOWN_WORD
from ttom.emojiworld.nouns import NOUNS
from ttom.emojiworld.prompts import Prompt, prompts
from ttom.emojiworld.world import split_of


def combinations(prompt: Prompt) -> list[tuple]:
    shown: list[tuple] = [(NOUNS[noun].name, direction) for noun, direction in prompt.directions]
    shown += [(NOUNS[noun].name, count) for noun, count in prompt.counts]
    if prompt.relation:
        first, second, relation = prompt.relation
        shown.append((NOUNS[first].name, NOUNS[second].name, relation))
    return shown


@pytest.mark.parametrize("split", ["test", "tune"])
def test_prompts_show_only_combinations_of_their_split(split: str) -> None:
    chosen = prompts(split, 40)
    assert len({prompt.text for prompt in chosen}) == len({prompt.id for prompt in chosen}) == 120
    for prompt in chosen:
        assert combinations(prompt)
        assert {split_of(*combination) for combination in combinations(prompt)} == {split}
        assert UNKNOWN_WORD not in prompt.text


def test_prompts_are_the_same_every_time_and_a_longer_list_begins_with_the_shorter() -> None:
    short, long = prompts("test", 5), prompts("test", 8)
    assert short == prompts("test", 5)
    assert [p for p in long if int(p.id[-3:]) < 5] == short
