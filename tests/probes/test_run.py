"""`python -m probes.run` from the prompts to the files: going on, sharing, and every mistake as one clear message."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

import probes.run
from probes.run import main
from tests.probes.tiny_grounding import save_detector, save_tracker
from ttom.checkpoints.probe_file import cached_file, recommended_blocks
from ttom.layout.model import ObjectGroup

SMALL = (
    "--device cpu --preset emojiworld --sampler.frames 5 --sampler.height 16 --sampler.width 32 --sampler.steps 3 "
    "--sampler.max-sequence-length 24 --quiet --out"
).split()
HOME = str(Path.home())
PROMPTS = ["A red balloon moves left above a house", "Two dogs", "A cat moves right", "slowly", "A zeppelin moves left"]


class Quadrants:
    """Finds the nth object in the nth quarter of the picture's width, and cats never."""

    name = "quadrants"

    def segment(self, video: np.ndarray, groups: Sequence[ObjectGroup]) -> np.ndarray:
        masks = np.zeros((len(groups), *video.shape[:3]), dtype=bool)
        for i, group in enumerate(groups):
            masks[i, :, :, 8 * i : 8 * i + 8] = group.noun != "cat"
        return masks


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes.run, "load_segmenter", lambda command, device: Quadrants())


@pytest.fixture
def options(tiny_folder: Path, tmp_path: Path) -> list[str]:
    """Options of a small run into tmp_path / "out"."""
    (tmp_path / "prompts.txt").write_text("\n".join(PROMPTS))
    return ["--model", str(tiny_folder), "--prompts", str(tmp_path / "prompts.txt"), *SMALL, str(tmp_path / "out")]


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run, require exit code 2, a message and no traceback; returns the message."""

    def run(*arguments: str) -> str:
        try:
            code: object = main(arguments)
        except SystemExit as stop:
            code = stop.code
        output = capsys.readouterr()
        assert code == 2, output.err
        assert output.err.strip() and "Traceback" not in output.err
        return output.err

    return run


def made(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / "prompts").glob("*.json")}


@pytest.mark.usefixtures("stub")
def test_from_prompts_to_a_recommendation(
    options: list[str], tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*options, "--at-steps", "0", "2"]) == 0
    out = tmp_path / "out"
    result = json.loads((out / "probe.json").read_text())
    assert result["prompts"] == {"measured": 2, "nothing found": 1, "refused": 2}
    assert result["phrases"] == {"found": 3, "not found": 1}
    assert [row["block"] for row in result["blocks"]] == [0, 1, 2, 3]
    assert len(result["cells"]) == 8 and result["num_blocks"] == 4
    assert result["provenance"]["command"].startswith("python -m probes.run --model")
    assert result["provenance"]["device"] == "cpu" and result["provenance"]["device_name"]
    assert {path.name for path in out.iterdir()} == {"prompts", "probe.json", "probe.csv", "probe.png"}
    assert recommended_blocks(str(tiny_folder)) == tuple(result["recommended"])
    printed = capsys.readouterr().out
    assert f"--tto.blocks {result['recommended'][0]}" in printed and "2 refused" in printed
    refused = [json.loads(path.read_text()) for path in (out / "prompts").iterdir()]
    reasons = [row["error"] for row in refused if row["status"] == "refused"]
    assert any("does not know 'zeppelin'" in reason for reason in reasons)


@pytest.mark.usefixtures("stub")
def test_a_second_run_makes_only_what_is_missing(options: list[str], tmp_path: Path) -> None:
    assert main([*options, "--limit", "2"]) == 0
    out = tmp_path / "out"
    first = made(out)
    assert len(first) == 2
    half = out / "prompts" / sorted(first)[1]
    half.write_text(half.read_text()[:50])  # a file of another program's making; ours are whole or absent
    assert main(options) == 0
    second = made(out)
    assert len(second) == 5
    assert [second[name] == first[name] for name in sorted(first)] == [True, False]
    assert json.loads((out / "probe.json").read_text())["prompts"]["measured"] == 2


def test_several_devices_measure_the_same(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: Callable[..., str]
) -> None:
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("HOME", HOME)  # Ray cannot start again in a process whose home has changed
    found = []
    for devices in ("1", "2"):
        out = tmp_path / devices
        # What a random model draws looks like nothing, so the rows are there and the result is not.
        assert "nothing could be measured in 5" in fails(
            *options[:-1], str(out), "--masks", "emojiworld", "--devices", devices
        )
        found.append({path.name: path.read_bytes() for path in (out / "prompts").glob("*.json")})
    assert len(found[0]) == 5 and found[0] == found[1]


@pytest.mark.usefixtures("stub")
def test_results_of_other_settings_are_not_mixed_in(options: list[str], fails: Callable[..., str]) -> None:
    assert main([*options, "--limit", "1"]) == 0
    for other in (["--at-steps", "1"], ["--blocks", "1"], ["--sampler.guidance-scale", "1"], ["--seed", "5"]):
        assert "was made with other settings" in fails(*options, *other)


@pytest.mark.usefixtures("stub")
def test_only_some_blocks_and_steps(options: list[str], tmp_path: Path) -> None:
    assert main([*options, "--limit", "1", "--blocks", "3", "1", "--at-steps", "2"]) == 0
    result = json.loads((tmp_path / "out" / "probe.json").read_text())
    assert [(cell["block"], cell["step"]) for cell in result["cells"]] == [(1, 2), (3, 2)]
    assert result["recommended"][0] in (1, 3) and result["num_blocks"] == 4


@pytest.mark.usefixtures("stub")
def test_where_nothing_is_found_there_is_no_result(
    options: list[str], tiny_folder: Path, tmp_path: Path, fails: Callable[..., str]
) -> None:
    (tmp_path / "prompts.txt").write_text("A cat moves right\nslowly\n")
    message = fails(*options)
    assert "nothing could be measured in 2 prompts: 1 were refused" in message
    assert not (tmp_path / "out" / "probe.json").exists() and not cached_file(str(tiny_folder)).exists()


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (["--blocks", "1", "4"], "names block 4, but .* has 4 blocks"),
        (["--blocks", "-1"], "names block -1"),
        (["--at-steps", "3"], "names step 3, but the run has 3 steps"),
        (["--limit", "0"], "--limit is 0"),
        (["--seed", "-1"], "--seed is -1"),
        (["--model", "no-such-model"], "unknown model"),
        (["--sampler.frames", "6"], "--sampler.frames is 6"),
        (["--masks", "worker", "--worker-python", "no/python"], "groundingdino-py and sam2 is missing"),
        (["--masks", "grounding", "--detector", "no/such/folder"], "cannot be loaded"),
        (["--masks", "none"], "invalid choice|not in|--masks"),
    ],
)
def test_mistakes(options: list[str], fails: Callable[..., str], extra: list[str], expected: str) -> None:
    import re

    assert re.search(expected, fails(*options, *extra))


@pytest.mark.parametrize(("text", "expected"), [("", "holds no prompts"), ("# none\n", "holds no prompts")])
def test_an_empty_prompt_file(
    options: list[str], tmp_path: Path, fails: Callable[..., str], text: str, expected: str
) -> None:
    (tmp_path / "prompts.txt").write_text(text)
    assert expected in fails(*options)
    (tmp_path / "prompts.txt").unlink()
    assert "does not exist" in fails(*options)


def test_unreadable_weights_of_the_model(
    options: list[str], tiny_folder: Path, tmp_path: Path, fails: Callable[..., str]
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny_folder, broken)
    weights = broken / "transformer" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    assert "cannot be loaded" in fails(*options, "--model", str(broken))


def test_a_folder_that_cannot_be_written(options: list[str], tmp_path: Path, fails: Callable[..., str]) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot write to" in fails(*options[:-1], str(tmp_path / "file" / "out"))


def test_a_number_of_devices_that_is_none(options: list[str], fails: Callable[..., str]) -> None:
    assert "--devices is 0" in fails(*options, "--devices", "0")


def test_with_grounding_dino_and_sam_2(options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the command line through tiny models of the official weights' classes to a result."""
    from probes import boxes

    monkeypatch.setattr(boxes, "SCORE", 0.0)
    places = [str(save_detector(tmp_path / "detector")), str(save_tracker(tmp_path / "tracker"))]
    wanted = ["--masks", "grounding", "--detector", places[0], "--tracker", places[1], "--limit", "2"]
    assert main([*options, *wanted, "--at-steps", "1"]) == 0
    result = json.loads((tmp_path / "out" / "probe.json").read_text())
    assert result["masks"] == ["grounding", *places]
    assert result["prompts"]["measured"] == 2 and len(result["cells"]) == 4


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert stop.value.code == 0
    for option in ("--model", "--prompts", "--at-steps", "--masks", "--worker-python", "--sampler.guidance-scale"):
        assert option in text
    assert "guidance weight; 1 or less turns guidance off. (default: 2.5)" in text, "the preset's defaults"
