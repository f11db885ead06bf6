"""An embedded checkpoint is a plain diffusers folder that stock diffusers loads and samples without TTOM."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import diffusers
import pytest
import torch
from safetensors import safe_open

from experiments.emojiworld.models import build_tokenizer
from ttom import TTOM, checkpoints
from ttom.emojiworld.editions import CURRENT
from ttom.provenance import digest

MEGABYTE = 1_000_000
STOCK = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("ttom", "experiments"):
            raise ImportError(name + " is not installed")

sys.meta_path.insert(0, Blocked())
try:
    import ttom
except ImportError:
    pass
else:
    raise SystemExit("ttom could be imported")

import json
import diffusers
import torch

torch.set_num_threads(1)
pipeline = getattr(diffusers, sys.argv[2]).from_pretrained(sys.argv[1])
pipeline.set_progress_bar_config(disable=True)
video = pipeline(
    "A cat walks to the left", height=32, width=48, num_frames=9, num_inference_steps=2, guidance_scale=4.0,
    max_sequence_length=64, generator=torch.Generator().manual_seed(0), output_type="np",
).frames
parts = (pipeline.text_encoder, pipeline.transformer, pipeline.vae, pipeline.scheduler)
classes = [type(part).__name__ for part in parts]
print(json.dumps({
    "shape": video.shape, "finite": bool((video == video).all()), "std": float(video.std()),
    "low": float(video.min()), "high": float(video.max()), "classes": classes,
    "ours": sorted(name for name in sys.modules if name.split(".")[0] in ("ttom", "experiments")),
}))
"""

PARTS = {
    "emojiworld-wan": {
        "pipeline": "WanPipeline",
        "scheduler": "UniPCMultistepScheduler",
        "text_encoder": "UMT5EncoderModel",
        "transformer": "WanTransformer3DModel",
        "vae": "AutoencoderKLWan",
    },
    "emojiworld-cogvideox": {
        "pipeline": "CogVideoXPipeline",
        "scheduler": "CogVideoXDDIMScheduler",
        "text_encoder": "T5EncoderModel",
        "transformer": "CogVideoXTransformer3DModel",
        "vae": "AutoencoderKLCogVideoX",
    },
}


@pytest.fixture(scope="module", params=checkpoints.EMBEDDED)
def folder(request: pytest.FixtureRequest) -> Path:
    return checkpoints.path(request.param)


def test_size(folder: Path) -> None:
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) <= 24 * MEGABYTE


def test_its_probe_and_results_are_of_these_weights(folder: Path) -> None:
    """Weights that are trained anew make what was measured with the old ones stale: probe, evaluation, memory."""
    family, weights = folder.name.removeprefix("emojiworld-"), digest(folder)
    suffix = "" if family == "wan" else f"-{family}"
    results = Path(__file__).resolve().parents[2] / "experiments/emojiworld/results"
    files = [folder / "probe.json", *(results / f"{name}{suffix}.json" for name in ("evaluate", "memory_gain"))]
    for file in files:
        assert f'"checkpoint_sha256": "{weights}"' in file.read_text(), file


def test_only_safetensors_and_json(folder: Path) -> None:
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert {file.suffix for file in files} == {".safetensors", ".json"}
    for file in files:
        if file.suffix == ".json":
            json.loads(file.read_text())
            continue
        with safe_open(file, "pt") as tensors:
            kinds = {tensors.get_slice(name).get_dtype() for name in tensors.keys()}  # noqa: SIM118
        assert kinds <= {"F16", "BF16"}, file


def test_index_names_stock_classes_only(folder: Path) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    expected = PARTS[folder.name]
    assert index["_class_name"] == expected["pipeline"]
    parts = {name: tuple(value) for name, value in index.items() if isinstance(value, list) and value[0]}
    assert parts == {
        "scheduler": ("diffusers", expected["scheduler"]),
        "text_encoder": ("transformers", expected["text_encoder"]),
        "tokenizer": ("transformers", "PreTrainedTokenizerFast"),
        "transformer": ("diffusers", expected["transformer"]),
        "vae": ("diffusers", expected["vae"]),
    }
    scheduler = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())
    wan = folder.name == "emojiworld-wan"
    assert scheduler["prediction_type"] == ("flow_prediction" if wan else "v_prediction")
    assert not wan or (scheduler["use_flow_sigmas"] and scheduler["flow_shift"] > 1)


def test_its_tokenizer_is_the_captions_one(folder: Path) -> None:
    """A word more or less would shift every embedding."""
    saved = json.loads((folder / "tokenizer" / "tokenizer.json").read_text())
    assert saved["model"]["vocab"] == build_tokenizer(CURRENT).get_vocab()


def test_stock_diffusers_loads_and_samples_it(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-c", STOCK, str(folder), PARTS[folder.name]["pipeline"]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["shape"] == [1, 9, 32, 48, 3]
    assert seen["finite"] and seen["std"] > 0.01 and 0 <= seen["low"] < seen["high"] <= 1
    assert seen["ours"] == []
    assert seen["classes"] == [PARTS[folder.name][part] for part in ("text_encoder", "transformer", "vae", "scheduler")]


def test_base_equals_stock_diffusers_as_it_loads_by_itself(folder: Path) -> None:
    """Without a dtype: what the folder says of itself counts."""
    pipe = getattr(diffusers, PARTS[folder.name]["pipeline"]).from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    size = {"height": 64, "width": 96, "max_sequence_length": 64}
    theirs = pipe(
        "A dog",
        **size,
        num_frames=17,
        num_inference_steps=2,
        guidance_scale=2.5,
        generator=torch.Generator().manual_seed(3),
        output_type="latent",
    ).frames
    runner = TTOM(folder.name, device="cpu")
    sampler = replace(runner.settings.sampler, **size, frames=17, steps=2, guidance_scale=2.5)
    tto = replace(runner.settings.tto, guided_steps=1)
    ours = runner.generate("A dog", "base", 3, settings=replace(runner.settings, sampler=sampler, tto=tto)).latents
    assert torch.equal(ours, theirs)
