"""`python -m eval.replay` with a worker that makes no videos: what is made, kept, refused, lost and tried again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from eval.manifest import read_header
from tests.eval.fake_worker import rows, tries, videos
from ttom.guidance.registry import METHODS, Method


def test_a_run_and_its_files(toy: Callable, replay: Callable, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    toy(3, {1: "refuse"})
    assert replay() == 0
    run = tmp_path / "run"
    assert sorted(videos(run)) == ["videos/toy/00000.mp4", "videos/toy/00002.mp4"]
    assert {path.name for path in run.iterdir()} == {
        "run.json", "manifest.jsonl", "videos", "cases", ".lock", ".staging"
    }  # fmt: skip
    assert {path.name for path in (run / "cases/toy-00000").iterdir()} == {
        "report.json", "layout.json", "attention.png"
    }  # fmt: skip
    made = rows(run)["toy-00000"]
    assert (made.status, made.frames, made.height, made.width, made.device) == ("made", 5, 32, 48, "fake")
    report = json.loads((run / "cases/toy-00000/report.json").read_text())
    assert report["video_sha256"] == made.sha256 and report["planner"]["planner"] == "rules"
    assert rows(run)["toy-00001"].error == "no such noun"
    header = read_header(run)
    assert header.label == "ttom" and header.settings["tto"]["blocks"] and header.provenance["command"]
    assert "device" not in header.provenance, "the workers compute, and each row names its worker's device"
    assert "2 made, 0 kept, 1 refused, 0 failed" in capsys.readouterr().out


def test_a_second_call_makes_only_what_is_missing(toy: Callable, replay: Callable, tmp_path: Path) -> None:
    toy(4, {1: "refuse", 2: "fail once"})
    assert replay("--limit", "3") == 1, "one case failed"
    before = videos(tmp_path / "run")
    (tmp_path / "run/videos/toy/00000.mp4").unlink()
    toy(4, {1: "refuse", 2: "fail once"})
    assert replay() == 0
    assert [tries(tmp_path, number) for number in range(4)] == [2, 1, 2, 1]
    assert videos(tmp_path / "run").items() >= before.items()
    assert rows(tmp_path / "run")["toy-00002"].status == "made"


def test_order_and_size_of_the_suite_do_not_matter(toy: Callable, replay: Callable, tmp_path: Path) -> None:
    toy(6)
    assert replay("--limit", "2") == 0 and replay() == 0
    assert replay("--out", str(tmp_path / "shard"), "--shard", "2/3") == 0
    assert replay("--out", str(tmp_path / "shard"), "--shard", "1/3") == 0
    assert sorted(rows(tmp_path / "shard")) == ["toy-00000", "toy-00001", "toy-00003", "toy-00004"]
    assert replay("--out", str(tmp_path / "shard"), "--shard", "2/2") == 0, "another division goes on too"
    assert replay("--out", str(tmp_path / "shard")) == 0
    assert videos(tmp_path / "shard") == videos(tmp_path / "run")


def test_a_toy_method_needs_no_change(
    toy: Callable, replay: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    toy(1)
    assert replay(method="toy-method") == 2
    assert "toy-method" in capsys.readouterr().err
    monkeypatch.setitem(METHODS, "toy-method", Method("toy-method", lambda inputs: []))
    assert replay(method="toy-method") == 0
    assert read_header(tmp_path / "run").label == "toy-method"
    assert b"toy-method" in next(iter(videos(tmp_path / "run").values()))


def test_plugins_register_suites_and_methods(
    toy: Callable, replay: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    toy(1)
    monkeypatch.setitem(METHODS, "other", METHODS["base"])  # so that what the plugin registers is forgotten again
    monkeypatch.delitem(METHODS, "other")
    lines = ["from ttom.guidance import Method, register_method", "register_method(Method('other', lambda inputs: []))"]
    (tmp_path / "ttom_test_plugin.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    assert replay("--plugin", "ttom_test_plugin", method="other") == 0
    assert replay("--plugin", "ttom_no_plugin") == 2
    assert "there is no module 'ttom_no_plugin'" in capsys.readouterr().err


def test_prompts_without_a_layout(toy: Callable, replay: Callable, tmp_path: Path) -> None:
    """Refused by a method that needs one, before any worker; made by the plain model."""
    (tmp_path / "mine.txt").write_text("A cat moves left\nslowly\n")
    options = ("--suite", "prompts", "--data", str(tmp_path / "mine.txt"))
    assert replay(*options) == 0
    assert sorted(row.status for row in rows(tmp_path / "run").values()) == ["made", "refused"]
    assert replay(*options, "--out", str(tmp_path / "base"), method="base") == 0
    assert {row.status for row in rows(tmp_path / "base").values()} == {"made"}


def test_files_that_a_disk_takes_for_one(
    toy: Callable, replay: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = [{"prompt_en": text, "dimension": ["scene"]} for text in ("A cat moves left", "a cat moves left")]
    (tmp_path / "VBench_full_info.json").write_text(json.dumps(entries))
    options = ("--suite", "vbench", "--data", str(tmp_path), "--samples", "1")
    assert replay(*options) == 0 and len(videos(tmp_path / "run")) == 2
    exists = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: True if path.name == ".LOCK" else exists(path))
    assert replay(*options, "--out", str(tmp_path / "mac")) == 0
    (refused,) = (row for row in rows(tmp_path / "mac").values() if row.status == "refused")
    assert refused.case.prompt == "a cat moves left" and "file name" in str(refused.error)
    assert list(videos(tmp_path / "mac")) == ["videos/vbench/A cat moves left-0.mp4"]


def test_failures_in_a_row_end_the_run(
    toy: Callable, replay: Callable, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    toy(30, dict.fromkeys(range(5, 30), "fail always"))
    assert replay() == 2
    assert "10 cases in a row failed; the last error: RuntimeError at toy.py:1" in capsys.readouterr().err
    assert len(rows(tmp_path / "run")) == 15


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--model", "{tmp}"), "it has no model_index.json"),
        (("--device", "cuda"), "this machine has no CUDA device\ntry: --device cpu"),
    ],
)
def test_a_wrong_model_or_device_leaves_no_run(
    toy: Callable, replay: Callable, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, str], message: str,
) -> None:  # fmt: skip
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    toy(1)
    assert replay(options[0], options[1].format(tmp=tmp_path)) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    assert replay() == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--suite", "toys"), "no suite 'toys'"),
        (("--category", "b"), "no category 'b'"),
        (("--devices", "0"), "--devices is 0"),
        (("--shard", "3/2"), "--shard is '3/2'"),
        (("--shard", "0/2"), "--shard is '0/2'"),
        (
            ("--shard", "1/2", "--devices", "2"),
            "--shard goes neither with --streaming nor with --devices and --per-device",
        ),
        (("--streaming",), "--streaming needs a memory"),
        (("--window", "2"), "--window is 2"),
        (("--limit", "0"), "--limit is 0"),
        (("--samples", "0"), "--samples is 0"),
        (("--suite", "prompts"), "try: --data FILE"),
        (("--model", "no-such-model"), "unknown model"),
    ],
)
def test_mistakes(
    toy: Callable, replay: Callable, capsys: pytest.CaptureFixture, options: tuple[str, ...], message: str
) -> None:
    toy(2)
    assert replay(*options) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error


def test_a_setting_that_no_case_can_work_with_ends_the_run(
    toy: Callable, replay: Callable, capsys: pytest.CaptureFixture
) -> None:
    toy(3, {1: "setup"})
    assert replay() == 2
    assert "no such device" in capsys.readouterr().err


def test_every_case_refused(toy: Callable, replay: Callable, capsys: pytest.CaptureFixture) -> None:
    toy(2, {0: "refuse", 1: "refuse"})
    assert replay() == 2
    assert "every case was refused; the first reason: no such noun" in capsys.readouterr().err


DRIVER = """
import sys, time
import eval.suites
from eval.replay import main
from tests.eval.fake_worker import FakeVideos, FakeWorker, toy_suite
eval.suites._SUITES["toy"] = toy_suite(int(sys.argv[3]))
make, calls = FakeWorker.make, []
def slow(self, job):
    calls.append(job)
    time.sleep(0.05 if len(calls) < 5 else 60)  # until the signal comes, however slow the machine is
    return make(self, job)
