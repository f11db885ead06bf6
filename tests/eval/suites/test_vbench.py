"""VBench's prompts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.eval.suites.vbench_files import vbench
from ttom.errors import UserError


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
