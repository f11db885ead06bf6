"""The four categories that a vision language model judges: options to scores.

A dialogue's answer is a list of choices, one per turn with options, None where the reply could not be read. One such
turn in any of the seeds excludes the video from the mean, as in the official code.
"""

from __future__ import annotations

from collections.abc import Sequence

from eval.metrics.registry import Excluded

Choice = str | None

CONSISTENT = {
    "AA": 15, "AB": 14, "BB": 13, "AC": 12, "BC": 11, "AD": 10, "BD": 9, "AE": 8, "BE": 7,
    "CC": 6, "CD": 5, "DD": 4, "CE": 3, "DE": 2, "EE": 1,
}  # fmt: skip
BOTH_ACTIONS = {"AA": 10, "AB": 9, "AC": 8, "BB": 7, "BC": 6, "CC": 5}
ONE_ACTION = {"A": 4, "B": 3, "C": 2}
INTERACTION = {
    "A": {"A": 10, "B": 9, "C": 8, "D": 7, "E": 6},  # all objects are clear
    "B": {"A": 5, "B": 3},  # some are unclear
    "C": {"A": 4, "B": 2},  # some are missing
}
NOTHING = 1
"""Score of a video that shows none of the objects."""
STATES = {"A": 1.0, "B": 0.8, "C": 0.2, "D": 0.0}
MIDDLE_NEEDED = 4
"""How many of the 6 middle frames must show something of either state."""


def consistent(seeds: Sequence[Sequence[Choice]]) -> float:
    """Consistent attribute binding: an option A-E for each of the two phrases, whose order does not matter."""
    return _mean([CONSISTENT[_pair(choices)] for choices in seeds], 14)


def action(seeds: Sequence[Sequence[Choice]], *, parity: bool = True) -> float:
    """Action binding: who is present (A both, B the first, C the second, D nobody), then how clear the actions are.

    The official code scores the second answer by its form alone: a single option after "both are present" counts like
    that of one object. Without parity such a reply is unreadable.
    """
    return _mean([_action(_readable(choices), parity) for choices in seeds], 9)


def interaction(seeds: Sequence[Sequence[Choice]]) -> float:
    """Object interactions: how clear the objects are (A-D), then how clear their interaction is."""
    scores = []
    for choices in seeds:
        present, *shown = _readable(choices)
        scores.append(NOTHING if present == "D" else _look_up(INTERACTION.get(present, {}), "".join(shown)))
    return _mean(scores, 9)


def dynamic(states: Sequence[Choice], middle: Sequence[Choice]) -> float:
    """Dynamic attribute binding: the change from state 0 in the first frame to state 1 in the last.

    Args:
        states: Options A-D of first frame and state 0, first frame and state 1, last and 0, last and 1.
        middle: Options 0-3 for the middle frames, in order; None, an unreadable reply, counts like 0. They are not
            asked for where the product is 0, nor after the fourth that is above 0.
    """
    product = dynamic_product(states)
    if product == 0:
        return 0.0
    seen = sum(value in ("1", "2", "3") for value in middle)
    return product if seen >= MIDDLE_NEEDED else 0.0


def dynamic_product(states: Sequence[Choice]) -> float:
    """s10 (1 - s11) (1 - s20) s21. Raises Excluded for an unreadable reply."""
    s10, s11, s20, s21 = (_look_up(STATES, option) for option in _readable(states))
    return s10 * (1 - s11) * (1 - s20) * s21


def _action(choices: list[str], parity: bool) -> float:
    present, *shown = choices
    if present == "D":
        return NOTHING
    options = "".join(sorted(shown))
    if present not in "ABC" or (not parity and len(options) != (2 if present == "A" else 1)):
        raise Excluded("unreadable reply")
    return _look_up(BOTH_ACTIONS | ONE_ACTION, options)


def _pair(choices: Sequence[Choice]) -> str:
    pair = "".join(sorted(_readable(choices)))
    if pair not in CONSISTENT:
        raise Excluded("unreadable reply")
    return pair


def _readable(choices: Sequence[Choice]) -> list[str]:
    readable = [choice for choice in choices if choice is not None]
    if not readable or len(readable) < len(choices):
        raise Excluded("unreadable reply")
    return readable


def _look_up(table: dict[str, float] | dict[str, int], option: str) -> float:
    if option not in table:
        raise Excluded("unreadable reply")
    return table[option]


def _mean(scores: Sequence[float], span: int) -> float:
    """The mean over seeds, from 1 .. span + 1 to 0 .. 1."""
    if not scores:
        raise Excluded("unreadable reply")
    return (sum(scores) / len(scores) - 1) / span
