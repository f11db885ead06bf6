"""The checks of foreign plans: what is mended, what is a problem, and that nothing makes them fail."""

from __future__ import annotations

import json
import random
import re

import pytest

from ttom.layout.drafts import Checked, Draft, DraftObject, Limits, check_draft, check_objects
from ttom.layout.llm.answers import EnrichAnswer, LayoutAnswer, MetadataAnswer, OneCallAnswer, read_answer
from ttom.layout.llm.planner import stage_text
from ttom.layout.model import check_layout
from ttom.layout.phrases import count_problems, nearest_phrase, without_determiner

LIMITS = Limits(min_size=0.05, max_speed=2.5)
DOG = DraftObject("1", "dog", "dog")
STILL = (0.4, 0.4, 0.6, 0.6)


def check(*rectangles: tuple[float, float, float, float] | None, prompt: str = "a dog") -> Checked:
    frames = tuple((("1", rectangle),) if rectangle is not None else () for rectangle in rectangles)
    return check_draft(Draft((DOG,), frames), prompt, LIMITS, source="llm")


def test_what_is_right_stays() -> None:
    checked = check(*[STILL] * 6)
    assert checked.layout is not None
    assert (checked.problems, checked.changes, checked.boxes, checked.out_of_bounds) == ((), (), 6, 0)
    (item,) = checked.layout.objects
    assert {(frame.box.x0, frame.box.y1) for frame in item.key_frames} == {(0.4, 0.6)}
    assert item.visible == (0.0, 1.0)


def test_clamped_and_enlarged() -> None:
    checked = check((0.9, 0.5, 1.2, 0.7), *[(0.6, 0.5, 0.61, 0.52)] * 5)
    assert checked.layout is not None
    first, second = (frame.box for frame in checked.layout.objects[0].key_frames[:2])
    assert (first.x0, first.x1) == (0.9, 1.0)
    assert (second.width, second.height) == pytest.approx((0.05, 0.05))
    assert second.center == pytest.approx((0.605, 0.51))
    assert checked.out_of_bounds == 1
    assert checked.changes == (
        "dog (1): cut off at the edge of the picture",
        "dog (1): enlarged to the minimum size",
    )


def test_a_small_box_in_a_corner_grows_inwards() -> None:
    checked = check(*[(0.0, 0.99, 0.01, 1.0)] * 2)
    assert checked.layout is not None
    box = checked.layout.objects[0].key_frames[0].box
    assert (box.x0, box.x1, box.y0, box.y1) == pytest.approx((0.0, 0.05, 0.95, 1.0))


def test_leaving_and_coming_in_bound_the_visible_interval() -> None:
    gone, zero = (1.1, 0.4, 1.3, 0.6), (0.5, 0.5, 0.5, 0.5)
    for absent in (gone, zero, None):
        checked = check(absent, absent, absent, STILL, STILL, absent)
        assert checked.layout is not None
        assert checked.layout.objects[0].visible == (0.5, 0.9)
        assert len(checked.layout.objects[0].key_frames) == 2


def test_a_gap_is_bridged() -> None:
    checked = check(STILL, None, (0.6, 0.4, 0.8, 0.6))
    assert checked.layout is not None
    box = checked.layout.objects[0].box_at(0.5)
    assert box is not None
    assert box.x0 == pytest.approx(0.5)
    assert "continues in a straight line" in checked.changes[0]


def test_speed_counts_the_time_between_and_ignores_what_clamping_does() -> None:
    assert check(STILL, (0.4, 0.8, 0.6, 1.0)).layout is not None
    assert check(*[STILL] * 3, (-0.15, 0.4, 0.05, 0.6), None, None).problems[0].startswith("dog (1) jumps from frame 3")
    assert check(*[STILL] * 3, None, None, (0.0, 0.4, 0.2, 0.6)).layout is not None


def test_phrases_are_the_prompts_own() -> None:
    objects, problems, changes = check_objects(
        (DraftObject("1", "three happy Dogs", "dog"), DraftObject("2", "the ballon", "")), "A balloon and some dogs"
    )
    assert [(item.phrase, item.noun) for item in objects] == [("dogs", "dog"), ("balloon", "balloon")]
    assert not problems
    assert changes[0] == "three happy Dogs: called 'dogs', the prompt's words"


def test_too_many_too_few_and_whole_clauses() -> None:
    assert check_objects((), "a dog")[1] == ["no object is listed"]
    many = tuple(DraftObject(str(i), "dog", "dog") for i in range(49))
    assert "at most 48" in check_objects(many, "dogs")[1][0]
    long = DraftObject("1", "dog that runs very fast over the green hill", "dog")
    assert "whole clause" in check_objects((long,), "a dog that runs very fast over the green hill")[1][0]
    assert "has no id" in check_objects((DraftObject(" ", "dog", "dog"),), "a dog")[1][0]
    assert check_draft(Draft((DOG,), ()), "a dog", LIMITS, source="llm").problems == (
        "0 frames are listed; at least 2 are needed",
    )


@pytest.mark.parametrize(
    ("prompt", "phrase", "found"),
    [
        ("A shiny red car and a house", "shiny red car", "shiny red car"),
        ("A red car and a house", "shiny RED car", "red car"),
        ("Five rabbits hop", "rabbit", "rabbits"),
        ("Five rabbits hop", "Five rabbits", "rabbits"),
        ("A hot-air balloon", "hot air balloon", "hot-air balloon"),
        ("A pair of swans", "a pair of swans", "swans"),
        ("A dog", "cat", None),
        ("A dog", "", None),
        ("A girafe eats", "giraffe", "girafe"),
    ],
)
def test_nearest_phrase(prompt: str, phrase: str, found: str | None) -> None:
    assert nearest_phrase(prompt, phrase, "") == found


