"""A backbone that knows nothing but the protocol works everywhere, and CONTRIBUTING.md says all that it must have."""

from __future__ import annotations

import ast
import inspect
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.backbones import toy
from ttom import TTOM, UserError
from ttom.backbones import ADAPTERS, load_backbone, protocol
from ttom.config import AdapterConfig, MemoryConfig, SamplerConfig, Settings, TTOConfig
from ttom.guidance.tto.adapter import LoraAdapter

PROMPT = "A red balloon moves from left to right above a blue house"
SETTINGS = Settings(
    sampler=SamplerConfig(steps=4, guidance_scale=2.0, frames=6, height=16, width=32, fps=8, max_sequence_length=20),
    adapter=AdapterConfig(rank=2, alpha=2.0),
    tto=TTOConfig(blocks=(1, 2), lr=3e-2, guided_steps=2, iterations=8),
)


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A pipeline folder of the toy's class, which is entered where load_backbone looks."""
    monkeypatch.setitem(ADAPTERS, "ToyPipeline", (toy.ToyPipeline, toy.ToyBackbone))
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "ToyPipeline", "_diffusers_version": "0"}))
    return tmp_path


def test_from_prompt_to_video_with_a_memory(folder: Path, tmp_path: Path) -> None:
    runner = TTOM.from_pretrained(str(folder), device="cpu")
    assert type(runner.load()) is toy.ToyBackbone
    remembering = replace(SETTINGS, memory=MemoryConfig(path=str(tmp_path / "memory"), threshold=0.5))
    base = runner.generate(PROMPT, method="base", seed=1, settings=SETTINGS)
    first, second = (runner.generate(PROMPT, seed=1, settings=remembering) for _ in range(2))
    assert first.video.shape == (6, 16, 32, 3)
    assert first.masks is not None and first.maps_after is not None
    assert first.masks.masks.shape == first.maps_after.shape == (2, 6, 4, 8)
    assert first.report.tto.loss_last < 0.95 * first.report.tto.loss_first
    assert not torch.equal(first.latents, base.latents)
    # The second begins with what the first has learnt.
    assert second.report.tto.loss_first < first.report.tto.loss_first
    assert not [name for name in runner.load().transformer.state_dict() if "lora" in name]


def test_what_is_exported_loads_into_its_pipeline(folder: Path, tmp_path: Path) -> None:
    ours, theirs = (load_backbone(str(folder), device="cpu") for _ in range(2))
    adapter = LoraAdapter(ours, SETTINGS.adapter, (2,), seed=0)
    adapter.attach()
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.fill_(0.1)
    adapter.save(tmp_path / "lora")
    text = ours.encode_prompt(PROMPT, "", guidance=False, max_sequence_length=20).positive
    latents = torch.randn(1, 3, 2, 8, 8)
    plain = theirs.denoise(latents, torch.tensor(1.0), text)
    theirs.pipe.load_lora_weights(tmp_path / "lora")
    loaded = theirs.denoise(latents, torch.tensor(1.0), text)
    assert not torch.allclose(loaded, plain)
    torch.testing.assert_close(loaded, ours.denoise(latents, torch.tensor(1.0), text))


def test_its_errors_are_the_users(folder: Path) -> None:
    runner = TTOM.from_pretrained(str(folder), device="cpu")
    with pytest.raises(UserError, match="multiples of 4"):
        runner.generate(PROMPT, settings=replace(SETTINGS, sampler=replace(SETTINGS.sampler, width=30)))
    with pytest.raises(UserError, match="names block 3"):
        runner.generate(PROMPT, settings=replace(SETTINGS, tto=replace(SETTINGS.tto, blocks=(3,))))


def members(name: str) -> set[str]:
    """Public names that a class of protocol.py declares."""
    tree = ast.parse(inspect.getsource(protocol))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    named = {node.name for node in body if isinstance(node, ast.FunctionDef)}
    return named | {node.target.id for node in body if isinstance(node, ast.AnnAssign)}  # type: ignore[union-attr]


def test_the_guide_names_every_member_and_the_example_has_no_other_base() -> None:
    guide = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text()
    parts = ("VideoModel", "Steerable", "Backbone")
    for name in (*parts, "Solver"):
        assert 2 <= len(members(name)) <= 12  # a protocol is one idea
        missing = [member for member in members(name) if f"`{member}`" not in guide]
        assert not missing, f"CONTRIBUTING.md does not mention {missing} of {name}"
    assert toy.ToyBackbone.__bases__ == (object,)
    public = {name for name in vars(toy.ToyBackbone) if not name.startswith("_")}
    assert public <= {member for name in parts for member in members(name)}
