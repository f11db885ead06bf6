"""An entry as a LoRA file for stock diffusers and ComfyUI."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.memory.memories import OTHER, SIGNATURE, VECTOR, file_of, new, put
from tests.tiny import tiny_pipeline
from ttom.backbones.cogvideox import CogVideoXBackbone
from ttom.backbones.wan import WanBackbone
from ttom.config import AdapterConfig
from ttom.errors import UserError
from ttom.guidance.tto.adapter import LoraAdapter
from ttom.memory.entries import new_record
from ttom.memory.export import export
from ttom.memory.store import Store


def exported(backbone: Any, tmp_path: Path) -> tuple[Store, int, dict[str, torch.Tensor], LoraAdapter]:
    """A memory with one entry of a random adapter."""
    adapter = LoraAdapter(backbone, AdapterConfig(rank=4, alpha=8.0), (2,), seed=0)
    generator = torch.Generator().manual_seed(1)
    adapter.attach()
    state = {name: torch.randn(t.shape, generator=generator) * 0.3 for name, t in adapter.state_dict().items()}
    adapter.detach()
    store = new(tmp_path / "m")
    id_ = store.insert(state, new_record(key="k", prompt="p", embedding=VECTOR, signature=adapter.signature))
    return store, id_, state, adapter


def output(adapter: LoraAdapter, state: dict[str, torch.Tensor]) -> torch.Tensor:
    """What the transformer gives with an adapter."""
    adapter.attach()
    adapter.load_state_dict(state)
    with torch.no_grad():
        made = forward(adapter.backbone.transformer)
    adapter.detach()
    return made


def forward(transformer: Any) -> torch.Tensor:
    latents = torch.randn(1, 16, 2, 4, 6, generator=torch.Generator().manual_seed(2))
    text = torch.randn(1, 8, 16, generator=torch.Generator().manual_seed(3))
    return transformer(latents, torch.tensor([500.0]), text, return_dict=False)[0]


def test_an_export_loads_into_the_stock_pipeline_at_the_right_scale(tiny: WanBackbone, tmp_path: Path) -> None:
    store, id_, state, adapter = exported(tiny, tmp_path)
    file = export(store, id_, tmp_path / "lora", "diffusers")
    wanted, stock = output(adapter, state), tiny_pipeline()
    with torch.no_grad():
        plain = forward(stock.transformer)
        stock.load_lora_weights(str(file.parent))
        loaded = forward(stock.transformer)
    assert (plain - wanted).abs().max() > 1e-2
    torch.testing.assert_close(loaded, wanted, rtol=1e-5, atol=1e-5)
    export(store, id_, tmp_path / "lora", "diffusers")  # an earlier export is overwritten
    file.write_bytes(b"something else")
    with pytest.raises(UserError, match="is not a LoRA"):
        export(store, id_, tmp_path / "lora", "diffusers")
    with pytest.raises(UserError, match="does not exist"):
        export(store, 9, tmp_path / "lora", "diffusers")


def test_cogvideox_has_a_format_of_its_own(cogvideox: CogVideoXBackbone, tmp_path: Path) -> None:
    store, id_, state, _ = exported(cogvideox, tmp_path)
    file = export(store, id_, tmp_path / "lora", "diffusers")
    assert {name.removeprefix("transformer.") for name in load_file(file)} == state.keys()
    cogvideox.pipe.load_lora_weights(str(file.parent), adapter_name="stock")
    layer = cogvideox.transformer.get_submodule(next(iter(state)).removesuffix(".lora_A.weight"))
    assert layer.scaling["stock"] == 2.0
    with pytest.raises(UserError, match="no ComfyUI name"):
        export(store, id_, tmp_path / "out", "comfyui")


def test_comfyui_gets_the_names_of_the_original_code(tiny: WanBackbone, tmp_path: Path) -> None:
    store, id_, state, _ = exported(tiny, tmp_path)
    tensors = load_file(export(store, id_, tmp_path / "one.safetensors", "comfyui"))
    name = "diffusion_model.blocks.1.cross_attn.o"
    assert torch.equal(tensors[f"{name}.lora_down.weight"], state["blocks.1.attn2.to_out.0.lora_A.weight"])
    assert torch.equal(tensors[f"{name}.lora_up.weight"], state["blocks.1.attn2.to_out.0.lora_B.weight"])
    assert tensors[f"{name}.alpha"] == 8 and len(tensors) == len(state) // 2 * 3
    assert export(store, id_, tmp_path / "folder", "comfyui").name == f"ttom-{id_}.safetensors"


def test_stock_diffusers_reads_the_comfyui_file_at_the_same_scale(tiny: WanBackbone, tmp_path: Path) -> None:
    store, id_, state, adapter = exported(tiny, tmp_path)
    file = export(store, id_, tmp_path / "folder", "comfyui")
    wanted, stock = output(adapter, state), tiny_pipeline()
    stock.load_lora_weights(str(file.parent), weight_name=file.name)
    with torch.no_grad():
        torch.testing.assert_close(forward(stock.transformer), wanted, rtol=1e-5, atol=1e-5)
    other = export(store, id_, tmp_path / "lora", "diffusers")
    shutil.copy(other, file)
    with pytest.raises(UserError, match="not a LoRA in the format comfyui"):
        export(store, id_, tmp_path / "folder", "comfyui")


def test_entries_that_cannot_be_exported(tmp_path: Path) -> None:
    unknown = replace(OTHER, architecture="OtherTransformer")
    with new(tmp_path / "m") as store:
        foreign, damaged = put(store, signature=unknown), put(store, signature=SIGNATURE)
        file_of(store, damaged).write_bytes(b"no tensors")
        with pytest.raises(UserError, match="no LoRA format for the model OtherTransformer"):
            export(store, foreign, tmp_path / "out", "diffusers")
        with pytest.raises(UserError, match="cannot be read"):
            export(store, damaged, tmp_path / "out", "comfyui")
        with pytest.raises(UserError, match="unknown format"):
            export(store, damaged, tmp_path / "out", "other")  # type: ignore[arg-type]
    assert not list((tmp_path / "out").glob("*"))
