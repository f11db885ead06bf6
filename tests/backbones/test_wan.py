"""Loading, sizes and errors of the Wan backbone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from tests.tiny import tiny_pipeline
from ttom import checkpoints
from ttom.backbones import load_backbone
from ttom.backbones.wan import WanBackbone
from ttom.errors import UserError
from ttom.types import TokenGrid, VideoSize


def test_shapes_agree(tiny: WanBackbone) -> None:
    size = VideoSize(9, 32, 48)
    assert tiny.token_grid(size) == TokenGrid(3, 8, 12)
    assert tiny.initial_latents(size, 0).shape == (1, 16, 3, 8, 12)
    assert (tiny.num_blocks, tiny.temporal_compression) == (4, 4)
    tiny.check_size(size)


def test_patches_as_in_the_large_models() -> None:
    backbone = WanBackbone("patched", tiny_pipeline(patch=2))
    size = VideoSize(5, 32, 48)
    assert backbone.token_grid(size) == TokenGrid(2, 4, 6)
    text = backbone.encode_prompt("a dog", "", guidance=False, max_sequence_length=8)
    maps = backbone.object_maps(backbone.initial_latents(size, 0), torch.tensor(9.0), text.positive, [[1]], (0, 1))
    assert maps.shape == (2, 1, 2, 4, 6)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (VideoSize(8, 32, 32), "frames is 8.*4k \\+ 1.*5 or 9"),
        (VideoSize(9, 40, 32), "height is 40.*multiple of 16.*32 or 48"),
        (VideoSize(9, 32, 8), "width is 8"),
    ],
)
def test_impossible_sizes(tiny: WanBackbone, size: VideoSize, message: str) -> None:
    with pytest.raises(UserError, match=f"(?s){message}"):
        tiny.check_size(size)


def test_position_codes_have_an_end(tiny: WanBackbone) -> None:
    reach = 4 * tiny.transformer.config.rope_max_seq_len
    tiny.check_size(VideoSize(9, 32, reach))
    with pytest.raises(UserError, match="(?s)position codes.*fewer --sampler.frames"):
        tiny.check_size(VideoSize(9, 32, reach + 16))


def test_blocks_out_of_range(tiny: WanBackbone) -> None:
    tiny.check_blocks((0, 3))
    with pytest.raises(UserError, match="block 4.*has 4 blocks"):
        tiny.check_blocks((1, 4))


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


def test_wan22_is_refused(tiny: WanBackbone) -> None:
    tiny.pipe.register_to_config(expand_timesteps=True)
    with pytest.raises(UserError, match="Wan 2.2"):
        WanBackbone("ti2v", tiny.pipe)


def test_devices_and_dtypes(tiny_folder: Path) -> None:
    with pytest.raises(UserError, match="--dtype is int8"):
        load_backbone(str(tiny_folder), dtype="int8")
    with pytest.raises(UserError, match="--device is tpu"):
        load_backbone(str(tiny_folder), device="tpu")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="no CUDA device"):
            load_backbone(str(tiny_folder), device="cuda")


def test_checkpoint_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="(?s)no embedded checkpoint.*emojiworld-wan"):
        checkpoints.path("other")
    monkeypatch.setattr(checkpoints, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(UserError, match="missing from"):
        checkpoints.path("emojiworld-wan")
    (tmp_path / "emojiworld-wan").mkdir()
    (tmp_path / "emojiworld-wan" / "model_index.json").touch()
    assert checkpoints.path("emojiworld-wan") == tmp_path / "emojiworld-wan"
