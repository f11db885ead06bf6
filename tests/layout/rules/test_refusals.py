"""What would be planned wrongly is refused; what only looks like it is planned."""

from __future__ import annotations

import pytest

from tests.layout.seen import ASPECT, direction, summary
from ttom.errors import UserError
from ttom.layout.rules.planner import plan


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("A red and a blue balloon rise", "cannot plan 'a red and a ...', which names a thing only once"),
        ("A red, a green and a blue balloon rise", "'a red, a ...', which names"),
        ("One red and two blue balloons rise", "'one red and two ...', which names"),
        ("Two cats, one of which runs left", "cannot plan a part of a group: 'one of which'"),
        ("Two cats sit. One of them jumps up.", "cannot plan a part of a group: 'one of them'"),
        ("Two cats: one runs left, the other runs right", "cannot plan a part of a group: 'one runs'"),
        ("Two cats, the first of which runs left", "cannot plan a part of a group: 'first of which'"),
        ("Two cats, one running left", "cannot plan a part of a group: 'one running'"),
        ("A cat sits and the other runs left", "cannot plan 'other' without its noun"),
        ("Nobody walks left", "cannot plan what is negated: 'nobody walks'"),
        ("None of the cats run left", "cannot plan what is negated: 'none of'"),
        ("A dog sits and no cat runs left", "cannot plan what is negated: 'no cat runs'"),
        ("A dog sits and no cat falls", "cannot plan what is negated: 'no cat falls'"),
        ("A cat no longer runs left", "cannot plan what is negated: 'no longer runs'"),
        ("A street lights up at night", "scenery and styles get no box"),
        ("The street lights up at night", "scenery and styles get no box"),
    ],
)
def test_what_would_be_planned_wrongly_is_refused(prompt: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        plan(prompt, aspect=ASPECT)


@pytest.mark.parametrize(
    ("prompt", "shown"),
    [
        ("A red balloon and a blue balloon rise", {"red balloon": "up", "blue balloon": "up"}),
        ("A red and blue balloon rises", {"blue balloon": "up"}),
        ("A dog runs left across the plain and a cow grazes", {"dog": "left", "cow": "still"}),
        ("Three cats, all of which run left", {"cats": "left"}),
        ("Two cats, one of which is black", {"cats": "still"}),
        ("A cat with no tail runs left", {"cat": "left"}),
        ("A man without a dog or a cat walks left", {"man": "left"}),
        ("A man walks left with nothing in his hands", {"man": "left"}),
        ("One running dog", {"running dog": "still"}),
        ("The street lights glow", {"street lights": "still"}),
        ("A street light falls", {"street light": "down"}),
        ("A catfish, a dog", {"catfish": "still", "dog": "still"}),
    ],
)
def test_what_only_looks_like_it_is_planned(prompt: str, shown: dict[str, str]) -> None:
    layout = plan(prompt, aspect=ASPECT)
    assert {phrase: direction(layout, phrase) for phrase in summary(layout)} == shown
