"""EmojiWorld-Compose: enough prompts of every kind, two splits that share nothing, and both editions of the world."""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest

from eval.suites import Options, Suite, load_suite
from eval.suites.emojiworld_compose import build
from eval.types import Case
from ttom.emojiworld.compose import NEVER_TRAINED
from ttom.emojiworld.detector import detect, load_detector
from ttom.emojiworld.editions import CURRENT, EDITIONS, FIRST, SECOND, Edition
from ttom.emojiworld.facts import Facts, Split, split_of
from ttom.emojiworld.judging import all_hold, judge
from ttom.emojiworld.prompts import COMPOSE_KINDS, CONTROLS, SEEDS, can_say, scene_prompts
from ttom.emojiworld.render import Renderer, frame_times, pack
from ttom.errors import UserError

both_editions = pytest.mark.parametrize("edition", EDITIONS.values(), ids=["e1", "e2"])


@cache
def whole(split: Split, number: int) -> Suite:
    return build(split, Options(), EDITIONS[number])


def facts(case: Case) -> Facts:
    return Facts.from_json(case.facts)


@both_editions
@pytest.mark.parametrize("split", ["test", "tune"])
def test_every_kind_has_at_least_30_prompts_or_is_counted_as_left_out(split: Split, edition: Edition) -> None:
    suite = whole(split, edition.number)
    made, left_out = Counter(case.category for case in suite.cases), Counter(each.category for each in suite.dropped)
    assert set(made) | set(left_out) == set(COMPOSE_KINDS) and not set(made) & set(left_out)
    assert min(made.values()) >= 30 and all(count >= 30 for count in left_out.values())
    assert set(left_out) == ({"color_binding", "turn"} if edition is FIRST else set())
    assert len({case.prompt for case in suite.cases}) == len(suite.cases), "no text twice"
    by_kind = {kind: {facts(case) for case in suite.cases if case.category == kind} for kind in made}
    assert min(len(found) for found in by_kind.values()) >= 20, "few facts twice"


def test_the_kinds_are_those_that_are_never_trained_and_four_controls() -> None:
    assert set(COMPOSE_KINDS) == {*NEVER_TRAINED, *CONTROLS} and set(CONTROLS) < set(SECOND.kinds)


@both_editions
def test_the_splits_share_no_prompt_and_no_scene(edition: Edition) -> None:
    test, tune = (whole(split, edition.number).cases for split in ("test", "tune"))
    assert not {case.prompt.lower() for case in test} & {case.prompt.lower() for case in tune}
    assert not {facts(case) for case in test} & {facts(case) for case in tune}
    assert not {case.id for case in test} & {case.id for case in tune}
    for split, cases in (("test", test), ("tune", tune)):
        for case in cases:
            shown = facts(case).combinations()
            assert shown and {split_of(*combination) for combination in shown} == {split}, case.prompt


@both_editions
def test_prompts_speak_the_words_of_their_edition(edition: Edition) -> None:
    known = {*edition.vocabulary(), "zigzag"}
    for case in whole("test", edition.number).cases:
        assert set(case.prompt.lower().replace(",", " ").split()) <= known, case.prompt


@both_editions
def test_layouts_show_every_thing_of_the_scene(edition: Edition) -> None:
    for case in whole("tune", edition.number).cases:
        assert case.layout is not None and case.layout.prompt == case.prompt
        assert len(case.layout.objects) == sum(subject.count for subject in facts(case).subjects)


def test_seeds_leave_room_for_tries() -> None:
    seeds = sorted(case.seed for case in whole("test", 2).cases)
    assert min(b - a for a, b in zip(seeds[:-1], seeds[1:], strict=True)) >= SEEDS


def test_a_case_does_not_depend_on_what_else_was_asked_for() -> None:
    few = load_suite("emojiworld-compose", Options(limit=2, categories=("zigzag",)))
    more = load_suite("emojiworld-compose", Options(limit=45))
    assert len(few.cases) == 2 and few.revision == more.revision
    assert set(few.cases[i].model_dump_json() for i in (0, 1)) <= {case.model_dump_json() for case in more.cases}
    assert Counter(case.category for case in more.cases)["zigzag"] == 45


def test_the_planners_layouts_are_another_revision() -> None:
    given = load_suite("emojiworld-compose-tune", Options(limit=1))
    planned = load_suite("emojiworld-compose-tune", Options(limit=1, layouts="planner"))
    assert all(case.layout is None for case in planned.cases) and given.revision != planned.revision
    assert [case.facts for case in planned.cases] == [case.facts for case in given.cases]
    plain = load_suite("emojiworld", Options(limit=1, layouts="planner"))
    assert plain == load_suite("emojiworld", Options(limit=1)), "a suite without layouts is the same"


def test_samples_of_a_prompt_share_no_noise_with_others() -> None:
    few = [case for case in build("test", Options(samples=2), FIRST).cases if case.category == "zigzag"]
    assert [case.id for case in few[:3]] == ["e1-zigzag-000", "e1-zigzag-000-1", "e1-zigzag-001"]
    assert few[0].prompt == few[1].prompt and few[0].facts == few[1].facts
    seeds = sorted(case.seed for case in build("test", Options(samples=4), SECOND).cases)
    assert min(b - a for a, b in zip(seeds[:-1], seeds[1:], strict=True)) >= 4, "room for four tries"
    with pytest.raises(UserError, match="`samples` is 5"):
        build("test", Options(samples=5), SECOND)


def test_true_renders_of_the_scenes_show_every_fact_and_those_of_other_prompts_none() -> None:
    """By the embedded detector, on three scenes of each kind that it knows."""
    detector = load_detector()
    kinds = [kind for kind in COMPOSE_KINDS if can_say(CURRENT, kind)]
    prompts = scene_prompts("test", 3, kinds, CURRENT)
    videos = Renderer()(pack([prompt.scene for prompt in prompts]), frame_times())[0].transpose(1, 2)
    seen = [detect(detector, video, colors=True) for video in videos]
    shown = [all_hold(judge(prompt.facts, frames)) for prompt, frames in zip(prompts, seen, strict=True)]
    assert sum(shown) >= len(shown) - 1, [
        prompt.text for prompt, holds in zip(prompts, shown, strict=True) if not holds
    ]
    others = zip(prompts, [*seen[1:], seen[0]], strict=True)
    assert not any(all_hold(judge(prompt.facts, frames)) for prompt, frames in others)
