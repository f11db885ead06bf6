"""VBench's prompts, EmojiWorld's, and a user's own file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eval.suites import Options, Suite, load_suite
from ttom.emojiworld.nouns import INDEX
from ttom.emojiworld.prompts import prompts
from ttom.errors import UserError

ENTRIES = [
    {"prompt_en": "In a still frame, a stop sign", "dimension": ["temporal_flickering"]},
    {"prompt_en": "A fantasy landscape", "dimension": ["overall_consistency", "aesthetic_quality"]},
    {"prompt_en": "a fantasy landscape", "dimension": ["overall_consistency"]},
    {"prompt_en": "a red bus", "dimension": ["color"], "auxiliary_info": {"color": {"color": "red"}}},
    {"prompt_en": "a red bus", "dimension": ["object_class"], "auxiliary_info": {"object_class": {"object": "bus"}}},
]


def vbench(folder: Path, entries: object = ENTRIES, **options: object) -> Suite:
    (folder / "VBench_full_info.json").write_text(entries if isinstance(entries, str) else json.dumps(entries))
    return load_suite("vbench", Options(data=folder, **options))


def test_vbench_names_five_videos_a_prompt(tmp_path: Path) -> None:
    suite = vbench(tmp_path)
    assert len(suite.cases) == 4 * 5 and len({case.seed for case in suite.cases}) == 20
    names = [case.video for case in suite.cases if case.prompt == "a red bus"]
    assert names == [f"vbench/a red bus-{sample}.mp4" for sample in range(5)]
    bus = suite.cases[-1]
    assert bus.facts["dimension"] == ["color", "object_class"], "entries with one prompt are one case"
    assert bus.facts["auxiliary_info"] == {"color": {"color": "red"}, "object_class": {"object": "bus"}}


def test_prompts_that_differ_only_in_case_are_different_cases(tmp_path: Path) -> None:
    suite = vbench(tmp_path)
    both = [case for case in suite.cases if case.prompt.lower() == "a fantasy landscape"]
    assert len({case.id.lower() for case in both}) == 10


def test_more_samples_are_added_to_a_run(tmp_path: Path) -> None:
    few, more = vbench(tmp_path), vbench(tmp_path, samples=25, categories=("temporal_flickering",))
    assert len(more.cases) == 25 and more.cases[:5] == few.cases[:5]
    assert few.revision == more.revision


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ("{", "is not JSON"),
        ([], "is not a list of prompts"),
        ([{"prompt_en": "a bus"}], "entry 0 .* has no prompt with dimensions"),
        ([{"prompt_en": "a bus", "dimension": ["color"], "auxiliary_info": 1}], "auxiliary_info"),
        ([{"prompt_en": "a/b", "dimension": ["color"]}], "prompts that can be file names"),
        ([{"prompt_en": "b" * 250, "dimension": ["color"]}], "prompts that can be file names"),
    ],
)
def test_vbench_lists_that_cannot_be_used(tmp_path: Path, entries: object, message: str) -> None:
    with pytest.raises(UserError, match=f"(?s){message}"):
        vbench(tmp_path, entries)


def test_what_emojiworld_covers_of_vbench(tmp_path: Path) -> None:
    both = {"object_a": "bus", "object_b": "car", "relationship": "on the left of"}
    entries = [
        {"prompt_en": "a bird and a cat", "dimension": ["multiple_objects"],
         "auxiliary_info": {"multiple_objects": {"object": "bird and cat"}}},
        {"prompt_en": "a bus on the left of a car, front view", "dimension": ["spatial_relationship"],
         "auxiliary_info": {"spatial_relationship": {"spatial_relationship": both}}},
        {"prompt_en": "a zebra", "dimension": ["object_class"],
         "auxiliary_info": {"object_class": {"object": "zebra"}}},
        {"prompt_en": "a bird", "dimension": ["object_class"]},
        {"prompt_en": "a red bus", "dimension": ["color"], "auxiliary_info": {"color": {"color": "red"}}},
    ]  # fmt: skip
    vbench(tmp_path, entries)
    suite = load_suite("vbench-emojiworld", Options(data=tmp_path))
    assert [case.facts["nouns"] for case in suite.cases] == [["bird", "cat"], ["bus", "car"]]
    assert suite.cases[1].facts["relation"] == ["bus", "car", "left"]
    reasons = {dropped.prompt: dropped.reason for dropped in suite.dropped}
    assert reasons == {"a zebra": "no sprite for 'zebra'", "a bird": "VBench's list does not name its objects"}
    everything = {case.id: case for case in vbench(tmp_path, entries).cases}
    for case in suite.cases:
        assert (everything[case.id].seed, everything[case.id].video) == (case.seed, case.video)


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


def test_a_users_file(tmp_path: Path) -> None:
    rows = [
        {"prompt": "A cat moves left", "id": "cat", "seed": 7},
        {"prompt": "Two dogs"},
        {"prompt": "Two dogs"},
        {"prompt": "三只猫", "id": "../three"},
    ]
    file = tmp_path / "mine.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    cases = load_suite("prompts", Options(data=file)).cases
    assert (cases[0].id, cases[0].seed, cases[0].video) == ("cat", 7, "prompts/cat.mp4")
    assert cases[1].id.startswith("two-dogs-") and cases[2].id == f"{cases[1].id}-2"
    assert cases[1].seed != cases[2].seed
    assert cases[3].id.startswith("three-")
    file.write_text("\n".join(map(json.dumps, rows[::-1])))
    again = {case.id: case for case in load_suite("prompts", Options(data=file)).cases}
    assert again == {case.id: case for case in cases}, "whatever the order"


def test_a_users_file_is_needed() -> None:
    with pytest.raises(UserError, match="needs a file of prompts"):
        load_suite("prompts", Options())