def test_determiners_go_but_something_stays() -> None:
    assert [without_determiner(text) for text in ("his two dogs", "a few birds", "3 cats", "one")] == [
        "dogs", "birds", "cats", "one",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("prompt", "phrases", "right"),
    [
        ("Three dogs run", "dogs dogs dogs", True),
        ("Three dogs run", "dogs dogs", False),
        ("Three dogs run", "cat", False),
        ("Three dogs run and another dog sleeps", "dogs dogs dogs dog", True),
        ("Three dogs run. The three dogs bark.", "dogs dogs dogs", True),
        ("Three dogs run past other dogs", "dogs dogs dogs dogs dogs", True),
        ("Several dogs run", "dogs dogs dogs dogs", True),
        ("Several dogs run", "dogs", False),
        ("A pair of sunglasses on a table", "sunglasses", True),
        ("A dozen eggs", "eggs", False),
        ("For five minutes a dog runs", "dog", True),
        ("A car from the year 1985 drives", "car", True),
        ("Dogs run", "dogs dogs dogs", True),
        ("Twenty-two birds", " ".join(["birds"] * 22), True),
    ],
)
def test_counts(prompt: str, phrases: str, right: bool) -> None:
    objects = [(phrase, phrase.removesuffix("s")) for phrase in phrases.split()]
    assert (not count_problems(prompt, objects)) is right


def test_counts_of_two_kinds_of_one_noun() -> None:
    prompt = "Two red cars and three blue cars"
    right = [("red cars", "car")] * 2 + [("blue cars", "car")] * 3
    assert not count_problems(prompt, right)
    assert not count_problems(prompt, [("cars", "car")] * 5)
    swapped = [("red cars", "car")] * 3 + [("blue cars", "car")] * 2
    assert len(count_problems(prompt, swapped)) == 2


def test_whatever_a_draft_holds_becomes_a_valid_layout_or_problems() -> None:
    chance = random.Random(0)
    sides = [-1e300, -2.0, -0.1, 0.0, 1e-9, 0.3, 0.5, 0.9999, 1.0, 1.1, 7.0, 1e300, float("inf"), float("nan")]
    valid = 0
    for _ in range(2000):
        objects = tuple(
            DraftObject(
                name, chance.choice(["dog", "two cats", "cat", "", "x" * 99]), chance.choice(["dog", "cat", ""])
            )
            for name in chance.sample("1234 ", chance.choice([0, 1, 2, 2, 3]))
        )
        ids = [item.id for item in objects] or ["1"]
        frames = []
        for _ in range(chance.randrange(8)):
            corner = (0.1, 0.2) if chance.random() < 0.8 else tuple(chance.choices(sides, k=2))
            frames.append(
                [(chance.choice(ids), (*corner, *chance.choices(sides, k=2))) for _ in range(chance.randrange(3))]
            )
        draft = Draft(objects, tuple(map(tuple, frames)))  # type: ignore[arg-type]
        checked = check_draft(draft, "cats and a dog", Limits(0.0, 50.0), source="llm")
        assert (checked.layout is None) == bool(checked.problems)
        if checked.layout is not None:
            check_layout(checked.layout, "cats and a dog")
            valid += 1
    for width in (1e-7, 1e-3):
        assert check(*[(0.5, 0.5, 0.5 + width, 0.6)] * 2).layout is not None
    assert valid > 5


MODELS = {
    "enrich": EnrichAnswer, "metadata": MetadataAnswer, "check-metadata": MetadataAnswer, "layout": LayoutAnswer,
    "check-layout": LayoutAnswer, "one-call": OneCallAnswer,
}  # fmt: skip


@pytest.mark.parametrize("stage", MODELS)
def test_the_examples_of_the_stage_texts_pass_our_own_checks(stage: str) -> None:
    pairs = re.findall(r"^Input: (.*)\nAnswer: (.*)$", stage_text(stage), re.MULTILINE)
    assert pairs
    for given, answered in pairs:
        data, answer = json.loads(given), read_answer(answered, MODELS[stage])
        if isinstance(answer, MetadataAnswer):
            assert not check_objects(tuple(item.draft() for item in answer.objects), data["prompt"])[1]
        elif isinstance(answer, LayoutAnswer):
            listed = (
                answer.objects if isinstance(answer, OneCallAnswer) else MetadataAnswer(objects=data["objects"]).objects
            )
            draft = answer.draft(tuple(item.draft() for item in listed), (720, 480))
            checked = check_draft(draft, data["prompt"], LIMITS, source="llm")
            assert (checked.problems, checked.out_of_bounds) == ((), 0)


def test_counts_are_those_of_the_counted_text() -> None:
    draft = Draft((DOG,), ((("1", STILL),),) * 2)
    enriched = "A dog runs past two cats in the dew"
    assert check_draft(draft, enriched, LIMITS, source="llm").problems
    assert not check_draft(draft, enriched, LIMITS, source="llm", counted="A dog runs").problems


@pytest.mark.parametrize(
    "item",
    [
        DraftObject("1\x1b[31m", "dog", "dog"),
        DraftObject("1", "dog\x07", "dog"),
        DraftObject("1", "dog", "dog\x00"),
        DraftObject("1", "dog\ud800", "dog"),
        DraftObject("1" * 201, "dog", "dog"),
        DraftObject("1", "d" * 201, "dog"),
    ],
)
def test_what_is_not_plain_text_is_a_problem_that_can_be_printed(item: DraftObject) -> None:
    frames = (((item.id, STILL),),) * 2
    checked = check_draft(Draft((item,), frames), "a dog", LIMITS, source="llm")
    assert checked.layout is None
    assert checked.problems
    assert all(problem.isprintable() and len(problem) < 400 for problem in checked.problems)
