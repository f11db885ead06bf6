"""Files of prompts in each form, and the folders that prompts get."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.streaming import written
from ttom.prompts import StreamPrompt, read_prompts


def test_reading_each_format(tmp_path: Path) -> None:
    text = written(tmp_path, "\ufeff# title\r\nA cat moves left\r\n\r\n  Two dogs \r\n", "p.TXT")
    assert read_prompts(Path(text)) == [StreamPrompt(1, "A cat moves left"), StreamPrompt(2, "Two dogs")]
    lines = '{"prompt": "A cat", "id": 7, "seed": 3, "layout": "a/b.json", "note": 1}\n\n{"prompt": "猫", "id": null}\n'
    assert read_prompts(Path(written(tmp_path, lines, "p.jsonl"))) == [
        StreamPrompt(1, "A cat", id="7", seed=3, layout=tmp_path / "a/b.json"),
        StreamPrompt(2, "猫"),
    ]
    cells = '\ufeffid,prompt,seed\nfirst,"A cat sits, and two\ndogs sit",\n,A dog,12\n'
    assert read_prompts(Path(written(tmp_path, cells, "p.csv"))) == [
        StreamPrompt(1, "A cat sits, and two\ndogs sit", id="first"),
        StreamPrompt(2, "A dog", seed=12),
    ]


@pytest.mark.parametrize(
    ("prompt", "folder"),
    [
        (StreamPrompt(1, "A cat moves left"), "0001-a-cat-moves-left"),
        (StreamPrompt(12, "A cat", id="../Motion 1"), "0012-motion-1"),
        (StreamPrompt(3, "..."), "0003-prompt"),
        (StreamPrompt(4, "猫が走る。"), "0004-猫が走る"),
        (StreamPrompt(5, "x" * 99), "0005-" + "x" * 48),
        (StreamPrompt(12345, "word " * 20), "12345-" + "-".join(["word"] * 9)),
    ],
)
def test_folder_names(prompt: StreamPrompt, folder: str) -> None:
    assert prompt.folder == folder
