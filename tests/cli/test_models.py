"""`ttom models`: the list, one model, the objects, JSON, and the figures that it repeats."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ttom import checkpoints
from ttom.cli import main
from ttom.cli.models import HUB
from ttom.emojiworld.editions import CURRENT
from ttom.presets import PRESETS, preset_for

ROOT = Path(__file__).parents[2]


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["models", *arguments]) == 0
    return capsys.readouterr().out


def test_the_list_names_every_model_with_its_preset(capsys: pytest.CaptureFixture[str]) -> None:
    text = output(capsys)
    for name in (*checkpoints.EMBEDDED, *HUB):
        (line,) = (line for line in text.splitlines() if name in line.split())
        assert preset_for(name) in line.split()
    assert "4.2 GiB" in text and "ttom models --nouns" in text


@pytest.mark.parametrize("arguments", [["--nouns"], ["emojiworld-wan"], ["emojiworld-cogvideox"]])
def test_the_objects_of_the_embedded_models(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    text = output(capsys, *arguments)
    assert all(noun.name in text for noun in CURRENT.nouns)
    assert f"{len(CURRENT.nouns)} objects" in text or f"objects: {len(CURRENT.nouns)}" in text


def test_one_model(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert output(capsys, "Wan-AI/Wan2.1-T2V-14B-Diffusers").splitlines() == [
        "model:   Wan-AI/Wan2.1-T2V-14B-Diffusers",
        "family:  Wan 2.1",
        "video:   832 x 480, 81 frames, 16 fps, 50 steps",
        "preset:  paper",
        "VRAM:    13.6 GiB low, 47.9 GiB fast",
    ]
    copied = tmp_path / "copy"
    copied.mkdir()
    for name in ("model_index.json", "ttom.json"):
        shutil.copy(checkpoints.path("emojiworld-cogvideox") / name, copied)
    text = output(capsys, str(copied))
    assert "CogVideoX" in text and "preset:  emojiworld-cogvideox" in text and f"objects: {len(CURRENT.nouns)}" in text


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(output(capsys, "--json"))
    assert found["version"] == 1
    rows = {row["name"]: row for row in found["models"]}
    assert list(rows) == [*checkpoints.EMBEDDED, *HUB]
    sampler = PRESETS["emojiworld"]().sampler
    row = rows["emojiworld-wan"]
    assert row["embedded"] and len(row["nouns"]) == len(CURRENT.nouns)
    assert (row["frames"], row["height"], row["width"]) == (sampler.frames, sampler.height, sampler.width)
    assert rows["zai-org/CogVideoX1.5-5B"]["vram_low_gib"] is None
    assert len(json.loads(output(capsys, "--json", "emojiworld-wan"))["models"]) == 1


def test_the_gpu_memory_is_what_the_benchmark_measured() -> None:
    result = json.loads((ROOT / "experiments/bench/results/real_size.json").read_text())
    peaks = {(row["model"], row["case"]): row.get("peak_gib", {}) for row in result["rows"]}
    for short, name, whole in (
        ("wan-1.3b", "Wan-AI/Wan2.1-T2V-1.3B-Diffusers", "pipeline-8gib"),
        ("wan-14b", "Wan-AI/Wan2.1-T2V-14B-Diffusers", "pipeline-24gib"),
        ("cogvideox-2b", "zai-org/CogVideoX-2b", "pipeline-8gib"),
        ("cogvideox-5b", "zai-org/CogVideoX-5b", "pipeline-8gib"),
    ):
        vram = HUB[name][1]
        assert vram is not None
        assert vram[0] == pytest.approx(max(peaks[short, whole].values()), abs=0.0501)
        assert vram[1] == pytest.approx(peaks[short, "tto-3"]["iteration"], abs=0.0501)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ('{"_class_name": "LTXPipeline"}', "it is a 'LTXPipeline'"),
        ('{"_class_name": "\\u001b[2J"}', r"it is a '\x1b[2J'"),
        ("[", "is not a pipeline that TTOM can run\n"),
    ],
)
def test_folders_of_other_pipelines(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, index: str, message: str
) -> None:
    (tmp_path / "model_index.json").write_text(index)
    assert main(["models", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err


def test_an_unknown_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "owner/name"]) == 2
    error = capsys.readouterr().err
    assert "'owner/name' is not in the list" in error and "emojiworld-wan" in error


def test_it_imports_neither_torch_nor_diffusers() -> None:
    code = (
        "import sys\nfrom ttom.cli import main\nassert main(['models']) == 0\n"
        "print([m for m in ('torch', 'diffusers', 'transformers', 'lightning') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
