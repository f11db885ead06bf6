"""What a vision language model is asked about a video, as small scripts that a judge plays.

A dialogue is a generator of turns: it is sent what was read off each reply, and returns the answer's value. It knows no
model, so one that a metric needs lives beside the metric and is found by its name, which ends in a version: a changed
wording is another dialogue, whose answers are not mixed with earlier ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any

from eval.types import Question

Choice = str | None


@dataclass(frozen=True)
class Turn:
    """One message to the model.

    Attributes:
        text: What it is asked.
        options: One character for each option; "" asks for a description.
        show: Frames of the video to show with it; they start a new conversation.
        as_grid: Show them as one picture, 3 rows of 2, instead of one picture each.
        keep: Whether question and reply stay in the conversation.
    """

    text: str
    options: str = ""
    show: tuple[int, ...] = ()
    as_grid: bool = False
    keep: bool = True


Dialogue = Callable[[Mapping[str, Any], int], Generator[Turn, Choice, Any]]
"""From facts and the video's number of frames to turns."""

_DIALOGUES: dict[str, Dialogue] = {}


def dialogue(name: str) -> Callable[[Dialogue], Dialogue]:
    """Decorator that registers a dialogue, such as "compbench/action/v1"."""

    def add(function: Dialogue) -> Dialogue:
        if _DIALOGUES.setdefault(name, function) is not function:
            raise ValueError(f"two dialogues are called {name!r}")
        return function

    return add


def find_dialogue(name: str) -> Dialogue | None:
    return _DIALOGUES.get(name)


def question(name: str, facts: Mapping[str, Any], temperature: float, seed: int) -> Question:
    """Ask for a dialogue about the video with these facts, sampled like this."""
    return Question(
        kind="dialogue", text=name, options={"facts": dict(facts), "temperature": temperature, "seed": seed}
    )


HOW_TO_ANSWER = (
    'Answer with one JSON object and nothing else: {{"explanation": "at most 50 words", "option": "{example}"}}, '
    "where option is one of {options}."
)


def with_options(text: str, options: str) -> str:
    """The question followed by how to answer it."""
    return f"{text}\n{HOW_TO_ANSWER.format(example=options[0], options=', '.join(options))}"


def read_option(reply: str, options: str) -> Choice:
    """The option of a reply, strictly: the one JSON object in it has "option" with one of the characters; else None."""
    start, end = reply.find("{"), reply.rfind("}")
    try:
        option = json.loads(reply[start : end + 1])["option"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    option = str(option).strip()
    return option if len(option) == 1 and option in options else None
