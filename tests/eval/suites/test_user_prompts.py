"""A file of the user's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eval.suites import Options, load_suite
from ttom.errors import UserError


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
