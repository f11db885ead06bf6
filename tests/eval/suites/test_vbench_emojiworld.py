"""VBench's prompts that EmojiWorld's vocabulary covers."""

from __future__ import annotations

from pathlib import Path

from eval.suites import Options, load_suite
from tests.eval.suites.vbench_files import vbench


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
