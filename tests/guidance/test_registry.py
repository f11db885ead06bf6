"""Methods of one's own: registered in Python, acting before and inside steps, alone and together with ttom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ttom import TTOM, UserError
from ttom.config import AdapterConfig, SamplerConfig, Settings, TTOConfig
from ttom.guidance import METHODS, Inputs, Method, Outcome, Part, Step, find_method, register_method
from ttom.losses import LOSSES, register_loss
from ttom.prepare import Prepared
from ttom.result import Result

PROMPT = "A dog moves up above a bus"
SETTINGS = Settings(
    sampler=SamplerConfig(steps=3, guidance_scale=2.0, frames=5, height=16, width=32, fps=8, max_sequence_length=24),
    adapter=AdapterConfig(rank=2, alpha=2.0),
    tto=TTOConfig(blocks=(1,), lr=1e-2, guided_steps=2, iterations=2),
)


class Push(Part):
    """Moves the latents before the first step, and scales the queries of one block inside the first two."""

    steps = 2

    def __init__(self, prepared: Prepared, amount: float, scale: float) -> None:
        self.prepared, self.amount, self.scale = prepared, amount, scale
        self.forwards: list[int] = []

    def before(self, step: Step) -> Tensor:
        return step.latents + self.amount if step.index == 0 else step.latents

    @contextmanager
    def inside(self, step: Step) -> Iterator[None]:
        def scaled(_module: Any, _inputs: Any, output: Tensor) -> Tensor:
            self.forwards.append(step.index)
            return output * self.scale

        block = self.prepared.backbone.transformer.blocks[0]  # type: ignore[index, union-attr]
        hook = block.attn2.norm_q.register_forward_hook(scaled) if step.index < self.steps else None
        try:
            yield
        finally:
            if hook is not None:
                hook.remove()


@pytest.fixture(scope="module")
def runner(tiny_folder: Path) -> Iterator[TTOM]:
    with TTOM.from_pretrained(str(tiny_folder), device="cpu", preset="emojiworld") as runner:
        yield runner


@pytest.fixture
def made() -> Iterator[list[Push]]:
    """Registers "push", and its two halves."""
    parts: list[Push] = []

    def method(name: str, amount: float, scale: float) -> None:
        def make(inputs: Inputs) -> Sequence[Part]:
            parts.append(Push(inputs.prepared, amount, scale))
            return parts[-1:]

        register_method(Method(name, make))

    names = {"push": (0.1, 2.0), "push-before": (0.1, 1.0), "push-inside": (0.0, 2.0), "push-not": (0.0, 1.0)}
    for name, values in names.items():
        method(name, *values)
    yield parts
    for name in names:
        del METHODS[name]


def run(runner: TTOM, method: str | Method, **options: Any) -> Result:
    return runner.generate(PROMPT, method=method, seed=1, settings=SETTINGS, **options)


def test_a_method_acts_before_and_inside_steps(runner: TTOM, made: list[Push]) -> None:
    base = run(runner, "base").latents
    results = {name: run(runner, name) for name in ("push", "push-before", "push-inside", "push-not")}
    assert torch.equal(results["push-not"].latents, base)
    different = [results[name].latents for name in ("push", "push-before", "push-inside")]
    assert all(not torch.equal(latents, base) for latents in different)
    assert not torch.equal(different[0], different[1]) and not torch.equal(different[0], different[2])
    assert made[0].forwards == [0, 1]  # the conditional forward alone, in the part's steps alone
    assert results["push"].report.method == "push" and results["push"].report.tto is None
    assert torch.equal(run(runner, "base").latents, base)  # and nothing stays


def test_two_methods_are_parts_of_one_loop(runner: TTOM, made: list[Push]) -> None:
    alone = run(runner, "ttom")
    assert torch.equal(run(runner, "ttom+push-not").latents, alone.latents)
    both = run(runner, "ttom+push")
    assert both.report.method == "ttom+push"
    assert both.report.tto is not None and both.adapter is not None
    assert not torch.equal(both.latents, alone.latents)
    assert not torch.equal(both.latents, run(runner, "push").latents)
    # ttom first: its first loss is that of the noise as it was; pushed first, that of what the push made of it.
    assert alone.report.tto is not None and both.report.tto.loss_first == alone.report.tto.loss_first
    other_order = run(runner, "push+ttom")
    assert other_order.report.tto is not None and other_order.report.tto.loss_first != alone.report.tto.loss_first
    assert len({result.report.identity for result in (alone, both, other_order)}) == 3


def test_a_method_is_a_value(runner: TTOM) -> None:
    def make(inputs: Inputs) -> Sequence[Part]:
        assert inputs.prepared.tokens and inputs.prepared.masks is not None and inputs.adapter is None
        return [Push(inputs.prepared, 0.1, 1.0)]

    result = run(runner, Method("unregistered", make))
    assert result.report.method == "unregistered"
    assert not torch.equal(result.latents, run(runner, "base").latents)


def test_a_part_that_fails_is_left(runner: TTOM) -> None:
    left = []

    class Broken(Part):
        def before(self, step: Step) -> Tensor:
            raise RuntimeError("broken")

        def __exit__(self, *_: object) -> None:
            left.append(True)

    with pytest.raises(RuntimeError, match="broken"):
        run(runner, Method("broken", lambda _: [Broken()]))
    assert left == [True]


def test_names() -> None:
    assert find_method("ttom") is METHODS["ttom"]
    assert find_method("ttom+ttom") is METHODS["ttom"]
    both = find_method("base+ttom")
    assert (both.name, both.needs_layout, both.learns) == ("base+ttom", True, True)
    with pytest.raises(UserError, match="(?s)no method 'magic'.*base, bias, .*ttom"):
        find_method("ttom+magic")
    for name in ("ttom", "a+b", ""):
        with pytest.raises(ValueError, match="cannot be called"):
            register_method(Method(name, lambda _: []))


def test_outcomes_of_two_parts_join() -> None:
    maps = torch.ones(1)
    joined = Outcome(losses=[[1.0]]) | Outcome(losses=[[2.0]], maps_before=maps)
    assert joined.losses == [[1.0]] and joined.maps_before is maps
    one, other = Outcome(maps_before=maps, maps_after=maps), Outcome(maps_before=2 * maps, maps_after=2 * maps)
    joined = one | other | Outcome()  # before the first of them, and after the last
    assert joined.maps_before is maps and joined.maps_after is other.maps_after


def test_a_loss_of_ones_own(runner: TTOM) -> None:
    def share_outside(maps: Tensor, masks: Tensor) -> Tensor:
        core = masks > masks.mean(dim=(-2, -1), keepdim=True)
        inside = (maps * core).sum(dim=(-2, -1))
        return 1 - inside / maps.sum(dim=(-2, -1)).clamp_min(1e-6)

    register_loss("share_outside", share_outside)
    try:
        settings = replace(SETTINGS, tto=replace(SETTINGS.tto, loss="share_outside", iterations=4, lr=3e-2))
        tto = runner.generate(PROMPT, settings=settings).report.tto
        assert tto is not None and tto.loss_last < tto.loss_first <= 1
        with pytest.raises(ValueError, match="already"):
            register_loss("share_outside", share_outside)
    finally:
        del LOSSES["share_outside"]
    with pytest.raises(UserError, match="unknown loss 'share_outside'"):
        runner.generate(PROMPT, settings=settings)
