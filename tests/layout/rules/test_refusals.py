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


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("", "the prompt is empty"),
        ("  \n", "the prompt is empty"),
        ("running quickly", "names no object"),
        ("in a forest", "names no object"),
        ("!!!", "the prompt is empty"),
        ("moves left", "names no object"),
        ("no cats", "names no object"),
        ("zero cats", "names no object"),
        ("thirty-two cats", "asks for 32 objects"),
        ("a hundred cats", "asks for hundred objects"),
        ("9" * 5000 + " dogs", "asks for 999999999 objects"),
        ("猫が左に走る", "knows no word"),
        ("Ein Ballon fliegt nach rechts", "knows no word"),
        ("500 dogs", "asks for 500 objects"),
        ("One hundred dogs", "asks for hundred objects"),
        ("0 dogs", "asks for 0 objects"),
        ("A ball bounces up and down", "cannot plan a motion 'up and down'"),
        ("A cat is not on the left of a dog", "cannot plan what is negated: 'not on'"),
        ("A dog doesn't move left", 'cannot plan what is negated: "doesn\'t move"'),
        ("A dog never falls", "cannot plan what is negated: 'never falls'"),
        ("A dog, not a cat, runs left", "cannot plan what is negated: 'not a'"),
        ("A cat is not quickly running left", "cannot plan what is negated: 'not running'"),
        ("A dog runs left. The dog runs right.", "move both left .* and right"),
        ("A bird flies diagonally", "cannot plan a motion 'diagonally'"),
        ("A drone flies right, then up, then left, then down", "moves along 4 legs"),
        ("Mage conjures fireball in a red house with a cat", "cannot tell whether 'conjures' is what 'Mage' does"),
        ("The sky is turning dark", "names no object .* scenery and styles get no box"),
        ("A watercolor of a mountain lake", "names no object"),
        ("The 3D pixels turn into a sea", "names no object"),
        ("Un chien court dans le parc avec un ballon", "knows only 1 of the 9 words"),
        ("Le train passe devant une table orange", "knows only 2 of the 7 words"),
        ("Ein Hund läuft in den Park", "knows only 2 of the 6 words"),
        ("A bird above and to the left of a tree", "cannot plan a place 'above and to the left of'"),
        ("A cat is left of a dog, and the dog is left of the cat", "cannot plan all relations at once: 'dog'"),
        ("In the garden dogs run left", "cannot tell what moves left"),
    ],
)
def test_refusals_say_what_to_do(prompt: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        plan(prompt, aspect=ASPECT)
    assert caught.value.expected
    assert caught.value.remedy
