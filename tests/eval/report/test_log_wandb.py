"""Tables and videos in W&B, offline."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eval.report.__main__ import main


def test_wandb_gets_tables_and_videos_offline(runs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))  # no key of this machine
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    assert main([runs[0], "--out", str(tmp_path / "out"), "--wandb", "ttom-test"]) == 0
    places = list((tmp_path / "out" / "wandb").glob("offline-run-*"))
    assert len(places) == 1
    assert len(list(places[0].glob("files/media/videos/**/*.mp4"))) == 12
    tables = [json.loads(path.read_text()) for path in places[0].glob("files/media/table/*.table.json")]
    cases = next(table for table in tables if "prompt" in table["columns"])
    assert len(cases["data"]) == 12 and "all_facts (proxy)" in cases["columns"]
