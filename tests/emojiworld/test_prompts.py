"""Held-out prompts of both editions."""

from __future__ import annotations

import hashlib
import json

import pytest

from ttom.emojiworld.compose import NEVER_TRAINED
from ttom.emojiworld.editions import EDITIONS, FIRST, SECOND
from ttom.emojiworld.facts import Split, split_of
from ttom.emojiworld.nouns import NOUNS
from ttom.emojiworld.prompts import ALL_KINDS, COMPOSE_KINDS, Prompt, can_say, prompts, scene_prompts
from ttom.emojiworld.words import UNKNOWN_WORD


@pytest.mark.parametrize(("split", "known"), [("test", "25141fd7d0310dc3"), ("tune", "b8289afd0830f5ca")])
def test_the_prompts_of_edition_1_never_change(split: Split, known: str) -> None:
    made = [(p.id, p.text, p.nouns, p.directions, p.relation, p.counts) for p in prompts(split, 100)]
    assert hashlib.sha256(json.dumps(made).encode()).hexdigest()[:16] == known


@pytest.mark.parametrize(
    ("number", "split", "known"),
    [
        (1, "test", "4d404af7971d58cd"),
        (1, "tune", "049dc5687ae3a8f1"),
        (2, "test", "9d70822d154c2b33"),
        (2, "tune", "add122922d1bf38e"),
    ],
)
def test_the_prompts_of_compose_change_only_with_the_suites_revision(number: int, split: Split, known: str) -> None:
    edition = EDITIONS[number]
    made = scene_prompts(split, 40, [kind for kind in COMPOSE_KINDS if can_say(edition, kind)], edition)
    rows = [(p.id, p.text, p.seed, p.facts.as_json(), [thing.path for thing in p.scene.things]) for p in made]
    assert hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16] == known


def test_an_edition_without_the_words_refuses_a_kind() -> None:
    with pytest.raises(ValueError, match="edition 1 has no words for 'turn'"):
        scene_prompts("test", 1, ("turn",), FIRST)


def combinations(prompt: Prompt) -> list[tuple]:
    shown: list[tuple] = [(NOUNS[noun].name, direction) for noun, direction in prompt.directions]
    shown += [(NOUNS[noun].name, count) for noun, count in prompt.counts]
    if prompt.relation:
        first, second, relation = prompt.relation
        shown.append((NOUNS[first].name, NOUNS[second].name, relation))
    return shown


@pytest.mark.parametrize("split", ["test", "tune"])
def test_prompts_show_only_combinations_of_their_split(split: Split) -> None:
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


def test_a_prompts_seed_is_its_own() -> None:
    long = {prompt.id: prompt.seed for prompt in prompts("test", 30)}
    assert all(long[prompt.id] == prompt.seed for prompt in prompts("test", 5, ("count",)))
    assert (long["motion-003"], long["relation-003"], long["count-003"]) == (3, 103, 203)


@pytest.mark.parametrize("split", ["tune", "test"])
def test_scene_prompts_are_of_their_split(split: Split) -> None:
    chosen = scene_prompts(split, 5, ALL_KINDS)
    assert len({prompt.id for prompt in chosen}) == len({prompt.text for prompt in chosen}) == 5 * len(ALL_KINDS)
    assert len({prompt.seed for prompt in chosen}) == len(chosen)
    for prompt in chosen:
        assert prompt.scene.kind == prompt.kind and UNKNOWN_WORD not in prompt.text
        assert {split_of(*combination) for combination in prompt.facts.combinations()} == {split}


def test_scene_prompts_are_fixed_and_a_longer_list_begins_with_the_shorter() -> None:
    long = scene_prompts("test", 7)
    assert [prompt for prompt in long if int(prompt.id[-3:]) < 3] == scene_prompts("test", 3)
    assert {prompt.kind for prompt in long} == set(NEVER_TRAINED)
    alone = scene_prompts("test", 3, ("zigzag",))
    assert alone == [prompt for prompt in scene_prompts("test", 3) if prompt.kind == "zigzag"]


def test_every_word_is_known_but_zigzag() -> None:
    known = set(SECOND.vocabulary()) | {"zigzag"}
    for prompt in scene_prompts("test", 20, ALL_KINDS):
        assert set(prompt.text.lower().replace(",", " ").split()) <= known, prompt.text
