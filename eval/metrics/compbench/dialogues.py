"""The questions of the four categories that a vision language model judges, in wording of our own.

They follow the official protocol (describe first, then choose; the same options; the same frames), so that the same
arithmetic applies. The wording and the model differ from the official ones: the scores are proxies.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from eval.metrics import frames
from eval.metrics.dialogues import Choice, Turn, dialogue

Facts = Mapping[str, Any]
Choices = Generator[Turn, Choice, Any]

CONSISTENT, DYNAMIC = "compbench/consistent/v1", "compbench/dynamic/v1"
ACTION, INTERACTION = "compbench/action/v1", "compbench/interaction/v1"
_GRID = "The picture shows six frames of a generated video in order, row by row. "


def _describe(text: str, total: int) -> Turn:
    return Turn(_GRID + text, show=tuple(frames.grid(total)), as_grid=True)


@dialogue(CONSISTENT)
def consistent(facts: Facts, total: int) -> Choices:
    """The options of the two phrases."""
    yield _describe("Describe the objects, how well they are drawn, and their visible attributes.", total)
    choices = []
    for phrase in _phrases(facts):
        text = (
            f"How does the video show '{phrase}'?\n"
            "A: clearly, in all frames\n"
            "B: in some of the frames; it is absent from more than half of them\n"
            "C: not strictly, mixed with another attribute (asked for a green car, it is green and yellow)\n"
            "D: wrongly, with another attribute (the car is not green)\n"
            "E: not at all (there is no car)"
        )
        choices.append((yield Turn(text, "ABCDE", keep=False)))
    return choices


@dialogue(DYNAMIC)
def dynamic(facts: Facts, total: int) -> Choices:
    """{"states": the four options of first and last frame, "middle": those of the middle frames, as far as asked}."""
    from eval.metrics.compbench.language import MIDDLE_NEEDED, dynamic_product

    sampled = frames.spread(total, frames.DYNAMIC)
    describe = "Describe the picture in at most 50 words: all objects, their visible attributes and their states."
    before, after = facts["state 0"], facts["state 1"]
    states: list[Choice] = []
    for frame in (sampled[0], sampled[-1]):
        yield Turn(describe, show=(frame,))
        for state in (before, after):
            text = (
                f"How well does the picture match '{state}'?\n"
                "A: the objects are clearly visible, with the attributes or states asked for\n"
                "B: the objects are present, their attributes or states differ a little\n"
                "C: their attributes or states differ much\n"
                "D: their attributes or states are different altogether, or the picture shows something else"
            )
            states.append((yield Turn(text, "ABCD", keep=False)))
    middle: list[Choice] = []
    if None not in states and dynamic_product(states) > 0:
        for frame in sampled[1:-1]:
            yield Turn(describe, show=(frame,))
            text = (
                f"Which does the picture match, '{before}' or '{after}'?\n"
                "3: the first\n2: the second\n1: it contains objects of both\n0: neither"
            )
            middle.append((yield Turn(text, "0123", keep=False)))
            if sum(option in ("1", "2", "3") for option in middle) >= MIDDLE_NEEDED:
                break
    return {"states": states, "middle": middle}


@dialogue(ACTION)
def action(facts: Facts, total: int) -> Choices:
    """Who is present, then the option of each present object's action."""
    (first, first_acts), (second, second_acts) = (
        [str(text).split("?")[0] for text in facts[name]] for name in ("phrase_0", "phrase_1")
    )
    yield _describe("Describe all characters and objects in it, and what each of them does.", total)
    text = (
        f"The video should show '{first}' and '{second}'. Which of them does it show?\n"
        f"A: both, clearly\nB: {first} alone\nC: {second} alone\nD: neither"
    )
    present = yield Turn(text, "ABCD")
    acts = {"A": [first_acts, second_acts], "B": [first_acts], "C": [second_acts]}.get(present or "", [])
    choices = [present]
    for act in acts:
        text = f"How does the video show '{act}'?\nA: clearly\nB: it is not obvious whether it does\nC: not at all"
        choices.append((yield Turn(text, "ABC")))
    return choices


@dialogue(INTERACTION)
def interaction(facts: Facts, total: int) -> Choices:
    """How clear the objects are, then how clear their interaction is."""
    prompt = facts["prompt"]
    yield _describe("Describe how the characters or objects in it interact.", total)
    text = (
        f"The video should show: '{prompt}'. How does it show the objects of this interaction?\n"
        "A: all of them, clearly\nB: some of them unclearly\nC: some are missing\nD: none of them is present"
    )
    present = yield Turn(text, "ABCD")
    if present == "A":
        text = (
            f"How does the video show the interaction of '{prompt}'?\n"
            "A: clearly and lively, with the outcome that follows from it and that the prompt names, if it does\n"
            "B: mostly clearly, with active objects, and an outcome that fits on the whole\n"
            "C: somewhat; the objects hardly engage, or the outcome comes without what leads to it\n"
            "D: unclearly, with hardly any engagement or development\n"
            "E: practically not; the outcome is absent or another one"
        )
        shown = yield Turn(text, "ABCDE")
    elif present in ("B", "C"):
        lost = "unclear" if present == "B" else "missing"
        text = (
            "How do the clear objects interact?\n"
            f"A: so lively that they make up for the {lost} ones, with an outcome that implies the interaction\n"
            f"B: weakly, in a confusing relation to the {lost} ones, with an outcome that does not fit the prompt"
        )
        shown = yield Turn(text, "AB")
    else:
        return [present]
    return [present, shown]


def _phrases(facts: Facts) -> list[str]:
    """ "a blue car; a white fence" -> the two phrases."""
    return [phrase.strip() for phrase in str(facts["phrases"]).split(";")[:2]]
