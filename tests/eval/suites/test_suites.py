"""What every suite has in common: the registry, seeds, subsets, and names that can be files."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import eval.suites
from eval.suites import Options, Suite, case_seed, load_suite, suite
from eval.types import Case
from ttom.errors import UserError


def case(number: int, **changes: object) -> Case:
    fields = {"id": f"c-{number}", "suite": "toy", "category": "ab"[number % 2], "prompt": f"prompt {number}"}
    return Case(**{**fields, "seed": number, "video": f"toy/{number}.mp4", **changes})


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Case]]:
    """A registered suite whose cases the test may change."""
    cases = [case(number) for number in range(6)]
    eval.suites.names()  # imports the modules, which register their suites once
    monkeypatch.setattr(eval.suites, "_SUITES", dict(eval.suites._SUITES))
    suite("toy")(lambda options: Suite("toy", "1", tuple(cases)))
    yield cases


def chosen(**options: object) -> list[str]:
    return [case.id for case in load_suite("toy", Options(**options)).cases]


def test_subsets_keep_the_order_and_the_cases(toy: list[Case]) -> None:
    assert chosen() == [f"c-{number}" for number in range(6)]
    assert chosen(categories=("b",)) == ["c-1", "c-3", "c-5"]
    assert chosen(limit=1) == ["c-0", "c-1"], "the first of each category"
    assert load_suite("toy", Options(limit=2)).cases[3] == toy[3]


def test_a_dimension_counts_as_a_category(toy: list[Case]) -> None:
    toy[0] = case(0, facts={"dimension": ["a", "scene"]})
    assert chosen(categories=("scene",)) == ["c-0"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"categories": ("c",)}, "has no category 'c'.*some of a, b"),
        ({"limit": 0}, "`limit` is 0"),
        ({"samples": 0}, "`samples` is 0"),
    ],
)
def test_wrong_options(toy: list[Case], options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=f"(?s){message}"):
        chosen(**options)


def test_an_unknown_suite_gets_a_suggestion() -> None:
    with pytest.raises(UserError, match="(?s)no suite 'compbnch'.*try: 'compbench'"):
        load_suite("compbnch", Options())


def test_an_empty_suite(toy: list[Case]) -> None:
    toy.clear()
    with pytest.raises(UserError, match="has no cases"):
        chosen()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "c-0"}, "the id 'c-0' more than once"),
        ({"video": "toy/0.mp4"}, "the video 'toy/0.mp4' more than once"),
        ({"id": "../c"}, "the case id"),
        ({"id": "-c"}, "the case id"),
        ({"id": "c" * 121}, "the case id"),
        ({"video": "/toy/1.mp4"}, "names the video"),
        ({"video": "toy/../1.mp4"}, "names the video"),
        ({"video": "1.mp4"}, "names the video"),
        ({"video": "toy/1.avi"}, "names the video"),
        ({"video": "toy\\1.mp4"}, "names the video"),
        ({"video": f"toy/{'ü' * 130}.mp4"}, "names the video"),
    ],
)
def test_names_that_cannot_be_files(toy: list[Case], changes: dict[str, str], message: str) -> None:
    toy[1] = case(1, **changes)
    with pytest.raises(UserError, match=message):
        chosen()


def test_seeds_depend_on_the_id_alone() -> None:
    seeds = {case_seed(f"motion_binding-{number:04d}") for number in range(1, 201)}
    assert len(seeds) == 200 and all(0 <= seed < 2**31 for seed in seeds)
    # Fixed for ever: runs that were made last year must be resumable.
    assert case_seed("motion_binding-0001") == 832449711