FakeWorker.make = slow
options = ["--suite", "toy", "--out", sys.argv[1] + "/run", "--model", sys.argv[2], "--quiet", "--device", "cpu"]
sys.exit(main([*options, *sys.argv[4:]], FakeVideos(sys.argv[1] + "/tries")))
"""


def driver(tmp_path: Path, tiny_folder: Path, count: int, *options: str) -> subprocess.Popen:
    call = [sys.executable, "-c", DRIVER, str(tmp_path), str(tiny_folder), str(count), *options]
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.Popen(call, cwd=root, env=environment, stderr=subprocess.PIPE, text=True)


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130), (signal.SIGTERM, 130)])
def test_a_driver_that_ends_in_the_middle_is_run_again(
    toy: Callable, replay: Callable, tmp_path: Path, tiny_folder: Path, number: int, code: int
) -> None:
    process = driver(tmp_path, tiny_folder, 40)
    wait_for(lambda: (tmp_path / "run/manifest.jsonl").exists() and len(rows(tmp_path / "run")) >= 3)
    toy(40)
    assert replay() == 2, "while it runs the folder is locked"
    process.send_signal(number)
    error = process.communicate(timeout=30)[1]
    assert process.returncode == code and "Traceback" not in error
    done = set(rows(tmp_path / "run"))
    assert 3 <= len(done) < 40
    assert replay() == 0
    assert len(videos(tmp_path / "run")) == 40 and not list((tmp_path / "run/.staging").iterdir())
    assert sum(tries(tmp_path, number) > 1 for number in range(40)) <= 1, "only the one that was under way"
