"""Loading a backbone from a name or folder, and wrapping a loaded pipeline."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from accelerate import cpu_offload
from diffusers import DDPMPipeline, WanPipeline

from tests.tiny import tiny_cogvideox, tiny_pipeline
from ttom.backbones import CogVideoXBackbone, WanBackbone, load_backbone
from ttom.config import RuntimeConfig
from ttom.errors import UserError


def test_text_encoder_and_vae_precision(tiny_folder: Path, tmp_path: Path) -> None:
    half = tmp_path / "half"
    tiny_pipeline().to(torch.float16).save_pretrained(half)
    pipe = load_backbone(str(half), device="cpu").pipe
    assert {p.dtype for part in (pipe.text_encoder, pipe.transformer, pipe.vae) for p in part.parameters()} == {
        torch.float32
    }
    pipe = load_backbone(str(tiny_folder), device="cpu", dtype="bfloat16").pipe
    assert pipe.vae.dtype == torch.float32 and pipe.transformer.dtype == torch.bfloat16
    assert {p.dtype for p in pipe.text_encoder.parameters()} == {torch.bfloat16}


def test_loading_is_quiet(tiny_folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load_backbone(str(tiny_folder), device="cpu")
    assert capfd.readouterr() == ("", "")


def test_unknown_models(tmp_path: Path, tiny_folder: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name, message in (
        ("no-such-model", "unknown model.*emojiworld-wan"),
        ("./no/such/folder", "unknown model"),
        (str(tmp_path / "empty"), "no diffusers pipeline"),
    ):
        with pytest.raises(UserError, match=f"(?s){message}"):
            load_backbone(name)
    other = tmp_path / "other"
    other.mkdir()
    (other / "model_index.json").write_text(json.dumps({"_class_name": "LTXPipeline", "_diffusers_version": "0"}))
    with pytest.raises(UserError, match="(?s)is a LTXPipeline.*WanPipeline or CogVideoXPipeline"):
        load_backbone(str(other))
    (other / "model_index.json").write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        load_backbone(str(other))
    broken = shutil.copytree(tiny_folder, tmp_path / "broken")
    for file in (broken / "transformer").glob("*.safetensors"):
        file.unlink()
    with pytest.raises(UserError, match="cannot be loaded"):
        load_backbone(str(broken))


def test_devices_and_dtypes(tiny_folder: Path) -> None:
    with pytest.raises(UserError, match="`dtype` is int8"):
        load_backbone(str(tiny_folder), dtype="int8")
    with pytest.raises(UserError, match="`device` is tpu"):
        load_backbone(str(tiny_folder), device="tpu")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="no CUDA device"):
            load_backbone(str(tiny_folder), device="cuda")


def test_a_loaded_pipeline_is_wrapped_as_it_is(tiny_folder: Path) -> None:
    pipe = WanPipeline.from_pretrained(tiny_folder).to(torch.bfloat16)
    backbone = load_backbone(pipe)
    assert type(backbone) is WanBackbone and backbone.pipe is pipe
    assert backbone.name == str(tiny_folder)
    assert backbone.dtype == torch.bfloat16 and pipe.vae.dtype == torch.bfloat16
    assert type(load_backbone(tiny_cogvideox("5b"))) is CogVideoXBackbone
    assert load_backbone(tiny_pipeline()).name == "WanPipeline"  # was never in a folder


def test_a_loaded_pipeline_of_the_users_own_class() -> None:
    class Mine(WanPipeline):
        pass

    pipe = tiny_pipeline()
    assert type(load_backbone(Mine(**pipe.components))) is WanBackbone


def test_runtime_settings_apply_to_a_loaded_pipeline() -> None:
    backbone = load_backbone(tiny_pipeline(), runtime=RuntimeConfig(checkpointing=True))
    assert backbone.transformer.is_gradient_checkpointing  # type: ignore[union-attr]


def test_loaded_pipelines_that_cannot_be_wrapped() -> None:
    pipe = tiny_pipeline()
    for options in ({"device": "cpu"}, {"dtype": "float32"}):
        with pytest.raises(UserError, match="(?s)is loaded already.*leave (device|dtype) out"):
            load_backbone(pipe, **options)
    with pytest.raises(UserError, match="(?s)is a DDPMPipeline.*WanPipeline or CogVideoXPipeline"):
        load_backbone(DDPMPipeline.__new__(DDPMPipeline))
    with pytest.raises(UserError, match="(?s)is a dict.*a model's name"):
        load_backbone({})  # type: ignore[arg-type]
    cpu_offload(pipe.transformer, execution_device=torch.device("cpu"))  # as enable_sequential_cpu_offload does
    with pytest.raises(UserError, match="(?s)layer by layer.*resident_blocks"):
        load_backbone(pipe)
