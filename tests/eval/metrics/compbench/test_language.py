"""The four judged categories, computed by hand for each rule."""

from __future__ import annotations

import pytest

from eval.metrics.compbench import CATEGORIES, average, language
from eval.metrics.registry import Excluded
from ttom.errors import UserError


@pytest.mark.parametrize(
    ("options", "score"),
    [("AA", 15), ("AB", 14), ("BB", 13), ("AC", 12), ("BC", 11), ("AD", 10), ("BD", 9), ("AE", 8), ("BE", 7),
     ("CC", 6), ("CD", 5), ("DD", 4), ("CE", 3), ("DE", 2), ("EE", 1)],
)  # fmt: skip
def test_consistent_pairs_are_unordered(options: str, score: int) -> None:
    assert language.consistent([list(options)]) == pytest.approx((score - 1) / 14)
    assert language.consistent([list(reversed(options))]) == pytest.approx((score - 1) / 14)


def test_consistent_is_the_mean_over_seeds() -> None:
    # 15, 13 and 8: mean 12, (12 - 1) / 14
    assert language.consistent(["AA", "BB", "EA"]) == pytest.approx(11 / 14)


@pytest.mark.parametrize("seeds", [[["A", "A"], ["A", None]], [["A", "F"]], [["A"]], [], [[]]])
def test_one_unreadable_reply_excludes_the_video(seeds: list) -> None:
    with pytest.raises(Excluded):
        language.consistent(seeds)


@pytest.mark.parametrize(
    ("choices", "score"),
    [("AAA", 10), ("AAB", 9), ("ABA", 9), ("AAC", 8), ("ABB", 7), ("ACB", 6), ("ACC", 5),
     ("BA", 4), ("BB", 3), ("BC", 2), ("CA", 4), ("CB", 3), ("CC", 2), ("D", 1)],
)  # fmt: skip
@pytest.mark.parametrize("parity", [True, False])
def test_action(choices: str, score: int, parity: bool) -> None:
    assert language.action([list(choices)], parity=parity) == pytest.approx((score - 1) / 9)


def test_action_quirk_scores_the_second_reply_by_its_form() -> None:
    # "both are present", but one option: 4 with the official code
    assert language.action([["A", "A"]]) == pytest.approx(3 / 9)
    assert language.action([["B", "A", "A"]]) == pytest.approx(1.0)
    for choices in (["A", "A"], ["B", "A", "A"]):
        with pytest.raises(Excluded):
            language.action([choices], parity=False)


def test_action_is_the_mean_over_seeds() -> None:
    # 10, 4 and 1: mean 5, 4/9
    assert language.action(["AAA", "BA", "D"]) == pytest.approx(4 / 9)


@pytest.mark.parametrize("choices", [["A", None, "A"], ["E", "A"], ["A", "D", "A"], ["A"], [None]])
def test_action_unreadable(choices: list) -> None:
    with pytest.raises(Excluded):
        language.action([choices])


@pytest.mark.parametrize(
    ("choices", "score"),
    [("AA", 10), ("AB", 9), ("AC", 8), ("AD", 7), ("AE", 6), ("BA", 5), ("BB", 3), ("CA", 4), ("CB", 2), ("D", 1)],
)
def test_interaction(choices: str, score: int) -> None:
    assert language.interaction([list(choices)]) == pytest.approx((score - 1) / 9)


@pytest.mark.parametrize("choices", [["B", "C"], ["E"], ["A", None], ["F", "A"]])
def test_interaction_unreadable(choices: list) -> None:
    with pytest.raises(Excluded):
        language.interaction([choices])


def test_dynamic_product_and_flag() -> None:
    # s10 = 1, s11 = .2, s20 = 0, s21 = .8: 1 * .8 * 1 * .8 = .64
    states = ["A", "C", "D", "B"]
    assert language.dynamic(states, ["3", "2", "1", "3"]) == pytest.approx(0.64)
    assert language.dynamic(states, ["3", "0", "2", None, "1", "2"]) == pytest.approx(0.64)  # four above 0
    assert language.dynamic(states, ["3", "0", "2", None, "1", "0"]) == 0.0  # three
    assert language.dynamic(["A", "A", "D", "A"], []) == 0.0  # the first frame shows the end already


def test_dynamic_unreadable_states_exclude_even_beside_a_zero() -> None:
    with pytest.raises(Excluded):
        language.dynamic(["D", None, "A", "A"], [])


def test_the_average_is_the_plain_mean_of_seven() -> None:
    # Wan2.1-14B with TTOM, as published: .6155
    means = dict(zip(("motion", "numeracy", "spatial", "consistent", "dynamic", "action", "interaction"),
                     (0.4922, 0.5881, 0.6275, 0.8982, 0.1182, 0.8152, 0.7691), strict=True))  # fmt: skip
    assert average(means) == pytest.approx(0.6155, abs=5e-5)
    del means["motion"]
    with pytest.raises(UserError, match="motion"):
        average(means)
    with pytest.raises(UserError, match="unknown.*speed"):
        average(dict.fromkeys([*CATEGORIES, "speed"], 1.0))
