"""The Python interface: results, reports, seeds, and what is said about bad words."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.tiny import tiny_pipeline
from ttom import TTOM, UserError
from ttom.config import AdapterConfig, MemoryConfig, SamplerConfig, Settings, TTOConfig
from ttom.errors import SetupError
from ttom.pipeline import MemoryUpdateError
from ttom.prepare import check_words
from ttom.presets import preset_for
from ttom.report import Report
from ttom.result import FILES, Result

PROMPT = "A red balloon moves from left to right above a blue house"
SETTINGS = Settings(
    sampler=SamplerConfig(steps=3, guidance_scale=2.0, frames=5, height=16, width=32, fps=8, max_sequence_length=24),
    adapter=AdapterConfig(rank=2, alpha=2.0),
    tto=TTOConfig(blocks=(1, 2), lr=1e-2, guided_steps=2, iterations=2),
)


@pytest.fixture(scope="module")
def runner(tiny_folder: Path) -> Iterator[TTOM]:
    yield TTOM.from_pretrained(str(tiny_folder), device="cpu", preset="emojiworld")


@pytest.fixture(scope="module")
def steered(runner: TTOM) -> Result:
    return runner.generate(PROMPT, seed=1, settings=SETTINGS)


def test_result(steered: Result) -> None:
    assert steered.video.shape == (5, 16, 32, 3)
    assert steered.video.dtype == np.uint8
    assert steered.latents.shape == (1, 16, 2, 4, 8)
    assert steered.layout is not None
    assert steered.masks is not None
    assert steered.maps_before is not None
    assert steered.maps_after is not None
    assert steered.masks.masks.shape == steered.maps_before.shape == steered.maps_after.shape == (2, 2, 4, 8)


def test_report_has_the_fields_of_the_issue(steered: Result, runner: TTOM) -> None:
    report = json.loads(steered.report.model_dump_json())
    assert set(report) == {
        "prompt", "model", "method", "seed", "unknown_words", "layout_source", "sampler", "tto", "seconds",
        "peak_bytes", "provenance", "memory", "video_prompt", "planner", "cut_off", "version", "model_digest",
        "identity", "layout_digest", "left_out", "settings_hash", "video_sha256", "check",
    }  # fmt: skip
    assert report["model"] == runner.model
    assert set(report["sampler"]) == {item.name for item in fields(SamplerConfig)}
    assert set(report["tto"]) == {"blocks", "losses", "loss_first", "loss_last"}
    assert report["tto"]["blocks"] == [1, 2]
    assert [len(losses) for losses in report["tto"]["losses"]] == [2, 2]
    assert report["tto"]["loss_first"] == report["tto"]["losses"][0][0]
    assert report["tto"]["loss_last"] == report["tto"]["losses"][-1][-1]
    seconds = report["seconds"]
    assert set(seconds) == {"plan", "load", "optimize", "sample", "decode", "check", "total"}
    assert min(seconds["optimize"], seconds["sample"], seconds["decode"]) > 0
    assert seconds["load"] < 0.1  # it was loaded before
    assert seconds.pop("check") is None  # no detector looks at the videos of other models
    parts = sum(seconds[name] for name in seconds if name != "total")
    assert 0.5 * seconds["total"] < parts <= seconds["total"] + 0.01
    assert report["peak_bytes"] > 50e6


def test_report_says_where_it_comes_from(steered: Result) -> None:
    provenance = steered.report.model_dump(mode="json")["provenance"]
    assert set(provenance) == {
        "commit", "dirty", "versions", "device", "device_name", "dtype", "runtime", "platform", "date", "settings",
    }  # fmt: skip
    assert set(provenance["versions"]) == {
        "python", "torch", "diffusers", "peft", "lightning", "transformers", "ttom",
    }  # fmt: skip
    assert all(provenance["versions"].values())
    assert provenance["device"] == "cpu"
    assert provenance["dtype"] == "float32"
    assert provenance["settings"]["preset"] == "emojiworld"
    assert provenance["settings"]["given"]["sampler.steps"] == 3
    assert "sampler.fps" not in provenance["settings"]["given"]  # as in the preset
    assert provenance["settings"]["resolved"]["tto"]["lr"] == 1e-2


def test_same_seed_same_video_other_seed_other_video(runner: TTOM, steered: Result) -> None:
    again = runner.generate(PROMPT, seed=1, settings=SETTINGS)
    assert torch.equal(again.latents, steered.latents)
    assert again.report.tto.losses == steered.report.tto.losses
    assert not torch.equal(runner.generate(PROMPT, seed=2, settings=SETTINGS).latents, steered.latents)


def test_base_equals_the_stock_pipeline(runner: TTOM, steered: Result) -> None:
    base = runner.generate(PROMPT, method="base", seed=1, settings=SETTINGS)
    sampler = SETTINGS.sampler
    stock = (
        runner.load()
        .pipe(
            PROMPT,
            negative_prompt="",
            num_inference_steps=sampler.steps,
            guidance_scale=sampler.guidance_scale,
            num_frames=sampler.frames,
            height=sampler.height,
            width=sampler.width,
            max_sequence_length=sampler.max_sequence_length,
            generator=torch.Generator().manual_seed(1),
            output_type="latent",
        )
        .frames
    )
    assert torch.equal(base.latents, stock)
    assert not torch.equal(base.latents, steered.latents)
    assert base.report.tto is None
    assert base.report.seconds.optimize == 0
    assert base.maps_after is None
    # Before the optimization nothing is steered yet: the plain model's map at the same noise.
    torch.testing.assert_close(base.maps_before, steered.maps_before)


def test_base_works_where_nothing_can_be_planned(runner: TTOM) -> None:
    base = runner.generate("slowly and beautifully", method="base", settings=SETTINGS)
    assert base.layout is None
    assert base.masks is None
    assert base.report.layout_source is None


def test_a_run_leaves_the_model_as_it_was(runner: TTOM, steered: Result) -> None:
    names = [name for name, _ in runner.load().transformer.named_parameters()]
    assert not [name for name in names if "lora" in name]


def test_layout_of_ones_own(runner: TTOM) -> None:
    layout = runner.plan("A dog above a house")
    result = runner.generate("A dog above a house", layout=layout, settings=SETTINGS)
    assert result.layout == layout
    with pytest.raises(UserError, match="does not occur in the prompt"):
        runner.generate("A cat", layout=layout, settings=SETTINGS)


def test_unknown_words_are_named_once_with_near_ones(runner: TTOM) -> None:
    prompt = "A baloon moves above a xylophone"
    with pytest.raises(UserError) as error:
        check_words(runner.model, runner.load().vocabulary, runner.plan(prompt))
    assert "does not know 'baloon', 'xylophone'" in error.value.problem
    assert error.value.remedy == "balloon for baloon, or another noun, or another `model`"


def test_unknown_words_of_the_scenery_are_reported(runner: TTOM) -> None:
    result = runner.generate("A dog above a house in a nebula", method="base", settings=SETTINGS)
    assert result.report.unknown_words == ("in", "nebula")


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_seeds_out_of_range(runner: TTOM, seed: int) -> None:
    with pytest.raises(UserError, match="`seed` is"):
        runner.generate(PROMPT, seed=seed, settings=SETTINGS)


def test_modes_of_torch(runner: TTOM, steered: Result) -> None:
    with torch.no_grad():
        assert torch.equal(runner.generate(PROMPT, seed=1, settings=SETTINGS).latents, steered.latents)
    with torch.inference_mode(), pytest.raises(UserError, match="inference_mode"):
        runner.generate(PROMPT, seed=1, settings=SETTINGS)


def test_unknown_method_and_preset(runner: TTOM) -> None:
    with pytest.raises(UserError, match="no method 'magic'"):
        runner.generate(PROMPT, method="magic", settings=SETTINGS)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="no preset 'none'"):
        TTOM(preset="none")


def test_presets_of_models(tiny_folder: Path, tmp_path: Path) -> None:
    from ttom import checkpoints

    assert preset_for("emojiworld-wan") == "emojiworld"
    assert preset_for("emojiworld-cogvideox") == "emojiworld-cogvideox"
    assert preset_for("Wan-AI/Wan2.1-T2V-1.3B-Diffusers") == "paper"
    assert preset_for(str(tiny_folder)) == "paper"
    assert preset_for("THUDM/CogVideoX-5b") == preset_for("zai-org/CogVideoX-2b") == "cogvideox"
    assert preset_for("THUDM/CogVideoX1.5-5B") == "cogvideox15"
    for patch, preset in ((None, "cogvideox"), (2, "cogvideox15")):
        folder = tmp_path / preset / "renamed"
        (folder / "transformer").mkdir(parents=True)
        (folder / "model_index.json").write_text('{"_class_name": "CogVideoXPipeline"}')
        (folder / "transformer" / "config.json").write_text(json.dumps({"patch_size_t": patch}))
        assert preset_for(str(folder)) == preset
    (folder / "model_index.json").write_text("[")  # loading says so, not this
    assert preset_for(str(folder)) == "paper"
    for name in checkpoints.EMBEDDED:
        assert preset_for(str(checkpoints.path(name))) == preset_for(name)


def test_progress_counts_up_to_its_totals(runner: TTOM) -> None:
    calls: list[tuple[str, int, int, float | None]] = []
    runner.generate(PROMPT, settings=SETTINGS, progress=lambda *call: calls.append(call))
    last = {stage: (done, total) for stage, done, total, _ in calls}
    assert list(dict.fromkeys(call[0] for call in calls)) == ["plan", "load", "optimize", "sample", "decode"]
    assert last == {"plan": (1, 1), "load": (1, 1), "optimize": (4, 4), "sample": (1, 1), "decode": (1, 1)}
    assert [call[3] for call in calls if call[0] == "optimize" and call[1] > 0] == pytest.approx(
        [loss for losses in runner.generate(PROMPT, settings=SETTINGS).report.tto.losses for loss in losses]
    )


def test_a_loss_that_is_no_number_is_an_error(runner: TTOM) -> None:
    wild = replace(SETTINGS, tto=replace(SETTINGS.tto, lr=1e30))
    with pytest.raises(UserError, match="not a finite number"):
        runner.generate(PROMPT, settings=wild)


def test_results_are_written_before_the_memory(runner: TTOM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A memory that cannot take the adapter in costs no video."""
    from ttom.memory.memory import Lookup

    written = []

    def full(*_: object) -> None:
        written.extend(path.name for path in (tmp_path / "out").iterdir())
        raise SetupError("disk full: cannot write to the memory", remedy="free space there")

    monkeypatch.setattr(Lookup, "keep", full)
    settings = replace(SETTINGS, memory=MemoryConfig(path=str(tmp_path / "memory")))
    with pytest.raises(MemoryUpdateError, match="(?s)the video was made.*disk full.*free space") as error:
        runner.generate(PROMPT, settings=settings, out=tmp_path / "out")
    assert sorted(written) == sorted(FILES)
    saved = Report.load(tmp_path / "out" / "report.json")
    assert saved.memory is not None and saved.memory.inserted is None and not saved.memory.hit
    assert error.value.result.report.identity == saved.identity
    assert error.value.result.video.shape == (5, 16, 32, 3)


