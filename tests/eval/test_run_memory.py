"""A memory in a run: learned from in order, or frozen and only read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from eval.manifest import read_header, read_rows
from tests.eval.fake_worker import rows, videos
from ttom.memory.store import Store


def stream(replay: Callable, tmp_path: Path, run: str, *options: str) -> int:
    memory = ("--memory.path", str(tmp_path / f"memory-{run}"), "--memory.dtype", "float32")
    return replay("--out", str(tmp_path / run), "--streaming", *memory, *options)


def test_streaming_learns_in_order(toy: Callable, replay: Callable, tmp_path: Path) -> None:
    """All prompts of a direction have one key: the first inserts, each later one starts from the one before."""
    toy(6)
    assert stream(replay, tmp_path, "one") == 0
    values = [float(data.split()[-1]) for data in videos(tmp_path / "one").values()]
    assert values[0] == 0 and values == sorted(values) and len(set(values)) == 6
    with Store(tmp_path / "memory-one", read_only=True) as store:
        assert len(store) == 1
    assert rows(tmp_path / "one")["toy-00003"].memory_entries == ("1",)
    report = json.loads((tmp_path / "one/cases/toy-00003/report.json").read_text())
    assert report["memory"]["hit"] and report["memory"]["updated"] == [1]


def test_a_window_decides_what_a_prompt_has_learned_from(toy: Callable, replay: Callable, tmp_path: Path) -> None:
    toy(6)
    assert stream(replay, tmp_path, "three", "--window", "3") == 0
    values = [float(data.split()[-1]) for data in videos(tmp_path / "three").values()]
    assert values[:3] == [0, 0, 0] and 0 not in values[3:]


def test_streaming_goes_on(toy: Callable, replay: Callable, tmp_path: Path) -> None:
    toy(6)
    assert stream(replay, tmp_path, "whole") == 0
    assert stream(replay, tmp_path, "parts", "--limit", "2") == 0
    assert stream(replay, tmp_path, "parts") == 0
    assert videos(tmp_path / "parts") == videos(tmp_path / "whole")
    assert stream(replay, tmp_path, "parts", "--window", "2") == 2


def test_a_case_that_was_interrupted_does_not_learn_from_itself(
    toy: Callable, replay: Callable, tmp_path: Path
) -> None:
    """Killed after its adapter went into the memory and before its row was written."""
    toy(3)
    assert stream(replay, tmp_path, "whole") == 0
    assert stream(replay, tmp_path, "killed", "--limit", "1") == 0
    (tmp_path / "killed/manifest.jsonl").unlink()
    assert stream(replay, tmp_path, "killed") == 0
    assert videos(tmp_path / "killed") == videos(tmp_path / "whole")
    with Store(tmp_path / "memory-killed", read_only=True) as store:
        assert len(store) == 1


def test_a_frozen_memory_is_read_and_not_changed(
    toy: Callable, replay: Callable, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    toy(3)
    assert stream(replay, tmp_path, "fill") == 0
    before = {path: path.read_bytes() for path in (tmp_path / "memory-fill").rglob("*") if path.is_file()}
    read = ("--memory.path", str(tmp_path / "memory-fill"))
    assert replay(*read) == 0
    assert {path: path.read_bytes() for path in (tmp_path / "memory-fill").rglob("*") if path.is_file()} == before
    header = read_header(tmp_path / "run")
    assert header.label == "ttom + memory"
    assert header.memory_digest == header.provenance["memory_digest_after"]
    assert all(row.memory_entries == ("1",) for row in rows(tmp_path / "run").values())
    values = {data.split()[-1] for data in videos(tmp_path / "run").values()}
    assert len(values) == 1 and values != {b"0.000"}, "all start from the one entry"
    capsys.readouterr()
    with Store(tmp_path / "memory-fill") as store:
        store.delete(store.ids())
    assert replay(*read) == 2
    assert "memory_digest is" in capsys.readouterr().err


def test_a_memory_that_cannot_be_read(
    toy: Callable, replay: Callable, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    toy(2)
    assert replay("--memory.path", str(tmp_path / "none")) == 2
    assert "there is no memory in" in capsys.readouterr().err
    Store.create(tmp_path / "other", embedder="other", dimension=8).close()
    assert replay("--memory.path", str(tmp_path / "other")) == 2
    assert "has keys of the embedder other" in capsys.readouterr().err
    assert not list(read_rows(tmp_path / "run"))
