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

import eval.suites
from eval.manifest import read_header, read_rows
from eval.replay import main
from eval.types import ManifestRow
from tests.eval.fake_worker import FakeVideos, toy_suite
from ttom.guidance.registry import METHODS, Method
from ttom.memory.store import Store


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Registers a toy suite of so many cases."""

    def register(count: int, behavior: dict[int, str] | None = None) -> None:
        monkeypatch.setitem(eval.suites._SUITES, "toy", toy_suite(count, behavior))

    return register


@pytest.fixture
def replay(tmp_path: Path, tiny_folder: Path) -> Callable[..., int]:
    """Runs with fake workers into tmp_path / "run"; later options count."""

    def run(*options: str, method: str = "ttom") -> int:
        fixed = ["--suite", "toy", "--out", str(tmp_path / "run"), "--model", str(tiny_folder), "--quiet"]
        worker = FakeVideos(str(tmp_path / "tries"), method)
        return main([*fixed, "--device", "cpu", "--method", method, *options], worker)

    return run


def rows(run: Path) -> dict[str, ManifestRow]:
    return {row.case.id: row for row in read_rows(run)}


def tries(folder: Path, number: int) -> int:
    found = folder / "tries" / f"toy-{number:05d}"
    return len(list(found.iterdir())) if found.exists() else 0


def videos(run: Path) -> dict[str, bytes]:
    files = sorted(path for path in (run / "videos").rglob("*") if path.is_file())
    return {str(path.relative_to(run)): path.read_bytes() for path in files}


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
        (("--suite", "toys"), "no suite 'toys'"),
        (("--category", "b"), "no category 'b'"),
        (("--devices", "0"), "devices is 0"),
        (("--shard", "3/2"), "shard is '3/2'"),
        (("--shard", "0/2"), "shard is '0/2'"),
        (("--shard", "1/2", "--devices", "2"), "neither with streaming nor with devices"),
        (("--streaming",), "streaming needs a memory"),
        (("--window", "2"), "window is 2"),
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
make = FakeWorker.make
def slow(self, job):
    time.sleep(0.05)
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