def test_the_saved_report_tells_of_the_memory(runner: TTOM, tmp_path: Path) -> None:
    settings = replace(SETTINGS, memory=MemoryConfig(path=str(tmp_path / "memory")))
    result = runner.generate(PROMPT, settings=settings, out=tmp_path / "out")
    saved = Report.load(tmp_path / "out" / "report.json")
    assert saved.memory is not None and saved.memory.inserted == 1
    assert saved.memory == result.report.memory
    assert saved.video_sha256 == hashlib.sha256((tmp_path / "out" / "video.mp4").read_bytes()).hexdigest()


@pytest.mark.parametrize("failing", ["decode", "encode", "disk"])
def test_latents_are_kept_where_only_the_video_failed(
    runner: TTOM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        if failing == "encode":
            raise UserError("the video video.mp4 cannot be encoded")
        if failing == "disk":
            raise OSError(28, os.strerror(28))
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patched:
        patched.setattr(
            "ttom.backbones.wan.WanBackbone.decode" if failing == "decode" else "ttom.video.write_video", fail
        )
        with pytest.raises((UserError, RuntimeError)) as error:
            runner.generate(PROMPT, seed=1, settings=SETTINGS, out=tmp_path)
    assert isinstance(error.value, SetupError) == (failing == "disk")
    assert [path.name for path in tmp_path.iterdir()] == ["latents.safetensors"]
    kept = load_file(tmp_path / "latents.safetensors")["latents"]
    assert torch.equal(kept, runner.generate(PROMPT, seed=1, settings=SETTINGS, out=tmp_path).latents)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)


