"""Several devices: the same bytes as one, with actors that are killed and a run that goes on; needs Ray."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

import eval.suites
from eval.replay import main
from tests.eval.fake_worker import FakeVideos, rows, toy_suite, videos
from tests.eval.test_replay import driver, wait_for

pytest.importorskip("ray")

SMALL = (
    "--preset emojiworld --sampler.frames 5 --sampler.height 32 --sampler.width 48 --sampler.steps 3 "
    "--sampler.max-sequence-length 24 --tto.blocks 1 --tto.guided-steps 1 --tto.iterations 2"
).split()


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.fixture
def replay(tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    def run(name: str, *options: str, behavior: dict[int, str] | None = None, count: int = 24) -> int:
        monkeypatch.setitem(eval.suites._SUITES, "toy", toy_suite(count, behavior))
        fixed = ["--suite", "toy", "--model", str(tiny_folder), "--quiet", "--device", "cpu"]
        worker = FakeVideos(str(tmp_path / f"tries-{name}"))
        return main([*fixed, "--out", str(tmp_path / name), *options], worker)

    return run


def tries(folder: Path, name: str) -> dict[int, int]:
    return {int(path.name[4:]): len(list(path.iterdir())) for path in (folder / f"tries-{name}").glob("toy-*")}


def test_actors_that_die_lose_nothing_and_a_run_goes_on(replay: Callable, tmp_path: Path) -> None:
    """Four actors: case 3 kills its actor once, case 7 always; then the run goes on with fewer and with one."""
    behavior = {3: "kill once", 7: "kill always", 11: "refuse", 12: "fail once"}
    assert replay("many", "--devices", "4", behavior=behavior) == 1, "some cases failed"
    found = rows(tmp_path / "many")
    assert len(found) == 24 and found["toy-00003"].status == "made"
    assert (found["toy-00007"].status, found["toy-00007"].error) == ("failed", "killed 3 workers")
    assert [found[f"toy-{number:05d}"].status for number in (11, 12)] == ["refused", "failed"]
    counts = tries(tmp_path, "many")
    assert (counts.pop(3), counts.pop(7)) == (2, 3) and set(counts.values()) == {1}
    assert replay("many") == 0, "the failed ones, with one device in this process"
    counts = tries(tmp_path, "many")
    assert (counts[7], counts[12], counts[0]) == (4, 2, 1)
    assert replay("one", count=24) == 0
    one, many = videos(tmp_path / "one"), videos(tmp_path / "many")
    assert many == {name: data for name, data in one.items() if "00011" not in name}


def test_a_driver_that_is_told_to_end_takes_its_actors_along(tmp_path: Path, tiny_folder: Path) -> None:
    process = driver(tmp_path, tiny_folder, 200, "--devices", "2")
    wait_for(lambda: len(rows(tmp_path / "run")) >= 3)
    pids = {int(path.name.split("-")[0]) for path in (tmp_path / "tries" / "loads").iterdir()}
    process.send_signal(signal.SIGTERM)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and "Traceback" not in error
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
    found = rows(tmp_path / "run")
    assert 3 <= len(found) < 200 and {row.status for row in found.values()} == {"made"}
    assert len(videos(tmp_path / "run")) in (len(found), len(found) + 1), "a video may lack its row, never the reverse"


def test_streaming_with_actors_is_as_without(replay: Callable, tmp_path: Path) -> None:
    for name, devices in (("actors", "2"), ("alone", "1")):
        memory = ("--memory.path", str(tmp_path / f"memory-{name}"), "--memory.dtype", "float32")
        options = ("--streaming", "--window", "2", "--devices", devices)
        assert replay(name, *options, *memory, count=8) == 0
    assert videos(tmp_path / "actors") == videos(tmp_path / "alone")
    entries = [found["toy-00005"].memory_entries for found in (rows(tmp_path / "actors"), rows(tmp_path / "alone"))]
    assert entries[0] == entries[1] != ()


def test_a_model_makes_the_same_bytes_on_any_number_of_devices(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("A cat moves left\nA red balloon moves right above a house\nTwo dogs\nA dog moves up\n")
    fixed = ["--suite", "prompts", "--data", str(prompts), "--model", str(tiny_folder), "--quiet", "--device", "cpu"]
    for name, devices in (("one", "1"), ("two", "2")):
        assert main([*fixed, *SMALL, "--devices", devices, "--out", str(tmp_path / name)]) == 0
    one = videos(tmp_path / "one")
    assert len(one) == 4 and one == videos(tmp_path / "two")
    row = next(iter(rows(tmp_path / "two").values()))
    assert (row.frames, row.fps, row.height, row.width) == (5, 8, 480, 720), "enlarged by a whole factor"
    assert row.seconds["total"] > 0 and row.peak_bytes
