"""`ttom generate` and `ttom plan` end to end on the tiny random pipeline."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import PROMPT
from ttom import video as videos
from ttom.backbones.wan import WanBackbone
from ttom.cli import main
from ttom.cli.commands import unknown_note
from ttom.cli.progress import ProgressDisplay
from ttom.layout.model import load_layout
from ttom.report import Report
from ttom.result import FILES


def frames_of(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec.name, stream.pix_fmt) == ("h264", "yuv420p")
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)])


def test_generate_writes_all_files(small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "deep" / "out"
    assert main(["generate", PROMPT, "--out", str(out), "--seed", "3", *small]) == 0
    assert sorted(path.name for path in out.iterdir()) == sorted(FILES)
    printed = capsys.readouterr()
    for name in FILES:
        assert str(out / name) in printed.out
    assert printed.err == ""  # no noise of libraries, no bars off a terminal

    video, overlay = frames_of(out / "video.mp4"), frames_of(out / "overlay.mp4")
    assert video.shape == overlay.shape == (5, 480, 960, 3)
    assert np.abs(video.astype(int) - overlay).max() > 60
    assert Image.open(out / "attention.png").width > 300
    layout = load_layout(out / "layout.json")
    assert [group.noun for group in layout.groups()] == ["balloon", "house"]
    report = Report.load(out / "report.json")
    assert (report.prompt, report.method, report.seed) == (PROMPT, "ttom", 3)
    assert report.layout_source == "rules"
    assert report.provenance.settings.given["tto.blocks"] == [1, 2]
    assert report.planner is not None and report.planner.notes == layout.notes
    assert report.video_sha256 == hashlib.sha256((out / "video.mp4").read_bytes()).hexdigest()


def test_generate_names_what_the_layout_leaves_out(
    small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompt = "A red balloon moves from left to right in a blue house"
    assert main(["generate", prompt, "--out", str(tmp_path / "out"), *small]) == 0
    assert "note: not planned: blue house (no box" in capsys.readouterr().err


def test_layout_file_is_followed(small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan, out = tmp_path / "plan.json", tmp_path / "out"
    assert main(["plan", PROMPT, "--out", str(plan), "--draw", str(tmp_path / "plan.png")]) == 0
    assert str(plan) in capsys.readouterr().out
    assert Image.open(tmp_path / "plan.png").format == "PNG"
    assert main(["generate", PROMPT, "--layout", str(plan), "--out", str(out), *small]) == 0
    assert json.loads((out / "report.json").read_text())["layout_source"] == "file"
    assert load_layout(out / "layout.json").objects == load_layout(plan).objects


def test_words_that_the_model_does_not_know_are_noted(
    small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompt = "A dog above a house with the nebula"
    assert main(["generate", prompt, "--method", "base", "--out", str(tmp_path), *small]) == 0
    assert capsys.readouterr().err == "note: the model does not know 'nebula'; it has no effect on the video\n"


def test_several_unknown_words_are_one_note() -> None:
    expected = "the model does not know 'nebula', 'comet'; they have no effect on the videos"
    assert unknown_note(["nebula", "comet"], "the videos") == expected


def test_what_is_not_encoded_is_noted(small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prompt = "2 dogs above a house " + "and a cat " * 9 + "at sunset"
    assert main(["generate", prompt, "--out", str(tmp_path), *small]) == 0
    length = json.loads((tmp_path / "report.json").read_text())["sampler"]["max_sequence_length"]
    notes = capsys.readouterr().err
    assert f"note: the model reads {length} tokens of the prompt, not '" in notes and "at sunset'" in notes
    assert "'2'" not in notes  # the layout has two dogs
    assert json.loads((tmp_path / "report.json").read_text())["cut_off"].endswith("at sunset")


def test_an_unknown_adjective_is_no_obstacle(
    small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", "A crimson dog above a house", "--out", str(tmp_path), *small]) == 0
    assert "note: the model does not know 'crimson'" in capsys.readouterr().err


def test_a_long_prompt_in_any_script_draws_quietly(
    small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompt = "A dog above a house. 猫 " + "very " * 300
    assert main(["generate", prompt, "--method", "base", "--out", str(tmp_path), *small]) == 0
    assert "Warning" not in capsys.readouterr().err
    assert (tmp_path / "attention.png").is_file()


def test_plan_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", PROMPT]) == 0
    layout = json.loads(capsys.readouterr().out)
    assert layout["version"] == 1
    assert {item["noun"] for item in layout["objects"]} == {"balloon", "house"}


def test_base_without_a_layout_clears_what_an_earlier_run_left(small: list[str], tmp_path: Path) -> None:
    (tmp_path / "overlay.mp4").write_text("old")
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["generate", "slowly and beautifully", "--method", "base", "--out", str(tmp_path), *small]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.txt", "report.json", "video.mp4"]


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_in_the_optimization(
    small: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    sent: signal.Signals,
) -> None:
    seen: list[str] = []

    def press(self: ProgressDisplay, stage: str, *_: Any) -> None:
        seen.append(stage)
        if stage == "optimize" and seen.count("optimize") == 2:
            os.kill(os.getpid(), sent)

    monkeypatch.setattr(ProgressDisplay, "__call__", press)
    before = signal.getsignal(sent)
    assert main(["generate", PROMPT, "--out", str(tmp_path / "out"), *small]) == 130
    assert signal.getsignal(sent) is before
    assert "interrupted" in capsys.readouterr().err
    assert "decode" not in seen
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("earlier", [False, True])
def test_ctrl_c_while_writing_leaves_no_half_video(
    small: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, earlier: bool
) -> None:
    if earlier:
        (tmp_path / "video.mp4").write_bytes(b"whole")
    write = videos.write_video

    def interrupted(video: np.ndarray, path: Path, fps: int) -> None:
        if path.name == "overlay.mp4":
            path.write_bytes(b"half")
            raise KeyboardInterrupt
        write(video, path, fps)

    monkeypatch.setattr(videos, "write_video", interrupted)
    assert main(["generate", PROMPT, "--out", str(tmp_path), *small]) == 130
    left = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert left == ({"video.mp4": b"whole"} if earlier else {})


def test_ctrl_c_in_decoding(small: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(WanBackbone, "decode", interrupted)
    assert main(["generate", PROMPT, "--out", str(tmp_path), *small]) == 130
    assert list(tmp_path.iterdir()) == []


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_shows_every_stage_and_the_loss(
    small: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    assert main(["generate", PROMPT, "--out", str(tmp_path), *small]) == 0
    for words in ("planning", "loading", "optimizing", "sampling", "decoding", "loss 0.", "4/4", "1/1"):
        assert words in screen.getvalue(), words


def test_quiet_shows_nothing(small: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    assert main(["generate", PROMPT, "--out", str(tmp_path), "--quiet", *small]) == 0
    assert screen.getvalue() == ""