def test_the_lora_is_exported_without_a_memory(runner: TTOM, tmp_path: Path) -> None:
    result = runner.generate(PROMPT, settings=SETTINGS, save_lora=tmp_path / "lora")
    assert sorted(path.name for path in (tmp_path / "lora").iterdir()) == [
        "README.md", "pytorch_lora_weights.safetensors",
    ]  # fmt: skip
    saved = load_file(tmp_path / "lora" / "pytorch_lora_weights.safetensors")
    assert result.adapter is not None and len(saved) == len(result.adapter)
    assert all(torch.equal(saved[f"transformer.{name}"], value) for name, value in result.adapter.items())
    assert "guided_steps=2" in (tmp_path / "lora" / "README.md").read_text()
    with pytest.raises(UserError, match="base has no LoRA"):
        runner.generate(PROMPT, method="base", settings=SETTINGS, save_lora=tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_loading_from_no_memory_is_an_error(runner: TTOM) -> None:
    settings = replace(SETTINGS, memory=MemoryConfig(use="load"))
    with pytest.raises(UserError, match="`memory.use` is load, but there is no memory"):
        runner.generate(PROMPT, settings=settings)
    runner.generate(PROMPT, method="base", settings=settings)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="no /proc")
def test_closing_frees_the_descriptors_of_memories(tiny_folder: Path, tmp_path: Path) -> None:
    def descriptors() -> set[str]:
        links = [path for path in Path("/proc/self/fd").iterdir() if path.exists()]
        return {name for name in map(os.readlink, links) if name.startswith(str(tmp_path))}

    with TTOM.from_pretrained(str(tiny_folder), device="cpu", preset="emojiworld") as runner:
        for name in ("a", "b"):
            runner.generate(PROMPT, settings=replace(SETTINGS, memory=MemoryConfig(path=str(tmp_path / name))))
        assert descriptors()
    assert not descriptors()
    runner.generate(PROMPT, settings=replace(SETTINGS, memory=MemoryConfig(path=str(tmp_path / "a"))))  # opens it again
    runner.close()
    runner.close()
    assert not descriptors()


