"""The limits on what comes from outside, and that each is a message rather than minutes of work."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ttom.config import PlannerConfig
from ttom.errors import UserError
from ttom.layout import limits
from ttom.layout.limits import check_prompt, parse_json, read_text, text_problem
from ttom.layout.planning import plan_prompt
from ttom.layout.rules import planner as rules


@pytest.mark.parametrize(
    ("prompt", "problem"),
    [
        ("", "is empty"),
        (" \n\t", "is empty"),
        ("...", "is empty"),
        ("?!", "is empty"),
        ("a cat " * 200_000, "has 1200000 characters"),
        ("A" * (limits.MAX_PROMPT + 1), f"has {limits.MAX_PROMPT + 1} characters"),
        ("a cat \ud800", "is not valid Unicode"),
        ("a cat\x00", r"U\+0000"),
        ("a cat \x1b]0;title\x07", r"U\+001B"),
        ("a cat \x9b31m", r"U\+009B"),
    ],
)
def test_prompts_that_are_refused(prompt: str, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=problem):
        check_prompt(prompt)
    monkeypatch.setattr(rules, "parse", lambda prompt: pytest.fail("it was read all the same"))
    with pytest.raises(UserError, match=problem):
        plan_prompt(prompt, 1.5, PlannerConfig())


@pytest.mark.parametrize("text", ["a cat", "猫", "zwei Kätzchen\r\n\tund", "一只猫 🐈‍⬛", "a\u2028b", "\ufeffcat"])
def test_plain_text(text: str) -> None:
    assert text_problem(text) is None
    check_prompt(text)


def test_files_are_read_up_to_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\xef\xbb\xbf" + b"x" * 97)
    monkeypatch.setattr(limits, "MAX_FILE", 100)
    assert read_text(path, "file", expected="text") == "x" * 97
    path.write_bytes(b"x" * 101)
    with pytest.raises(UserError, match="more than 100 bytes"):
        read_text(path, "file", expected="text")


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, problem in (
        ("pipe", "it is not a regular file"),
        ("none", "does not exist"),
        ("a\x00b", "cannot be read"),
    ):
        with pytest.raises(UserError, match=problem):
            read_text(tmp_path / name, "file", expected="text")
    (tmp_path / "latin").write_bytes("é".encode("latin-1"))
    with pytest.raises(UserError, match="not in UTF-8"):
        read_text(tmp_path / "latin", "file", expected="text")


@pytest.mark.parametrize("depth", [1, 2, 31, 32])
def test_json_up_to_a_depth(depth: int) -> None:
    text = "[" * depth + "]" * depth
    assert (parse_json(text) is not None) == (depth <= limits.MAX_DEPTH)
    assert parse_json(json.dumps({"a": [1, {"b": None}]})) == {"a": [1, {"b": None}]}


@pytest.mark.parametrize(
    "text", ["[" * 33 + "]" * 33, '{"a":' * 50 + "1" + "}" * 50, "[" * 100_000, "{", "1" * 5000, "nope"]
)
def test_json_that_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)


def test_too_many_objects_are_a_message() -> None:
    for prompt in ("Twenty dogs, twenty cats and twenty cows", "A " + "red " * 300 + "dog runs left"):
        with pytest.raises(UserError, match="at most 48 objects"):
            rules.plan(prompt, aspect=1.5)
