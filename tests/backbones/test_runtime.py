"""Settings of how a pipeline runs: the same result, or as near as each can be; and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partialmethod
from typing import Any

import pytest
import torch
from torch import nn

from tests.backbones.test_cogvideox_tto import Sample as CogVideoXSample
from tests.guidance.tto.sample import Sample
from tests.running import run_loaded
from tests.tiny import tiny_cogvideox, tiny_pipeline
from ttom.backbones.base import PipelineBackbone
from ttom.backbones.cogvideox import CogVideoXBackbone
from ttom.backbones.runtime import prepare
from ttom.backbones.wan import WanBackbone
from ttom.config import RuntimeConfig
from ttom.errors import UserError
from ttom.sampler import Sampler

CPU = torch.device("cpu")
SAMPLES: dict[str, tuple[Callable[[], PipelineBackbone], Any]] = {
    "wan": (lambda: WanBackbone("tiny", tiny_pipeline()), Sample),
    "cogvideox": (lambda: CogVideoXBackbone("tiny", tiny_cogvideox()), CogVideoXSample),
}


def run(family: str, runtime: RuntimeConfig) -> tuple[Any, torch.Tensor, PipelineBackbone]:
    """The optimization of a sample and its video."""
    make, sample = SAMPLES[family]
    backbone = make()
    prepare(backbone, CPU, runtime)
    result = sample(backbone).run()
    return result, backbone.decode(result.latents), backbone


def sampled(backbone: PipelineBackbone) -> torch.Tensor:
    """The plain model's latents."""
    sample = Sample(backbone)  # type: ignore[arg-type]
    return Sampler(backbone, sample.text, sample.settings.sampler).run(sample.latents).latents


@pytest.fixture(scope="module", params=SAMPLES)
def plain(request: pytest.FixtureRequest) -> tuple[str, Any, torch.Tensor]:
    result, video, _ = run(request.param, RuntimeConfig())
    return request.param, result, video


@pytest.mark.parametrize(
    "settings",
    [
        {"checkpointing": True},
        {"offload": True},
        {"resident_blocks": 3},
        {"checkpointing": True, "offload": True, "resident_blocks": 3},
    ],
    ids=lambda settings: " ".join(settings),
)
def test_what_saves_memory_changes_nothing(plain: tuple[str, Any, torch.Tensor], settings: dict[str, Any]) -> None:
    family, expected, video = plain
    result, decoded, backbone = run(family, RuntimeConfig(**settings))
    assert result.outcome.losses == expected.outcome.losses
    assert torch.equal(result.latents, expected.latents) and torch.equal(decoded, video)
    assert all(torch.equal(value, expected.outcome.adapter[name]) for name, value in result.outcome.adapter.items())
    assert backbone.transformer.is_gradient_checkpointing == settings.get("checkpointing", False)
    hooked = [any(hasattr(m, "_diffusers_hook") for m in block.modules()) for block in backbone.blocks]
    assert hooked == [False] * 3 + [settings.get("resident_blocks") == 3]
    encoder = any(hasattr(m, "_diffusers_hook") for m in backbone.pipe.text_encoder.modules())
    assert encoder == settings.get("offload", False)


