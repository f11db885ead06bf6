"""Dialogues: what they ask, which frames they show, and how strictly replies are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from eval.metrics.compbench import dialogues as compbench
from eval.metrics.dialogues import Choice, Turn, find_dialogue, read_option


def play(name: str, facts: dict[str, Any], total: int, options: Sequence[Choice]) -> tuple[list[Turn], Any]:
    """Turns and value of a dialogue whose turns with options get these, in order."""
    dialogue = find_dialogue(name)
    assert dialogue is not None
    running, left, turns = dialogue(facts, total), list(options), []
    reply: Choice = None
    try:
        while True:
            turns.append(running.send(reply) if turns else next(running))
            reply = left.pop(0) if turns[-1].options else None
    except StopIteration as end:
        assert not left
        return turns, end.value


def test_consistent_shows_the_grid_and_asks_for_both_phrases() -> None:
    turns, value = play(compbench.CONSISTENT, {"phrases": "a blue car; a white fence"}, 81, ["A", "C"])
    assert value == ["A", "C"]
    assert turns[0].show == (0, 16, 32, 48, 64, 80) and turns[0].as_grid and not turns[0].options
    assert "'a blue car'" in turns[1].text and "'a white fence'" in turns[2].text
    assert not turns[1].keep  # the second question does not see the first


ACTION = {"phrase_0": ["a dog?", "a dog runs?"], "phrase_1": ["a cat?", "a cat climbs?"]}


@pytest.mark.parametrize(("options", "acts"), [("AAB", ["a dog runs", "a cat climbs"]), ("BA", ["a dog runs"]),
                                               ("CA", ["a cat climbs"]), ("D", [])])  # fmt: skip
def test_action_asks_only_for_those_who_are_present(options: str, acts: list[str]) -> None:
    turns, value = play(compbench.ACTION, ACTION, 16, list(options))
    assert value == list(options)
    assert [turn.text.split("'")[1] for turn in turns[2:]] == acts


def test_an_unreadable_reply_ends_a_dialogue() -> None:
    assert play(compbench.ACTION, ACTION, 16, [None])[1] == [None]
    assert play(compbench.INTERACTION, {"prompt": "p"}, 16, [None])[1] == [None]


@pytest.mark.parametrize(("options", "asked"), [("AE", "ABCDE"), ("BA", "AB"), ("CB", "AB")])
def test_interaction_asks_by_how_clear_the_objects_are(options: str, asked: str) -> None:
    turns, value = play(compbench.INTERACTION, {"prompt": "cars collide"}, 16, list(options))
    assert value == list(options) and turns[-1].options == asked


STATES = {"state 0": "a bud", "state 1": "a flower"}


def test_dynamic_stops_after_four_middle_frames() -> None:
    turns, value = play(compbench.DYNAMIC, STATES, 8, ["A", "D", "D", "A", "3", "0", "2", "1", "2"])
    assert value == {"states": ["A", "D", "D", "A"], "middle": ["3", "0", "2", "1", "2"]}
    assert [turn.show for turn in turns if turn.show] == [(0,), (7,), (1,), (2,), (3,), (4,), (5,)]


@pytest.mark.parametrize("states", [["D", "D", "D", "A"], ["A", "A", "D", "A"], ["A", None, "D", "A"]])
def test_dynamic_asks_for_no_middle_frames_where_they_do_not_matter(states: list) -> None:
    assert play(compbench.DYNAMIC, STATES, 81, states)[1] == {"states": states, "middle": []}


@pytest.mark.parametrize(
    ("reply", "option"),
    [
        ('{"explanation": "seen", "option": "B"}', "B"),
        ('```json\n{"option": " C "}\n```', "C"),
        ('{"option": 2}', "2"),
        ('{"option": "AB"}', None),
        ('{"option": ""}', None),
        ('{"option": "Z"}', None),
        ('{"choice": "A"}', None),
        ('{"option": "A"} or {"option": "B"}', None),
        ("A", None),
        ("", None),
        ("[1]", None),
        ('{"option": ' + "[" * 100_000, None),
    ],
)
def test_replies_are_read_strictly(reply: str, option: str | None) -> None:
    assert read_option(reply, "ABC2") == option
