"""What makes two runs, or two cases, the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.eval.fake_worker import rows, tries, videos


def test_a_changed_setting_is_another_run(
    toy: Callable, replay: Callable, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    toy(2)
    assert replay() == 0
    before = videos(tmp_path / "run")
    assert replay("--tto.lr", "0.5") == 2
    assert "tto.lr is 0.0001 there and 0.5 here" in " ".join(capsys.readouterr().err.split())
    assert replay(method="base") == 2
    assert "method is ttom there and base here" in capsys.readouterr().err
    assert replay("--runtime.vae-tiling") == 2
    assert "vae_tiling is False there and True here" in capsys.readouterr().err
    assert videos(tmp_path / "run") == before


def test_a_prompt_that_changed_is_made_again(toy: Callable, replay: Callable, tmp_path: Path) -> None:
    prompts = tmp_path / "mine.jsonl"
    lines = ['{"prompt": "A cat moves left", "id": "a"}', '{"prompt": "A dog moves left", "id": "b"}']
    prompts.write_text("\n".join(lines))
    options = ("--suite", "prompts", "--data", str(prompts))
    assert replay(*options) == 0
    prompts.write_text("\n".join(lines).replace("A dog", "A horse"))
    assert replay(*options) == 0
    counts = [len(list((tmp_path / "tries" / name).iterdir())) for name in ("a", "b")]
    assert counts == [1, 2]
    assert rows(tmp_path / "run")["b"].case.prompt == "A horse moves left"


def test_facts_that_changed_are_taken_over_without_a_new_video(toy: Callable, replay: Callable, tmp_path: Path) -> None:
    toy(2)
    assert replay() == 0
    before = (tmp_path / "run/manifest.jsonl").read_bytes()
    assert replay() == 0 and (tmp_path / "run/manifest.jsonl").read_bytes() == before
    toy(2, {1: "another fact"})
    assert replay() == 0
    assert rows(tmp_path / "run")["toy-00001"].case.facts == {"behavior": "another fact"}
    assert [tries(tmp_path, number) for number in range(2)] == [1, 1]