def test_a_loaded_pipeline(runner: TTOM, steered: Result) -> None:
    pipe = tiny_pipeline()
    with TTOM.from_pretrained(pipe, preset="emojiworld") as mine:
        assert mine.load().pipe is pipe
        result = mine.generate(PROMPT, seed=1, settings=SETTINGS)
        assert result.report.model == "WanPipeline"
        digest = mine.model_digest
    # The same weights as in the folder; how they lie in memory changes the last bits.
    torch.testing.assert_close(result.latents, steered.latents, rtol=1e-4, atol=1e-4)
    assert digest is not None and digest == TTOM(tiny_pipeline(), preset="emojiworld").model_digest
    with torch.no_grad():
        pipe.transformer.proj_out.weight += 1
    assert TTOM(pipe, preset="emojiworld").model_digest != digest


def test_models_may_be_paths(tiny_folder: Path) -> None:
    mine = TTOM.from_pretrained(Path(tiny_folder), device="cpu", preset="emojiworld")
    assert mine.model == str(tiny_folder)
    loaded = type(mine.load().pipe).from_pretrained(Path(tiny_folder))
    result = TTOM.from_pretrained(loaded, preset="emojiworld").generate(PROMPT, "base", settings=SETTINGS)
    assert result.report.model == str(tiny_folder)
