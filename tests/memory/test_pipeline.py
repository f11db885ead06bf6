"""Generating with a memory: miss, hit, load, frozen; on the tiny pipeline."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.memory.memories import contents
from ttom import TTOM, UserError
from ttom.backbones.wan import WanBackbone
from ttom.config import AdapterConfig, MemoryConfig, SamplerConfig, Settings, TTOConfig
from ttom.guidance.tto.adapter import LoraAdapter
from ttom.memory.store import Store

PROMPT = "A cat moves left above a house"
SETTINGS = Settings(
    sampler=SamplerConfig(steps=4, guidance_scale=3.0, frames=5, height=32, width=48, max_sequence_length=32),
    adapter=AdapterConfig(rank=4, alpha=4.0),
    tto=TTOConfig(blocks=(1,), lr=1e-2, guided_steps=2, iterations=4),
)


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> TTOM:
    return TTOM.from_pretrained(str(tiny_folder), device="cpu")


def settings(path: Path, **changes: Any) -> Settings:
    return replace(SETTINGS, memory=MemoryConfig(path=str(path), dtype="float32", **changes))


def test_a_miss_generates_as_without_memory_and_inserts(model: TTOM, tmp_path: Path) -> None:
    plain = model.generate(PROMPT, settings=SETTINGS)
    assert plain.report.memory is None
    first = model.generate(PROMPT, settings=settings(tmp_path / "m"))
    assert torch.equal(first.latents, plain.latents)
    memory = first.report.memory
    assert memory.key == "<object A> moves left above <object B>"
    assert (memory.hit, memory.inserted, memory.matches) == (False, 1, ())
    entry = next(Store(tmp_path / "m").entries())
    assert entry.prompt == PROMPT and entry.loss_before == first.report.tto.loss_first
    assert (entry.signature.first, entry.signature.last, entry.signature.rank) == (0, 1, 4)
    assert entry.signature.family == "wan"


def test_a_hit_starts_where_the_last_optimization_ended(model: TTOM, tmp_path: Path) -> None:
    first = model.generate(PROMPT, settings=settings(tmp_path / "m"))
    second = model.generate(PROMPT, settings=settings(tmp_path / "m"))
    memory = second.report.memory
    assert memory.hit and memory.used == "init" and memory.updated == (1,)
    assert memory.matches[0].similarity == pytest.approx(1, abs=1e-5)
    assert second.report.tto.loss_first < first.report.tto.loss_first
    other = model.generate("A dog moves left above a bus", settings=settings(tmp_path / "m"))
    assert other.report.memory.key == memory.key and other.report.memory.hit


def test_loading_optimizes_nothing_but_acts(model: TTOM, tmp_path: Path) -> None:
    model.generate(PROMPT, settings=settings(tmp_path / "m"))
    before = contents(tmp_path / "m" / "values")
    steps: list[str] = []
    loaded = model.generate(
        PROMPT, settings=settings(tmp_path / "m", use="load"), progress=lambda stage, *_: steps.append(stage)
    )
    base = model.generate(PROMPT, settings=SETTINGS, method="base")
    assert loaded.report.memory.used == "load" and "optimize" not in steps
    assert len(loaded.report.tto.losses) == 1
    assert loaded.maps_before is not None and loaded.maps_after is not None
    assert not torch.equal(loaded.maps_before, loaded.maps_after)
    assert not torch.equal(loaded.latents, base.latents)
    assert contents(tmp_path / "m" / "values") == before
    again = model.generate(PROMPT, settings=settings(tmp_path / "m", use="load"))
    assert torch.equal(again.latents, loaded.latents)
    assert torch.equal(model.generate(PROMPT, settings=SETTINGS, method="base").latents, base.latents)


def test_frozen_memory_helps_and_stays_as_it_is(model: TTOM, tmp_path: Path) -> None:
    model.generate(PROMPT, settings=settings(tmp_path / "m"))
    for known in model._memories.values():
        known.close()
    model._memories.clear()
    before = contents(tmp_path / "m")
    frozen = settings(tmp_path / "m", mode="read")
    hit = model.generate(PROMPT, settings=frozen)
    miss = model.generate("Two cats", settings=replace(frozen, memory=replace(frozen.memory, threshold=1.0)))
    assert hit.report.memory.hit and hit.report.memory.updated == ()
    assert not miss.report.memory.hit and miss.report.memory.inserted is None
    assert contents(tmp_path / "m") == before
    with pytest.raises(UserError, match="is not a memory"):
        model.generate(PROMPT, settings=settings(tmp_path / "none", mode="read"))


def test_another_rank_is_refused_with_both_signatures(model: TTOM, tmp_path: Path) -> None:
    model.generate(PROMPT, settings=settings(tmp_path / "m"))
    other = replace(settings(tmp_path / "m"), adapter=AdapterConfig(rank=2, alpha=2.0))
    with pytest.raises(UserError) as caught:
        model.generate(PROMPT, settings=other)
    assert "rank 4" in str(caught.value) and "rank 2" in str(caught.value)


def test_the_signature_tells_what_the_values_fit(tiny: WanBackbone) -> None:
    config = AdapterConfig(rank=4, alpha=4.0)
    signature = LoraAdapter(tiny, config, (1,), seed=0).signature
    assert signature == LoraAdapter(tiny, config, (1,), seed=5).signature
    adapter = LoraAdapter(tiny, config, (1,), seed=0)
    adapter.attach()
    assert signature.shapes == {name: tuple(tensor.shape) for name, tensor in adapter.state_dict().items()}
    adapter.detach()
    others = [
        LoraAdapter(tiny, replace(config, rank=8), (1,), seed=0),
        LoraAdapter(tiny, replace(config, alpha=8.0), (1,), seed=0),
        LoraAdapter(tiny, replace(config, projections=("to_q",)), (1,), seed=0),
        LoraAdapter(tiny, config, (2,), seed=0),
        LoraAdapter(tiny, config, (0, 1), seed=0),
    ]
    different = {signature, *(adapter.signature for adapter in others)}
    assert len(different) == 5  # blocks (0, 1) train the same tensors as block 1 alone
    tiny.transformer.register_to_config(ffn_dim=99)  # type: ignore[operator]
    assert LoraAdapter(tiny, config, (1,), seed=0).signature != signature


def test_optimizing_ahead_stores_what_generating_would(model: TTOM, tmp_path: Path) -> None:
    made = model.generate(PROMPT, settings=settings(tmp_path / "generated"))
    report = model.optimize(PROMPT, settings=settings(tmp_path / "ahead"))
    assert report.tto == made.report.tto and report.memory.inserted == 1
    assert report.seconds.sample is None and report.seconds.optimize > 0
    stores = [Store(tmp_path / name) for name in ("generated", "ahead")]
    generated, ahead = (store.state(next(store.entries())) for store in stores)
    assert generated.keys() == ahead.keys() and all(torch.equal(generated[name], ahead[name]) for name in ahead)
    for wrong in (SETTINGS, settings(tmp_path / "ahead", mode="read"), settings(tmp_path / "ahead", mode="off")):
        with pytest.raises(UserError, match="no memory to fill"):
            model.optimize(PROMPT, settings=wrong)


class Carried:
    """A stand-in for a memory that is in another process."""

    def __init__(self, state: dict[str, torch.Tensor] | None = None) -> None:
        self.state, self.kept = state, None

    def keep(self, adapter: dict[str, torch.Tensor], losses: tuple[float, float]) -> None:
        self.kept = adapter


def test_an_adapter_can_be_carried_in_and_out(model: TTOM, tmp_path: Path) -> None:
    """Where another process owns the memory, videos are the same as with a memory here."""
    here = [model.generate(PROMPT, settings=settings(tmp_path / "m")) for _ in range(2)]
    first = Carried()
    assert torch.equal(model.generate(PROMPT, settings=SETTINGS, recollection=first).latents, here[0].latents)
    second = Carried(first.kept)
    carried = model.generate(PROMPT, settings=SETTINGS, recollection=second)
    assert torch.equal(carried.latents, here[1].latents) and carried.report.memory is None
    optimized = Carried(first.kept)
    model.optimize(PROMPT, settings=SETTINGS, recollection=optimized)
    assert all(torch.equal(tensor, second.kept[name]) for name, tensor in optimized.kept.items())
