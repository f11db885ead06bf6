"""EmojiWorld's held-out prompts and their facts."""

from __future__ import annotations

from eval.suites import Options, load_suite
from ttom.emojiworld.nouns import INDEX
from ttom.emojiworld.prompts import prompts


def test_emojiworld_is_the_held_out_prompts_with_their_facts() -> None:
    suite = load_suite("emojiworld", Options(limit=6))
    assert [case.id for case in suite.cases[:2]] == ["motion-000", "motion-001"]
    assert [case.prompt for case in suite.cases] == [prompt.text for prompt in prompts("test", 6)]
    for case, prompt in zip(suite.cases, prompts("test", 6), strict=True):
        assert tuple(INDEX[name] for name in case.facts["nouns"]) == prompt.nouns
        directions = [(INDEX[name], direction) for name, direction in case.facts.get("directions", ())]
        assert tuple(directions) == prompt.directions
        assert ("relation" in case.facts) == (prompt.suite == "relation")
        assert [(INDEX[name], number) for name, number in case.facts.get("counts", ())] == list(prompt.counts)


def test_emojiworld_grows_and_keeps_its_cases() -> None:
    few = load_suite("emojiworld", Options())
    more = load_suite("emojiworld", Options(limit=101))
    assert len(few.cases) == 300 and len(more.cases) == 303
    assert set(case.id for case in few.cases) < set(case.id for case in more.cases)
    assert {case.id: case for case in more.cases}["count-099"] == few.cases[-1]


def test_tuning_prompts_are_other_cases() -> None:
    tune, test = (load_suite(name, Options(limit=5)) for name in ("emojiworld-tune", "emojiworld"))
    assert not {case.id for case in tune.cases} & {case.id for case in test.cases}
    assert not {case.prompt for case in tune.cases} & {case.prompt for case in test.cases}
