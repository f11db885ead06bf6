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
        (str(tmp_path / "empty"), "is not a diffusers pipeline"),
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


PARTS = {
    "text_encoder": "model.safetensors",
    "transformer": "diffusion_pytorch_model.safetensors",
    "vae": "diffusion_pytorch_model.safetensors",
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    "damage", ["truncated", "empty", "garbage", "no weights", "no config", "bad config", "missing"]
)
def test_every_damaged_part_is_one_error(tiny_folder: Path, tmp_path: Path, part: str, damage: str) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "damaged")
    weights, config = folder / part / PARTS[part], folder / part / "config.json"
    if damage == "truncated":
        weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    elif damage in ("empty", "garbage"):
        weights.write_text("x" * 100 if damage == "garbage" else "")
    elif damage == "no weights":
        weights.unlink()
    elif damage == "no config":
        config.unlink()
    elif damage == "bad config":
        config.write_text("{")
    else:
        shutil.rmtree(folder / part)
    with pytest.raises(UserError, match=r"(?s)cannot be loaded: .*save_pretrained"):
        load_backbone(str(folder), device="cpu")


def change(file: Path, **values: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


@pytest.mark.parametrize("values", [{"num_layers": 3}, {"d_model": 32}, {"vocab_size": 64}])
def test_a_text_encoder_is_never_filled_at_random(tiny_folder: Path, tmp_path: Path, values: dict[str, int]) -> None:
    """transformers initializes what a checkpoint lacks, with a warning."""
    folder = shutil.copytree(tiny_folder, tmp_path / "changed")
    change(folder / "text_encoder" / "config.json", **values)
    with pytest.raises(UserError, match="(?s)text encoder of .*it lacks weights"):
        load_backbone(str(folder), device="cpu")


@pytest.mark.parametrize("tokenizer", ["PreTrainedTokenizerFast", "AutoTokenizer"])
def test_code_in_a_models_folder_never_runs_and_nothing_is_asked(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokenizer: str
) -> None:
    folder, ran = shutil.copytree(tiny_folder, tmp_path / "evil"), tmp_path / "ran"
    code = f"open({str(ran)!r}, 'w').close()\nfrom transformers import *\nEvil = UMT5EncoderModel\n"
    kinds = {"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil", "AutoTokenizer": ["evil.Evil", "evil.Evil"]}
    for part, name in (("text_encoder", "config.json"), ("tokenizer", "tokenizer_config.json")):
        (folder / part / "evil.py").write_text(code)
        change(folder / part / name, auto_map=kinds)
    change(folder / "model_index.json", tokenizer=["transformers", tokenizer])
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("a question was asked"))
    try:
        load_backbone(str(folder), device="cpu")
    except UserError:
        assert tokenizer == "AutoTokenizer"  # which diffusers does not load
    assert not ran.exists()


def test_a_component_of_the_folders_own_code_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    folder, ran = shutil.copytree(tiny_folder, tmp_path / "evil"), tmp_path / "ran"
    (folder / "transformer" / "evil.py").write_text(f"open({str(ran)!r}, 'w').close()\nclass Evil: pass\n")
    change(folder / "model_index.json", transformer=["evil", "Evil"])
    with pytest.raises(UserError, match="cannot be loaded"):
        load_backbone(str(folder), device="cpu")
    assert not ran.exists()


@pytest.mark.parametrize("name", ["\x1b[2JPipeline", ["WanPipeline"], 3, "x" * 5000])
def test_class_names_of_others_are_printed_safely(tmp_path: Path, name: object) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": name}))
    with pytest.raises(UserError) as error:
        load_backbone(str(tmp_path))
    assert "\x1b" not in str(error.value) and len(str(error.value)) < 400


def test_running_out_of_memory_is_not_taken_for_damage(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(WanPipeline, "from_pretrained", full)
    with pytest.raises(RuntimeError, match="can't allocate"):
        load_backbone(str(tiny_folder), device="cpu")


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
        with pytest.raises(UserError, match="(?s)is loaded already.*leave `(device|dtype)` out"):
            load_backbone(pipe, **options)
    with pytest.raises(UserError, match="(?s)is a DDPMPipeline.*WanPipeline or CogVideoXPipeline"):
        load_backbone(DDPMPipeline.__new__(DDPMPipeline))
    with pytest.raises(UserError, match="(?s)is a dict.*a model's name"):
        load_backbone({})  # type: ignore[arg-type]
    cpu_offload(pipe.transformer, execution_device=torch.device("cpu"))  # as enable_sequential_cpu_offload does
    with pytest.raises(UserError, match="(?s)layer by layer.*resident_blocks"):
        load_backbone(pipe)
