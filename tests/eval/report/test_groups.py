"""Groups that a breakdown has of the facts of all suites."""

from __future__ import annotations

import pytest

from eval.report.groups import groups_of
from eval.types import Case


@pytest.mark.parametrize(
    "facts, groups",
    [
        ({"directions": [["cat", "left"], ["dog", "up"]]}, [("direction", "left"), ("direction", "up")]),
        ({"d_1": "left", "d_2": ""}, [("direction", "left")]),
        ({"relation": ["cat", "dog", "above"], "spatial": "on"}, [("relation", "above")]),
        ({"spatial": "in front of"}, [("relation", "in front of")]),
        ({"counts": [["cat", 2], ["dog", 5]], "numbers": "2, 5"}, [("count", "2"), ("count", "5")]),
        ({"numbers": "2, 5"}, [("count", "2"), ("count", "5")]),
        ({"directions": None, "relation": [], "counts": True}, []),
    ],
)
def test_groups_of_the_facts_of_all_suites(facts: dict, groups: list[tuple[str, str]]) -> None:
    case = Case(id="a", suite="s", category="c", prompt="p", seed=1, video="a.mp4", facts=facts)
    assert groups_of(case) == groups
