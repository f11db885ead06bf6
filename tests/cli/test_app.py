"""Each mistake a user can make: one clear message, exit code 2, no traceback, nothing written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.cli.conftest import PROMPT

Fails = Callable[..., str]

LAYOUT = {
    "version": 1,
    "prompt": PROMPT,
    "objects": [
        {
            "id": "balloon",
            "phrase": "red balloon",
            "noun": "balloon",
            "key_frames": [{"time": 0.0, "box": {"x0": 0.1, "y0": 0.1, "x1": 0.4, "y1": 0.5}}],
        }
    ],
}


def layout_file(folder: Path, **box: float) -> Path:
    layout = json.loads(json.dumps(LAYOUT))
    layout["objects"][0]["key_frames"][0]["box"] |= box
    path = folder / "layout.json"
    path.write_text(json.dumps(layout))
    return path


@pytest.mark.parametrize("prompt", ["", "   ", "..."])
def test_empty_prompt(fails: Fails, small: list[str], prompt: str, tmp_path: Path) -> None:
    assert "the prompt is empty" in fails("generate", prompt, "--out", str(tmp_path / "out"), *small)
    assert not (tmp_path / "out").exists()


def test_empty_prompt_for_plan(fails: Fails) -> None:
    assert "the prompt is empty" in fails("plan", " ")


def test_no_object_to_lay_out(fails: Fails, small: list[str], tmp_path: Path) -> None:
    message = fails("generate", "slowly and beautifully", "--out", str(tmp_path), *small)
    assert "object" in message


def test_unknown_noun_names_it_and_suggests_near_ones(fails: Fails, small: list[str], tmp_path: Path) -> None:
    message = fails("generate", "A baloon moves from left to right", "--out", str(tmp_path), *small)
    assert "does not know 'baloon'" in message
    assert "balloon for baloon" in message


def test_missing_layout_file(fails: Fails, small: list[str], tmp_path: Path) -> None:
    missing = str(tmp_path / "no.json")
    message = fails("generate", PROMPT, "--layout", missing, "--out", str(tmp_path), *small)
    assert missing in message
    assert "does not exist" in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "not JSON"),
        (json.dumps({**LAYOUT, "version": 2}), "version 2"),
        (json.dumps({**LAYOUT, "objects": []}), "objects is empty"),
        ("[]", "one JSON object"),
    ],
)
def test_broken_layout_file(fails: Fails, small: list[str], tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "layout.json"
    path.write_text(text)
    assert expected in fails("generate", PROMPT, "--layout", str(path), "--out", str(tmp_path), *small)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ({"x0": float("nan")}, "not a finite number"),
        ({"x1": 1.5}, "outside [0, 1]"),
        ({"y0": -0.1}, "outside [0, 1]"),
        ({"x0": 0.4}, "zero"),
    ],
)
def test_bad_box(fails: Fails, small: list[str], tmp_path: Path, box: dict[str, float], expected: str) -> None:
    path = layout_file(tmp_path, **box)
    assert expected in fails("generate", PROMPT, "--layout", str(path), "--out", str(tmp_path), *small)


def test_phrase_that_is_not_in_the_prompt(fails: Fails, small: list[str], tmp_path: Path) -> None:
    path = layout_file(tmp_path)
    message = fails("generate", "A dog moves up", "--layout", str(path), "--out", str(tmp_path), *small)
    assert "'red balloon'" in message
    assert "does not occur in the prompt" in message


def test_unknown_model(fails: Fails, tmp_path: Path) -> None:
    message = fails("generate", PROMPT, "--model", "no-such-model", "--out", str(tmp_path))
    assert "unknown model 'no-such-model'" in message


def test_folder_that_is_no_pipeline(fails: Fails, tmp_path: Path) -> None:
    message = fails("generate", PROMPT, "--model", str(tmp_path), "--out", str(tmp_path / "out"))
    assert "is not a diffusers pipeline" in message


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--tto.blocks 9", "4 blocks"),
        ("--tto.blocks -1", "counted from 0"),
        ("--sampler.frames 6", "4k + 1"),
        ("--sampler.width 40", "multiple of 16"),
        ("--sampler.steps 0", "--sampler.steps is 0"),
        ("--tto.lr 0", "--tto.lr is 0"),
        ("--tto.lr inf", "leave --tto.lr out"),
        ("--tto.lr fast", "--tto.lr"),
        ("--tto.blocks 1 1", "each once"),
        ("--tto.blocks", "--tto.blocks is empty"),
        ("--tto.blocks 0 --adapter.projections to_v", "no gradient reaches"),
        ("--tto.stop-loss nan", "--tto.stop-loss is nan"),
        ("--adapter.alpha 0", "--adapter.alpha is 0.0"),
        ("--sampler.guidance-scale nan", "--sampler.guidance-scale is nan"),
        ("--sampler.max-sequence-length 0", "--sampler.max-sequence-length is 0"),
        ("--sampler.width 8000", "position embeddings"),
        ("--sampler.cache-threshold 0", "--sampler.cache-threshold is 0"),
        ("--adapter.first-block 2", "at most 1, the first of --tto.blocks"),
        ("--tto.downsample 9", "--tto.downsample is 9"),
        ("--runtime.resident-blocks 1", "--runtime.resident-blocks 3"),
        ("--runtime.resident-blocks 5", "at most 4"),
        ("--runtime.attention sage", "with a backward"),
        ("--runtime.attention no-such", "--runtime.attention is no-such"),
        ("--runtime.compile --runtime.resident-blocks 3", "do not go together"),
        ("--seed -1", "--seed is -1"),
        ("--tto.guided-steps 4", "at most --sampler.steps (3)"),
        ("--method magic", "no method 'magic'"),
        ("--method ttom+magic", "no method 'magic'"),
        ("--preset none", "there is no preset 'none'"),
        ("--no-such-option", "--no-such-option"),
        ("--model", "--model"),
    ],
)
def test_bad_option(fails: Fails, small: list[str], tmp_path: Path, options: str, expected: str) -> None:
    assert expected in fails("generate", PROMPT, "--out", str(tmp_path), *small, *options.split())


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_without_one(fails: Fails, small: list[str], tmp_path: Path) -> None:
    assert "no CUDA device" in fails("generate", PROMPT, "--out", str(tmp_path), *small, "--device", "cuda")


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails the test if the model is loaded."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the model was loaded before the folder was checked")

    monkeypatch.setattr("ttom.backbones.load_backbone", refuse)


def test_out_under_a_file_is_found_before_the_work(
    fails: Fails, small: list[str], tmp_path: Path, no_work: None
) -> None:
    (tmp_path / "file").write_text("")
    for out in ("file", "file/deeper/still"):
        message = fails("generate", PROMPT, "--out", str(tmp_path / out), *small)
        assert "is not a folder" in message


@pytest.mark.parametrize(
    ("option", "name"),
    [
        *((option, "x" * 300) for option in ("--out", "--model", "--memory.path", "--layout")),
        *((option, "~no-such-user/place") for option in ("--model", "--layout")),
    ],
)
def test_places_that_cannot_be_looked_at(
    fails: Fails, small: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, name: str
) -> None:
    """Where the system answers more than "not there", which is what a folder without the right does too."""
    monkeypatch.chdir(tmp_path)
    out = [] if option == "--out" else ["--out", str(tmp_path / "out")]
    assert name[:60] in fails("generate", PROMPT, *small, *out, option, name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_out_is_found_before_the_work(fails: Fails, small: list[str], tmp_path: Path, no_work: None) -> None:
    (tmp_path / "locked").mkdir(mode=0o555)
    message = fails("generate", PROMPT, "--out", str(tmp_path / "locked" / "out"), *small)
    assert "cannot write to" in message


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no /proc")
def test_out_where_nobody_may_write(fails: Fails, small: list[str], no_work: None) -> None:
    assert "cannot write to /proc/ttom" in fails("generate", PROMPT, "--out", "/proc/ttom", *small)


SMALLER = "fewer --sampler.frames, a smaller --sampler.height and --sampler.width"
ON_GPU = torch.OutOfMemoryError("CUDA out of memory.")


@pytest.mark.parametrize(
    ("error", "options", "remedy"),
    [
        (
            ON_GPU,
            [],
            "--runtime.checkpointing, --runtime.vae-tiling, --runtime.offload, few --runtime.resident-blocks, ",
        ),
        (ON_GPU, ["--runtime.checkpointing", "--runtime.offload"], "--runtime.vae-tiling, few "),
        (
            RuntimeError("can't allocate memory"),
            ["--runtime.vae-tiling"],
            "--runtime.checkpointing, --dtype bfloat16, ",
        ),
    ],
)
def test_too_little_memory(
    fails: Fails,
    small: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    options: list[str],
    remedy: str,
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("ttom.sampler.Sampler.run", refuse)
    message = fails("generate", PROMPT, "--out", str(tmp_path), *small, *options)
    assert "out of memory" in message
    assert f"try: {remedy}" in message
    assert message.rstrip().endswith(SMALLER)


@pytest.mark.parametrize("name", ["video.mp4", "lora.safetensors", "a.b.JSON"])
def test_a_file_in_place_of_a_folder(fails: Fails, small: list[str], tmp_path: Path, no_work: None, name: str) -> None:
    for option in ("--out", "--save-lora"):
        message = fails("generate", PROMPT, option, str(tmp_path / name), *small)
        assert f"{option} is {tmp_path / name}, which looks like a file" in message
        assert f"try: {option} {tmp_path / Path(name).stem}\n" in message
    assert list(tmp_path.iterdir()) == []


def test_loading_from_no_memory(fails: Fails, small: list[str], tmp_path: Path) -> None:
    message = fails("generate", PROMPT, "--out", str(tmp_path), "--memory.use", "load", *small)
    assert "--memory.use is load, but there is no memory" in message and "--memory.path DIR" in message


def test_unknown_nouns_and_sizes_cost_no_loading(fails: Fails, tmp_path: Path, no_work: None) -> None:
    out = ["--out", str(tmp_path / "out"), "--device", "cpu"]
    assert "does not know 'quokka'" in fails("generate", "A quokka above a house", *out)
    message = fails("generate", "A dog above a house", "--sampler.frames", "33", *out)
    assert "17 frames of 96 x 64 pixels" in message and "--sampler.frames" in message


def test_plan_into_a_bad_place(fails: Fails, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "is not a folder" in fails("plan", PROMPT, "--out", str(tmp_path / "file" / "layout.json"))
    assert "sides" in fails("plan", PROMPT, "--width", "0")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--method", "bias", "--bias.strength", "-2"), "--bias.strength is -2"),
        (("--method", "bias", "--bias.strength", "strong"), "strength"),
        (("--method", "bias", "--bias.strength", "nan"), "--bias.strength is nan"),
        (("--method", "bias", "--bias.end", "1.5"), "--bias.end is 1.5"),
        (("--method", "bias", "--bias.end", "-0.5"), "--bias.end is -0.5"),
        (("--method", "bias", "--bias.blocks", "0", "9"), "--bias.blocks names block 9"),
        (("--method", "ttom", "--bias.strength", "5", "--tto.downsample", "2"), "--tto.downsample is 2"),
        (("--method", "lvd", "--memory.path", "MEMORY"), "the method lvd uses no memory"),
        (("--method", "lvd", "--lvd.scale", "0"), "--lvd.scale is 0"),
        (("--method", "lvd", "--save-lora", "LORA"), "the method lvd has no LoRA to save"),
        (("--tries", "0"), "--tries is 0"),
        (("--tries", "2"), "try: --check grounding"),
        (("--tries", "2", "--check", "off"), "nothing tells which video is the best"),
        (("--check", "no-such-detector"), "no-such-detector"),
        (("--tto.mask", "box"), "mask"),
        (("--sampler.flow-shift", "0"), "--sampler.flow-shift is 0"),
    ],
)
def test_guidance_that_cannot_be(
    fails: Fails,
    small: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    expected: str,
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    given = [str(tmp_path / word) if word.isupper() else word for word in options]
    message = fails("generate", PROMPT, "--out", str(tmp_path / "out"), *small, *given)
    assert expected in message
    assert not (tmp_path / "out" / "video.mp4").exists() and not (tmp_path / "MEMORY").exists()
