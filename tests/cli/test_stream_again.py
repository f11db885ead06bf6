"""`ttom stream` called again: what is kept, what is made anew, and what an interruption leaves."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from tests.cli.conftest import PROMPT
from tests.cli.streaming import FIRST, OTHER, record, times, written
from ttom import TTOM
from ttom.cli import main
from ttom.report import Report


@pytest.mark.parametrize("change", ["seed", "prompt", "method", "setting", "layout", "model", "dtype", "tiling"])
def test_what_decides_a_video_makes_it_anew_and_keeps_the_old_one(
    options: list[str], tmp_path: Path, change: str, tiny_folder: Path
) -> None:
    out, more = tmp_path / "run", ["--method", "base"]
    assert main(["plan", OTHER, "--out", str(tmp_path / "l.json")]) == 0
    row: dict[str, Any] = {"prompt": OTHER, "id": "x", "layout": "l.json"}
    assert main(["stream", written(tmp_path, json.dumps(row), "p.jsonl"), *options, *more]) == 0
    (folder,) = out.glob("x-*")
    before = times(out)
    if change == "seed":
        row["seed"] = 5
    elif change == "prompt":
        row["prompt"] = "The dog moves up"
    elif change == "method":
        more = []
    elif change == "setting":
        more += ["--sampler.guidance-scale", "1.5"]
    elif change == "dtype":
        more += ["--dtype", "bfloat16"]
    elif change == "tiling":
        more += ["--runtime.vae-tiling"]
    elif change == "layout":  # edited in its place
        path = tmp_path / "l.json"
        path.write_text(path.read_text().replace('"x0": 0.', '"x0": 0.0', 1))
    else:
        copy = shutil.copytree(tiny_folder, tmp_path / "other")
        weights = copy / "transformer" / "diffusion_pytorch_model.safetensors"
        state = load_file(weights)
        state["proj_out.bias"] += 1
        save_file(state, weights, metadata={"format": "pt"})
        more += ["--model", str(copy)]
    assert main(["stream", written(tmp_path, json.dumps(row), "p.jsonl"), *options, *more]) == 0
    assert record(out)[0]["status"] == "made"
    assert len(list(out.glob("x-*"))) == 2
    assert {name: time for name, time in times(out).items() if name.startswith(folder.name)} == before


def test_another_check_of_several_tries_makes_the_video_anew(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def finder(check: str, *_: Any) -> tuple[str, Any]:
        return check, lambda video, nouns: [[] for _ in video]

    monkeypatch.setattr("ttom.pipeline.find_finder", finder)
    prompts, out = written(tmp_path, OTHER), tmp_path / "run"
    for tries, check, status in (
        ("2", "one", "made"),
        ("2", "one", "kept"),
        ("2", "two", "made"),
        ("1", "one", "made"),
        ("1", "two", "kept"),
    ):
        given = ["--method", "base", "--tries", tries, "--check", check]
        assert main(["stream", prompts, *options, *given]) == 0
        assert record(out)[0]["status"] == status, (tries, check)
    assert len(list(out.glob("a-dog*"))) == 3


@pytest.mark.parametrize("change", ["report", "no video", "empty video", "other video"])
def test_half_a_folder_is_made_again(options: list[str], tmp_path: Path, change: str) -> None:
    out, same = tmp_path / "run", ["--method", "base", *options]
    prompts = written(tmp_path, OTHER)
    assert main(["stream", prompts, *same]) == 0
    (folder,) = out.glob("a-dog*")
    video = (folder / "video.mp4").read_bytes()
    if change == "report":
        (folder / "report.json").write_text('{"prompt": "A dog moves up"')
    elif change == "no video":
        (folder / "video.mp4").unlink()
    else:
        (folder / "video.mp4").write_bytes(b"" if change == "empty video" else video[:-1] + b"x")
    assert main(["stream", prompts, *same]) == 0
    assert record(out)[0]["status"] == "made"
    assert (folder / "video.mp4").read_bytes() == video


def test_a_prompt_inserted_in_front_makes_nothing_else_anew(options: list[str], tmp_path: Path) -> None:
    out, same = tmp_path / "run", ["--method", "base", *options]
    assert main(["stream", written(tmp_path, f"{OTHER}\n{PROMPT}"), *same]) == 0
    before = times(out)
    assert main(["stream", written(tmp_path, f"The dog moves up\n{PROMPT}\n{OTHER}"), *same]) == 0
    assert [row["status"] for row in record(out)] == ["made", "kept", "kept"]
    assert before.items() <= times(out).items()


def test_a_killed_prompt_does_not_find_its_own_entry(options: list[str], tmp_path: Path) -> None:
    """Its video is damaged after the memory took the adapter in; a prompt that comes twice still learns."""
    prompts, out = written(tmp_path, f"{OTHER}\n{OTHER}"), tmp_path / "run"
    assert main(["stream", prompts, *options]) == 0
    first = record(out)
    for row in first:
        (out / row["folder"] / "video.mp4").write_bytes(b"")
    assert main(["stream", prompts, *options]) == 0
    again = record(out)
    assert [row["hit"] for row in first] == [row["hit"] for row in again] == [False, True]
    assert first[0]["loss_first"] == again[0]["loss_first"]


def test_ctrl_c_then_going_on(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts, out = written(tmp_path, f"{PROMPT}\n{OTHER}\n{OTHER}\n"), tmp_path / "run"
    generate, calls = TTOM.generate, []

    def interrupted(self: TTOM, prompt: str, **given: Any) -> Any:
        calls.append(prompt)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return generate(self, prompt, **given)

    monkeypatch.setattr(TTOM, "generate", interrupted)
    assert main(["stream", prompts, *options]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert [row["status"] for row in record(out)] == ["made"]
    assert [path.name[:-9] for path in out.glob("*-*")] == [FIRST]
    assert main(["stream", prompts, *options]) == 0
    assert calls == [PROMPT, OTHER, OTHER, OTHER]
    assert [row["status"] for row in record(out)] == ["kept", "made", "made"]


def test_ctrl_c_while_writing_leaves_no_folder_that_counts(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts, out = written(tmp_path, f"{OTHER}\n"), tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(Report, "save", _press)
        assert main(["stream", prompts, "--method", "base", *options]) == 130
    assert list(out.glob("*/*")) == []
    assert main(["stream", prompts, "--method", "base", *options]) == 0
    assert record(out)[0]["status"] == "made"


def _press(*_: Any) -> None:
    raise KeyboardInterrupt
