"""Reading what a language model wrote: thoughts, fences, broken JSON, and no more work than the text is long."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.chat_server import one_call
from ttom.layout.llm import answers
from ttom.layout.llm.answers import AnswerError, EnrichAnswer, OneCallAnswer, read_answer, without_thoughts


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("plain", "plain"),
        ("<think>a</think>b", "b"),
        ("a<think>x</think>b<think>y</think>c", "abc"),
        ("a<think>never closed", "a"),
        ("a<think>x</think>b<think>never closed", "ab"),
        ("the opening tag was swallowed</think>b", "b"),
        ("", ""),
    ],
)
def test_thoughts_are_dropped(text: str, rest: str) -> None:
    assert without_thoughts(text) == rest


class _CountedText(str):
    """Counts the characters that `find` may have passed over."""

    looked_at = 0

    def find(self, what: str, start: int = 0, *rest: Any) -> int:  # type: ignore[override]
        found = super().find(what, start, *rest)
        _CountedText.looked_at += (found if found >= 0 else len(self)) - start
        return found


@pytest.mark.parametrize("text", ["<think>" * 20_000, "<think>x</think>" * 20_000, "<think>" + "x" * 300_000])
def test_each_character_is_looked_at_once(text: str) -> None:
    _CountedText.looked_at = 0
    assert without_thoughts(_CountedText(text)) == ""
    assert _CountedText.looked_at <= 2 * len(text)


def test_the_number_of_starts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = 0
    real = json.JSONDecoder.raw_decode

    def counted(self: json.JSONDecoder, text: str, position: int = 0) -> Any:
        nonlocal tries
        tries += 1
        return real(self, text, position)

    monkeypatch.setattr(json.JSONDecoder, "raw_decode", counted)
    for text in ("{" * 150_000, '{"a":[1,' * 15_000, '{"' + "{" * 150_000):
        tries = 0
        with pytest.raises(AnswerError, match="no complete JSON object"):
            read_answer(text, EnrichAnswer)
        assert tries <= 100


def test_an_answer_after_words_and_in_a_fence() -> None:
    text = f"Sure {{here}} it is:\n```json\n{json.dumps(one_call())}\n```"
    assert len(read_answer(text, OneCallAnswer).frames) == 6


def test_the_largest_object_that_fits_is_taken() -> None:
    assert read_answer('{} {"prompt": "a cat", "note": 1} {"prompt": "x"}', EnrichAnswer).prompt == "a cat"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("no object", "no complete JSON object"),
        ('{"prompt": "cut', "no complete JSON object"),
        ('{"prompt": 3.5, "x": []}', ""),
        ('{"prompt": "\\ud800"}', "invalid Unicode"),
        ("x" * 200_001, "200001 characters"),
        ('{"prompt": []}', "prompt: "),
    ],
)
def test_what_is_no_answer(text: str, problem: str) -> None:
    if not problem:
        assert read_answer(text, EnrichAnswer).prompt == "3.5"
        return
    with pytest.raises(AnswerError, match=problem):
        read_answer(text, EnrichAnswer)


def test_a_layout_needs_six_frames() -> None:
    with pytest.raises(AnswerError, match="5 entries instead of 6"):
        read_answer(json.dumps(one_call(frames=one_call()["frames"][:5])), OneCallAnswer)


def test_the_schema_names_every_field_and_nothing_else() -> None:
    schema = answers.response_schema(OneCallAnswer)["json_schema"]["schema"]
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == {"object_motion", "camera_motion", "frames", "objects"}
