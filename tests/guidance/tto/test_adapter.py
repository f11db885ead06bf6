"""The LoRA: where it sits, that it leaves no trace, and that stock diffusers loads what it saves."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from diffusers import WanPipeline
from torch import Tensor

from ttom.backbones import load_backbone
from ttom.backbones.wan import WanBackbone
from ttom.config import AdapterConfig
from ttom.errors import UserError
from ttom.guidance.tto.adapter import LoraAdapter
from ttom.types import VideoSize

CONFIG = AdapterConfig(rank=4, alpha=12.0)


def prediction(backbone: WanBackbone) -> Tensor:
    text = backbone.encode_prompt("two dogs", "", guidance=False, max_sequence_length=8)
    with torch.no_grad():
        return backbone.denoise(backbone.initial_latents(VideoSize(5, 32, 32), 1), torch.tensor(500.0), text.positive)


def state_of(backbone: WanBackbone) -> dict:
    """Everything that attaching could change."""
    transformer = backbone.transformer
    return {
        "tensors": {k: (v.data_ptr(), v.clone()) for k, v in transformer.state_dict(keep_vars=True).items()},
        "flags": [p.requires_grad for p in transformer.parameters()],
        "modules": [(name, type(m), m.training) for name, m in transformer.named_modules()],
        "attributes": sorted(vars(transformer)),
        "order": list(transformer.state_dict()),
    }


def assert_same(before: dict, after: dict) -> None:
    assert before["tensors"].keys() == after["tensors"].keys()
    for name, (pointer, values) in before["tensors"].items():
        assert after["tensors"][name][0] == pointer and torch.equal(after["tensors"][name][1], values), name
    for key in ("flags", "modules", "attributes", "order"):
        assert before[key] == after[key], key


def fill(adapter: LoraAdapter) -> None:
    """Values with an effect, as if trained."""
    with torch.no_grad():
        for i, parameter in enumerate(adapter.parameters()):
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(i)))


def test_only_where_gradient_arrives(tiny: WanBackbone) -> None:
    adapter = LoraAdapter(tiny, CONFIG, (0, 2), seed=0)
    adapter.attach()
    modules = {name.rsplit(".lora_", 1)[0] for name in adapter.named_parameters()}
    expected = {f"blocks.{b}.attn2.{p}" for b in (0, 1) for p in ("to_q", "to_k", "to_v", "to_out.0")}
    assert modules == expected | {"blocks.2.attn2.to_q", "blocks.2.attn2.to_k"}
    assert {n.split(".lora_")[0] for n, p in tiny.transformer.named_parameters() if p.requires_grad} == {
        *(m for m in modules)
    }


def test_all_blocks_attaches_everywhere_but_trains_the_same(tiny: WanBackbone) -> None:
    adapter = LoraAdapter(tiny, AdapterConfig(rank=4, alpha=4.0, all_blocks=True), (2,), seed=0)
    adapter.attach()
    assert len(adapter.targets) == 16 and len(adapter.parameters()) == 20
    assert "lora_A" in dict(tiny.transformer.blocks[3].attn2.to_v.named_children())
    assert sum(p.requires_grad for p in tiny.transformer.parameters()) == 20


def test_start_values_come_from_the_seed_alone(tiny: WanBackbone) -> None:
    states = []
    for seed, global_seed in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(global_seed)
        before = torch.get_rng_state()
        adapter = LoraAdapter(tiny, AdapterConfig(rank=8, alpha=8.0), (3,), seed)
        adapter.attach()
        assert torch.equal(torch.get_rng_state(), before)
        states.append(adapter.state_dict())
        adapter.detach()
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])
    firsts = torch.cat([v.flatten() for k, v in states[0].items() if "lora_A" in k])
    assert not torch.equal(firsts, torch.cat([v.flatten() for k, v in states[2].items() if "lora_A" in k]))
    assert abs(firsts.std().item() - 1 / 8) < 0.01 and abs(firsts.mean().item()) < 0.01
    assert all(not v.any() for k, v in states[0].items() if "lora_B" in k)


def test_without_training_off_and_detached_equal_the_plain_model(tiny: WanBackbone) -> None:
    plain, before = prediction(tiny), state_of(tiny)
    adapter = LoraAdapter(tiny, CONFIG, (3,), seed=0)
    adapter.attach()
    assert torch.equal(prediction(tiny), plain)  # B is 0
    fill(adapter)
    assert not torch.allclose(prediction(tiny), plain)
    adapter.enabled(False)
    assert torch.equal(prediction(tiny), plain)
    assert not any(p.requires_grad for p in tiny.transformer.parameters())
    adapter.enabled(True)
    assert not torch.allclose(prediction(tiny), plain)
    adapter.detach()
    assert torch.equal(prediction(tiny), plain)
    assert_same(before, state_of(tiny))
    adapter.detach()  # again: no effect


def test_stock_pipeline_loads_what_was_saved(tiny: WanBackbone, tiny_folder: Path, tmp_path: Path) -> None:
    adapter = LoraAdapter(tiny, CONFIG, (2,), seed=0)
    adapter.attach()
    fill(adapter)
    adapter.save(tmp_path, guided_steps=4)
    assert "guided_steps=4" in (tmp_path / "README.md").read_text()
    stock = WanPipeline.from_pretrained(tiny_folder)
    plain = prediction(WanBackbone("stock", stock))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        stock.load_lora_weights(tmp_path)
    loaded = prediction(WanBackbone("stock", stock))
    assert not torch.allclose(loaded, plain)
    assert torch.equal(loaded, prediction(tiny))  # alpha / rank = 3 included


def test_restore_and_refuse_other_shapes(tiny: WanBackbone) -> None:
    adapter = LoraAdapter(tiny, CONFIG, (2,), seed=0)
    adapter.attach()
    fill(adapter)
    state, wanted = adapter.state_dict(), prediction(tiny)
    adapter.detach()
    other = LoraAdapter(tiny, CONFIG, (2,), seed=5)
    other.attach()
    other.load_state_dict(state)
    assert torch.equal(prediction(tiny), wanted)
    with pytest.raises(UserError, match="do not fit"):
        other.load_state_dict({k: v[:1] for k, v in state.items()})
    other.detach()


@pytest.mark.parametrize("disabled", [False, True])
def test_a_users_own_lora_stays(tiny: WanBackbone, tmp_path: Path, disabled: bool) -> None:
    own = LoraAdapter(tiny, CONFIG, (3,), seed=0)
    own.attach()
    fill(own)
    own.save(tmp_path)
    own.detach()
    tiny.pipe.load_lora_weights(tmp_path, adapter_name="style")
    if disabled:
        tiny.pipe.disable_lora()
    with_style, before = prediction(tiny), state_of(tiny)
    adapter = LoraAdapter(tiny, AdapterConfig(rank=2, alpha=2.0), (1,), seed=0)
    adapter.attach()
    assert torch.equal(prediction(tiny), with_style)
    assert all("ttom" in n for n, p in tiny.transformer.named_parameters() if p.requires_grad)
    fill(adapter)
    assert not torch.allclose(prediction(tiny), with_style)
    adapter.enabled(False)
    assert torch.equal(prediction(tiny), with_style)
    adapter.detach()
    assert torch.equal(prediction(tiny), with_style)
    assert_same(before, state_of(tiny))
    assert list(tiny.transformer.peft_config) == ["style"]


def test_weights_are_float32_on_a_bfloat16_model(tiny_folder: Path) -> None:
    backbone = load_backbone(str(tiny_folder), device="cpu", dtype="bfloat16")
    adapter = LoraAdapter(backbone, CONFIG, (1,), seed=0)
    adapter.attach()
    assert {p.dtype for p in adapter.parameters()} == {torch.float32}
    assert backbone.dtype == torch.bfloat16 and prediction(backbone).dtype == torch.bfloat16


def test_a_bfloat16_model_computes_and_keeps_the_lora_in_bfloat16(tiny_folder: Path) -> None:
    """To within rounding of the layer in float64, its gradients too; no float32 copy of the video tokens is kept."""
    backbone = load_backbone(str(tiny_folder), device="cpu", dtype="bfloat16")
    adapter = LoraAdapter(backbone, CONFIG, (3,), seed=0)
    adapter.attach()
    fill(adapter)
    name, kept = "blocks.0.attn2.to_q", []
    layer, named = backbone.transformer.get_submodule(name), adapter.named_parameters()
    first, second = named[f"{name}.lora_A.weight"], named[f"{name}.lora_B.weight"]
    x = torch.randn(1, 50, first.shape[1], dtype=torch.bfloat16, generator=torch.Generator().manual_seed(0))

    def keep(tensor: Tensor) -> Tensor:
        kept.append((tensor.shape, tensor.dtype))
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = layer(x)
    assert {dtype for shape, dtype in kept if 50 in shape} == {torch.bfloat16}
    weight, bias, a, b = (t.detach().double() for t in (layer.weight, layer.bias, first, second))
    a.requires_grad_(), b.requires_grad_()
    expected = x.double() @ (weight + CONFIG.alpha / CONFIG.rank * b @ a).T + bias
    ours = (output, *torch.autograd.grad(output.float().square().sum(), (first, second)))
    theirs = (expected, *torch.autograd.grad(expected.square().sum(), (a, b)))
    assert ours[1].dtype == torch.float32
    for our, their in zip(ours, theirs, strict=True):
        assert (our.double() - their).norm() / their.norm() < 0.02


def test_fused_projections_are_refused(tiny: WanBackbone) -> None:
    tiny.transformer.fuse_qkv_projections()
    with pytest.raises(UserError, match="fused"):
        LoraAdapter(tiny, CONFIG, (1,), seed=0)
