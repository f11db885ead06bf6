"""Weights that do not fit on the GPU, and runtime settings that cannot be combined, are refused with a remedy."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.backbones.test_runtime import CPU
from tests.guidance.tto.sample import Sample
from tests.tiny import tiny_pipeline
from ttom import TTOM
from ttom.backbones import load_backbone, loading
from ttom.backbones.base import PipelineBackbone
from ttom.backbones.runtime import check_fits, prepare
from ttom.backbones.wan import WanBackbone
from ttom.config import RuntimeConfig, SamplerConfig, Settings
from ttom.errors import UserError
from ttom.guidance.tto.adapter import LoraAdapter


def test_weights_that_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """At this size; what is advised for the published models is in tests/bench."""
    monkeypatch.setattr("ttom.backbones.runtime.GIB", 1)
    backbone = WanBackbone("tiny", tiny_pipeline())
    backbone.blocks.extend(copy.deepcopy(backbone.blocks[0]) for _ in range(36))
    weights = sum(p.numel() for p in backbone.transformer.parameters())
    backbone.pipe.vae.ballast = nn.Parameter(torch.zeros(2 * weights))  # as large as real ones are beside these blocks
    sizes = {
        name: sum(p.nbytes for p in part.parameters())
        for name, part in backbone.pipe.components.items()
        if isinstance(part, nn.Module)
    }
    block = sum(p.nbytes for p in backbone.blocks[0].parameters())
    resident = sizes["transformer"] - (len(backbone.blocks) - 4) * block
    check_fits(backbone, sum(sizes.values()))
    saving = "`runtime.offload` `runtime.vae_tiling` `runtime.checkpointing`"
    with pytest.raises(UserError, match=f"(?s)the weights of 'tiny' need.*GPU has.*free.*try: {saving}$"):
        check_fits(backbone, sum(sizes.values()) - 1)
    # Weights that would fit alone leave no room for the optimization.
    streamed = f"try: {saving} `runtime.resident_blocks=4`, and `tto.blocks=3` where the preset's lie deeper$"
    for free in (5 * resident, int(1.4 * sizes["transformer"]) - 1):
        with pytest.raises(UserError, match=streamed):
            check_fits(backbone, free)
    with pytest.raises(UserError, match="try: a smaller model$"):
        check_fits(backbone, 5 * resident - 1)
    backbone.runtime = RuntimeConfig(compile=True)
    with pytest.raises(UserError, match="`runtime.resident_blocks=4`, without `runtime.compile`, and"):
        check_fits(backbone, 5 * resident)
    backbone.runtime = RuntimeConfig(offload=True)
    check_fits(backbone, sizes["transformer"])
    backbone.runtime = RuntimeConfig(offload=True, resident_blocks=4)
    check_fits(backbone, resident)


def test_a_gpu_is_asked_for_its_room_before_anything_is_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = WanBackbone("tiny", tiny_pipeline())
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1, 2**40))
    with pytest.raises(UserError, match="the GPU has 0.0 GiB free"):
        prepare(backbone, torch.device("cuda"), RuntimeConfig())


def test_what_does_not_go_together() -> None:
    with pytest.raises(UserError, match="do not go together"):
        RuntimeConfig(compile=True, resident_blocks=4)
    with pytest.raises(UserError, match="resident_blocks` is 0"):
        RuntimeConfig(resident_blocks=0)
    backbone = WanBackbone("tiny", tiny_pipeline())
    with pytest.raises(UserError, match="(?s)resident_blocks` is 5.*at most 4"):
        prepare(backbone, CPU, RuntimeConfig(resident_blocks=5))
    prepare(backbone, CPU, RuntimeConfig(resident_blocks=2))
    with pytest.raises(UserError, match="(?s)names block 2.*`runtime.resident_blocks=3`"):
        Sample(backbone).run()
    settings = Settings()
    with pytest.raises(UserError, match="`adapter.all_blocks` puts a LoRA"):
        LoraAdapter(backbone, replace(settings.adapter, all_blocks=True), (1,), seed=0)
    with pytest.raises(UserError, match="`sampler.cache_threshold` is 0"):
        SamplerConfig(cache_threshold=0.0)


def test_bfloat16_where_there_is_none(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    with pytest.raises(UserError, match="(?s)this GPU has no bfloat16.*`dtype=float16` or float32"):
        load_backbone(str(tiny_folder), device="cuda", dtype="bfloat16")
    assert loading._dtype("auto", torch.device("cuda"), "owner/large") == torch.float32
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    assert loading._dtype("auto", torch.device("cuda"), "owner/large") == torch.bfloat16


def test_the_library_and_its_report_know(tiny_folder: Path) -> None:
    runtime = RuntimeConfig(checkpointing=True, offload=True)
    runner = TTOM(str(tiny_folder), device="cpu", runtime=runtime)
    backbone = runner.load()
    assert isinstance(backbone, PipelineBackbone) and backbone.runtime == runtime
    assert backbone.pipe.transformer.is_gradient_checkpointing