@pytest.mark.parametrize("family", SAMPLES)
@pytest.mark.parametrize("offload", [False, True])
def test_an_offloaded_vae_comes_to_decode_and_goes(family: str, offload: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    make, sample = SAMPLES[family]
    backbone = make()
    prepare(backbone, CPU, RuntimeConfig(offload=offload))
    latents, vae, moves = sample(backbone).latents, backbone.pipe.vae, []

    def move(device: Any) -> Any:
        moves.append(str(device))
        return vae

    monkeypatch.setattr(vae, "to", move)
    monkeypatch.setattr(type(backbone), "device", torch.device("meta"))  # the only place that is asked for
    monkeypatch.setattr(vae, "decode", lambda *_, **__: moves.append("decode") or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        backbone.decode(latents)
    assert moves == (["meta", "decode", "cpu"] if offload else ["decode"])


def test_tiled_decoding_is_near(plain: tuple[str, Any, torch.Tensor]) -> None:
    """With tiles smaller than these pictures the seams show, or the tiles were not used."""
    family, expected, video = plain
    backbone = SAMPLES[family][0]()
    prepare(backbone, CPU, RuntimeConfig(vae_tiling=True))
    vae = backbone.pipe.vae
    assert vae.use_tiling
    tile = (16, 24, 0.25, 0.5) if family == "cogvideox" else (16, 24, 12, 18)
    vae.enable_tiling(*tile)
    tiled = backbone.decode(expected.latents)
    assert tiled.shape == video.shape and not torch.equal(tiled, video)
    assert (tiled.float() - video.float()).abs().mean() < 20
    vae.disable_tiling()
    assert torch.equal(backbone.decode(expected.latents), video)


@pytest.mark.parametrize("family", SAMPLES)
def test_compiled_blocks_agree(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a backend that runs the traced graphs as they are; the tracing is what could go wrong, or end too early."""
    graphs: list[Any] = []

    def count(graph: Any, inputs: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(nn.Module, "compile", partialmethod(nn.Module.compile, backend=count))
    torch._dynamo.reset()
    with torch._dynamo.config.patch(recompile_limit=1, fail_on_recompile_limit_hit=True):  # the limit is to be raised
        (expected, _, _), (result, _, backbone) = (run(family, RuntimeConfig(compile=on)) for on in (False, True))
        compiled = len(graphs)
        again = SAMPLES[family][1](backbone).run()
    assert compiled > 0 and len(graphs) == compiled, "a second video compiles nothing anew"
    assert again.outcome.losses == result.outcome.losses
    torch.testing.assert_close(
        torch.tensor(result.outcome.losses), torch.tensor(expected.outcome.losses), rtol=1e-4, atol=1e-6
    )
    torch.testing.assert_close(result.latents, expected.latents, rtol=1e-3, atol=1e-4)
    torch._dynamo.reset()


@pytest.mark.parametrize("family", SAMPLES)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_fp8_equals_a_model_of_such_weights(family: str, checkpointing: bool) -> None:
    """Losses, gradients and video, against a plain model whose weights were rounded beforehand."""
    result, _, backbone = run(family, RuntimeConfig(fp8=True, checkpointing=checkpointing))
    low = {name for name, p in backbone.transformer.named_parameters() if p.dtype == torch.float8_e4m3fn}
    assert len(low) > 20 and all("norm" not in name for name in low)
    assert {value.dtype for value in result.outcome.adapter.values()} == {torch.float32}
    make, sample = SAMPLES[family]
    rounded = make()
    for name, parameter in rounded.transformer.named_parameters():
        if name in low:
            parameter.data = parameter.data.to(torch.float8_e4m3fn).float()
    expected = sample(rounded).run()
    assert result.outcome.losses == expected.outcome.losses
    assert torch.equal(result.latents, expected.latents)
    assert all(torch.equal(value, expected.outcome.adapter[name]) for name, value in result.outcome.adapter.items())


def captured(backbone: PipelineBackbone) -> Any:
    """A context that gives the processors which read the maps of blocks 1 and 2."""
    return backbone._captured((1, 2), [[0]])


def test_attention_back_ends() -> None:
    backbone = WanBackbone("tiny", tiny_pipeline())
    prepare(backbone, CPU, RuntimeConfig(attention="native"))
    assert {str(p._attention_backend.value) for p in backbone.pipe.transformer.attn_processors.values()} == {"native"}
    torch.testing.assert_close(sampled(backbone), sampled(WanBackbone("tiny", tiny_pipeline())))
    with captured(backbone) as readers:
        assert {str(reader._attention_backend.value) for reader in readers.values()} == {"native"}
    with pytest.raises(UserError, match="`runtime.attention` is _native_cudnn: "):  # not on a CPU
        prepare(backbone, CPU, RuntimeConfig(attention="_native_cudnn"))
    sampled(WanBackbone("tiny", tiny_pipeline()))  # other models have not changed
    with pytest.raises(UserError, match="`runtime.attention` is no-such"):
        prepare(backbone, CPU, RuntimeConfig(attention="no-such"))
    with pytest.raises(UserError, match="only one attention implementation"):
        prepare(CogVideoXBackbone("tiny", tiny_cogvideox()), CPU, RuntimeConfig(attention="native"))
    with pytest.raises(UserError, match="(?s)`runtime.attention` is sage.*with a backward"):
        RuntimeConfig(attention="sage")


@pytest.mark.parametrize("family", SAMPLES)
def test_batched_guidance_agrees(family: str) -> None:
    make, sample = SAMPLES[family]
    backbone = make()
    one = sample(backbone)
    results, batches = [], set()
    forward = backbone.transformer.forward

    def spy(*args: Any, **kwargs: Any) -> Any:
        batches.add(kwargs["hidden_states"].shape[0])
        return forward(*args, **kwargs)

    backbone.transformer.forward = spy
    for batched in (False, True):
        batches.clear()
        config = replace(one.settings.sampler, batched_guidance=batched)
        results.append(Sampler(backbone, one.text, config).run(one.latents).latents)
        assert batches == {2 if batched else 1}
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", SAMPLES)
@pytest.mark.parametrize("loaded", [False, True], ids=["optimized", "loaded"])
def test_caches_work_after_the_guided_steps_only(family: str, loaded: bool) -> None:
    make, sample = SAMPLES[family]
    backbone = make()
    one = sample(backbone)
    state = one.run().outcome.adapter if loaded else None
    calls = [0] * backbone.num_blocks
    for b, block in enumerate(backbone.blocks):
        # The attention inside: a skipped block is still called.
        block.attn1.register_forward_hook(lambda *_, b=b: calls.__setitem__(b, calls[b] + 1))

    def sampled(threshold: float | None) -> tuple[torch.Tensor, list[int]]:
        calls[:] = [0] * len(calls)
        settings = replace(one.settings, sampler=replace(one.settings.sampler, cache_threshold=threshold))
        one.settings = settings
        if state is not None:
            return run_loaded(one.prepared(), state).latents, list(calls)
        return one.run().latents, list(calls)

    plain, all_calls = sampled(None)
    careful, same_calls = sampled(1e-12)
    eager, few_calls = sampled(1e12)
    again, _ = sampled(None)
    assert torch.equal(plain, careful) and torch.equal(plain, again) and same_calls == all_calls
    forwards = 1 if backbone.batched_guidance else 2
    left = one.settings.sampler.steps - one.settings.tto.guided_steps
    assert few_calls[0] == all_calls[0]
    assert [a - b for a, b in zip(all_calls[1:], few_calls[1:], strict=True)] == [forwards * (left - 1)] * 3
    assert not torch.equal(plain, eager)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("family", SAMPLES)
@pytest.mark.parametrize("fp8", [False, True])
def test_offloaded_parts_come_to_the_gpu_when_needed(family: str, fp8: bool) -> None:
    make, sample = SAMPLES[family]
    results = []
    for runtime in (RuntimeConfig(fp8=fp8), RuntimeConfig(offload=True, resident_blocks=3, fp8=fp8)):
        backbone = make()
        prepare(backbone, torch.device("cuda"), runtime)
        result = sample(backbone).run()
        results.append((result, backbone.decode(result.latents)))
    (plain, video), (other, other_video) = results
    torch.testing.assert_close(
        torch.tensor(other.outcome.losses), torch.tensor(plain.outcome.losses), rtol=1e-5, atol=1e-6
    )
    torch.testing.assert_close(other.latents, plain.latents, rtol=1e-4, atol=1e-5)
    assert (video.int() - other_video.int()).abs().max() <= 1
    assert {p.device.type for p in backbone.blocks[3].parameters()} == {"cpu"}
    assert {p.device.type for p in backbone.blocks[2].parameters()} == {"cuda"}
    assert {p.device.type for p in backbone.pipe.text_encoder.parameters()} == {"cpu"}
    assert {p.device.type for p in backbone.pipe.vae.parameters()} == {"cpu"}
