"""The word lists are frozen: they may shrink, and what a list says of a word must not contradict another one."""

from __future__ import annotations

import pytest

from ttom.layout import english
from ttom.layout.rules import words

_FROZEN = 1_620  # entries; a planner that needs another word is wrong, not short of words
_BUILT = {"DETERMINERS", "MOVING", "VERBS", "WARDS", "_FORMS", "_LISTED"}  # of other lists, by code


def test_the_lists_do_not_grow() -> None:
    """Counted are the members of each list of english.py and words.py that is written out, each list once."""
    lists = {
        id(value): value
        for module in (english, words)
        for name, value in vars(module).items()
        if isinstance(value, frozenset | dict) and not name.startswith("__") and name not in _BUILT
    }
    assert 1_500 < sum(map(len, lists.values())) <= _FROZEN


def test_parts_are_parts() -> None:
    assert words.FLYING <= words.MOTION_VERBS
    assert words.CONJUNCTIONS | {"with"} >= words.OPENERS
    assert words.PLACES <= words.PREPOSITIONS
    assert not words.UP_VERBS & words.DOWN_VERBS


@pytest.mark.parametrize(
    ("form", "base"),
    [("dashes", "dash"), ("rolled", "roll"), ("flies", "fly"), ("lying", "lie"), ("ran", "run"), ("zorbs", None)],
)
def test_verb_forms(form: str, base: str | None) -> None:
    assert words.verb_base(form) == base


def test_kinds_of_words() -> None:
    assert [word for word in ("quickly", "fly", "butterfly", "high") if words.is_adverb(word)] == ["quickly", "high"]
    assert [w for w in ("slinking", "king", "parked", "bed", "rose", "flown") if words.is_participle(w)] == [
        "slinking", "parked", "flown",
    ]  # fmt: skip
    assert [word for word in ("red", "joyful", "fish", "3d", "cat") if words.is_adjective(word)] == [
        "red",
        "joyful",
        "3d",
    ]
    spelt = ("the", "left", "quickly", "cat", "3d", "12", "both")
    assert [word for word in spelt if words.is_content(word)] == ["cat", "3d"]
    assert [word for word in ("sits", "runs", "zorbs") if words.is_still(word)] == ["sits"]
    assert [word for word in ("cats", "the", "zorb") if words.is_known(word)] == ["cats", "the"]
