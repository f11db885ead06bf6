"""A bias as columns of query and key against a dense mask in float64: on tensors, and in both families' forwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from jaxtyping import config
from torch import Tensor
from torch._dynamo.testing import CompileCounter
from torch.nn import functional

from tests.attention.test_joint import write_out
from tests.tiny import TEXT_LENGTH, tiny_cogvideox, tiny_pipeline
from ttom.attention.bias import TokenBias, biased_attention, widened
from ttom.attention.capture import Prefix
from ttom.backbones import CogVideoXBackbone, WanBackbone
from ttom.types import VideoSize


def attend(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    inputs = (x.transpose(1, 2) for x in (query, key, value))
    return functional.scaled_dot_product_attention(*inputs, scale=scale).transpose(1, 2)


def dense(query: Tensor, key: Tensor, value: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The whole matrix, with the bias as a mask."""
    scores = torch.einsum("bshd,bjhd->bhsj", query, key) / query.shape[-1] ** 0.5 + (rows @ columns)[:, None]
    return torch.einsum("bhsj,bjhd->bshd", scores.softmax(-1), value)


def inputs(channels: int, objects: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(channels)
    shapes = [(2, 11, 3, channels), (2, 7, 3, channels), (2, 7, 3, channels), (2, 11, objects), (objects, 7)]
    tensors = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    tensors[3] *= 4
    tensors[4] = (tensors[4] > 0.3).double()  # objects share tokens, and some have none
    return tensors


@pytest.mark.parametrize(("channels", "objects"), [(8, 1), (8, 3), (12, 2), (14, 2), (64, 8)])
def test_values_and_gradients_equal_a_dense_mask(channels: int, objects: int) -> None:
    given = inputs(channels, objects)
    widths: list[int] = []

    def watched(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        widths.extend(x.shape[-1] for x in (query, key, value))
        assert scale == channels**-0.5
        return attend(query, key, value, scale)

    results = []
    weights = torch.randn(2, 11, 3, channels, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for function, more in ((biased_attention, (watched,)), (dense, ())):
        own = [x.clone().requires_grad_() for x in given]
        output = function(*own, *more)
        results.append((output, *torch.autograd.grad((output * weights).sum(), own)))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    assert len(set(widths)) == 1 and widths[0] % 8 == 0 and 0 <= widths[0] - channels - objects < 8


@pytest.mark.parametrize("channels", [64, 128])
def test_strengths_survive_half_precision(channels: int) -> None:
    query, key, value, _, columns = (x.bfloat16() for x in inputs(channels, 2))
    rows = torch.tensor([8.0, -8.0]).expand(2, 11, 2).bfloat16()
    wide = [x.double() for x in (query, key, value, rows, columns)]
    ours = biased_attention(
        query, key, value, rows, columns, lambda *given, scale: attend(*map(torch.Tensor.double, given), scale=scale)
    )
    torch.testing.assert_close(ours, dense(*wide), rtol=1e-2, atol=2e-3)


TOKENS = [[1, 2], [5]]
SIZES = {"wan": VideoSize(9, 32, 48), "cogvideox": VideoSize(17, 32, 48)}
BUILD: dict[str, Callable[[], Any]] = {
    "wan": lambda: WanBackbone("tiny", tiny_pipeline()),
    "cogvideox": lambda: CogVideoXBackbone("tiny", tiny_cogvideox("5b")),
}


class Case:
    """A tiny model with a bias of two objects: towards the left half for one, away from it for the other."""

    def __init__(self, family: str, dtype: torch.dtype = torch.float32) -> None:
        self.backbone = BUILD[family]()
        self.backbone.pipe.to(dtype)
        self.size = SIZES[family]
        text = self.backbone.encode_prompt("two dogs above a cat", "", guidance=True, max_sequence_length=TEXT_LENGTH)
        self.positive, self.negative = text.positive, text.negative
        self.latents = self.backbone.initial_latents(self.size, 0).to(dtype)
        self.timestep = torch.tensor(900.0 if family == "wan" else 900)
        grid = self.backbone.token_grid(self.size)
        left = (torch.arange(grid.count) % grid.width < grid.width // 2).double() * 2 - 1
        tokens = torch.zeros(2, TEXT_LENGTH, dtype=torch.float64)
        tokens[0, 1:3], tokens[1, 5] = 1, 1
        self.bias = TokenBias(torch.stack([5 * left, -3 * left], dim=1).to(dtype), tokens.to(dtype))

    def predict(self, latents: Tensor | None = None) -> Tensor:
        return self.backbone.denoise(self.latents if latents is None else latents, self.timestep, self.positive)

    def blocks(self) -> list[Any]:
        return [self.backbone.transformer.get_submodule(self.backbone.attention.format(b)) for b in range(4)]

    def dense_mask(self, monkeypatch: pytest.MonkeyPatch, blocks: tuple[int, ...]) -> None:
        """Put the bias as a mask into the stock processors' own attention calls in these blocks."""
        mask = self.bias.strength @ self.bias.tokens
        video, text = mask.shape
        joint = torch.zeros(text + video, text + video, dtype=mask.dtype)
        joint[text:, :text] = mask
        on = [False]
        original = functional.scaled_dot_product_attention

        def masked(query: Tensor, key: Tensor, value: Tensor, attn_mask: None = None, **options: Any) -> Tensor:
            chosen = {text: mask, text + video: joint}[key.shape[2]] if on[0] else None
            return original(query, key, value, attn_mask=chosen, **options)

        for b in blocks:
            module = self.blocks()[b]
            module.register_forward_pre_hook(lambda *_: on.__setitem__(0, True))
            module.register_forward_hook(lambda *_: on.__setitem__(0, False))
        monkeypatch.setattr(functional, "scaled_dot_product_attention", masked)
        monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", masked)


@pytest.fixture(params=SIZES)
def case(request: pytest.FixtureRequest) -> Case:
    return Case(request.param)


@pytest.mark.parametrize("family", SIZES)
@pytest.mark.parametrize("blocks", [(0, 1, 2, 3), (1, 2)])
def test_a_forward_and_its_gradients_equal_the_stock_forward_with_a_mask(
    family: str, blocks: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.Tensor, "float", lambda tensor: tensor)  # diffusers' own casts to float32 are off
    case = Case(family, torch.float64)
    weight = case.blocks()[1].to_k.weight
    plain = case.predict().detach()
    weights = torch.randn(plain.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    results = []
    for way in ("columns", "mask"):
        latents = case.latents.clone().requires_grad_()
        if way == "columns":
            with case.backbone.biased(case.bias, blocks):
                prediction = case.predict(latents)
        else:
            case.dense_mask(monkeypatch, blocks)
            prediction = case.predict(latents)
        results.append((prediction, *torch.autograd.grad((prediction * weights).sum(), (latents, weight))))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-11)
    assert (results[0][0] - plain).norm() > 1e-3 * plain.norm()


def test_nothing_is_left_behind(case: Case) -> None:
    originals = [module.processor for module in case.blocks()]
    plain = case.predict()
    with pytest.raises(KeyboardInterrupt), case.backbone.biased(case.bias):
        raise KeyboardInterrupt
    assert all(module.processor is original for module, original in zip(case.blocks(), originals, strict=True))
    assert torch.equal(case.predict(), plain)


def test_no_strength_is_the_plain_model_within_rounding(case: Case) -> None:
    none = TokenBias(torch.zeros_like(case.bias.strength), case.bias.tokens)
    plain = case.predict()
    with case.backbone.biased(none):
        torch.testing.assert_close(case.predict(), plain, rtol=1e-4, atol=1e-5)


def test_in_a_batch_only_the_prompt_has_the_bias(case: Case) -> None:
    with case.backbone.biased(case.bias):
        alone = case.predict()
        twice, both = case.latents.repeat(2, 1, 1, 1, 1), torch.cat([case.negative, case.positive])
        negative, positive = case.backbone.denoise(twice, case.timestep, both).chunk(2)
    torch.testing.assert_close(positive, alone, rtol=1e-4, atol=1e-5)
    plain = case.backbone.denoise(case.latents, case.timestep, case.negative)
    torch.testing.assert_close(negative, plain, rtol=1e-4, atol=1e-5)


def test_gradient_checkpointing_changes_nothing(case: Case) -> None:
    results = []
    for checkpointing in (False, True):
        if checkpointing:
            case.backbone.transformer.enable_gradient_checkpointing()
        with case.backbone.biased(case.bias):
            prediction = case.predict()
            weight = case.blocks()[1].to_q.weight
            results.append((prediction, *torch.autograd.grad(prediction.square().sum(), weight)))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True)) and results[0][1].any()


@pytest.mark.parametrize("in_maps", [True, False])
def test_maps_are_read_with_or_beside_the_bias(case: Case, in_maps: bool) -> None:
    """Watching changes no prediction. The first block's maps are brute force over its own query and key."""
    case.bias = replace(case.bias, in_maps=in_maps)
    seen: dict[int, Tensor] = {}
    plain = {}
    with torch.no_grad():
        with case.backbone.watching(TOKENS, (0, 2), plain.__setitem__):
            case.predict()
        with case.backbone.biased(case.bias):
            expected = case.predict()
            with case.backbone.watching(TOKENS, (0, 2), seen.__setitem__):
                assert torch.equal(case.predict(), expected)
    assert torch.equal(seen[0], plain[0]) != in_maps  # nothing before it is biased
    assert not torch.allclose(seen[2], plain[2], rtol=1e-3)


@pytest.mark.parametrize("family", SIZES)
@pytest.mark.parametrize("form", ["at once", "kernel", "in parts"])
def test_biased_maps_and_their_gradients_equal_a_dense_bias(
    family: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Query and key are caught where the bias is added to them; the last target block's are read, not attended to."""
    monkeypatch.setattr(torch.Tensor, "float", lambda tensor: tensor)
    if form != "at once":
        write_out(monkeypatch, 10_000 if form == "in parts" else 0, kernel=form == "kernel")
    case = Case(family, torch.float64)
    given: list[tuple[Tensor, Tensor]] = []

    def watched(query: Tensor, key: Tensor, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor, float]:
        given.append((query, key))
        return widened(query, key, rows, columns)

    monkeypatch.setattr(f"ttom.attention.{family}.widened", watched)
    latents = case.latents.clone().requires_grad_()
    with case.backbone.biased(case.bias):
        ours = case.backbone.object_maps(latents, case.timestep, case.positive, TOKENS, (1, 3)).flatten(2)
    expected = []
    for query, key in given:
        mask = functional.pad(case.bias.strength @ case.bias.tokens, (0, key.shape[1] - TEXT_LENGTH))
        scores = torch.einsum("bshd,bjhd->bhsj", query, key) / query.shape[-1] ** 0.5 + mask
        shares = scores.softmax(-1).mean(1)[0]
        expected.append(torch.stack([shares[:, positions].mean(-1) for positions in TOKENS]))
    theirs = torch.stack(expected)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)
    weights = torch.randn(theirs.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    gradients = [torch.autograd.grad((maps * weights).sum(), latents, retain_graph=True)[0] for maps in (ours, theirs)]
    assert gradients[1].abs().max() > 1e-6
    torch.testing.assert_close(*gradients, rtol=1e-7, atol=1e-12)


def test_a_backward_of_maps_may_follow_the_bias(case: Case) -> None:
    """Blocks that gradient checkpointing runs again have the bias then too, those whose maps are not read included."""
    case.backbone.transformer.requires_grad_(False)
    weight = case.blocks()[1].to_q.weight.requires_grad_()
    results, prefix = [], Prefix(1)
    for i in range(4):
        if i == 2:
            case.backbone.transformer.enable_gradient_checkpointing()
        with case.backbone.biased(case.bias):
            where = (case.latents, case.timestep, case.positive, TOKENS, (1, 3), prefix if i else None)
            maps = case.backbone.object_maps(*where)
        results.append((maps, *torch.autograd.grad(maps.square().sum(), weight)))
    assert results[0][1].any()
    assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))


def test_a_block_is_compiled_once_for_all_biases(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bias falls from step to step; its tensors are inputs of the compiled code, not constants in it."""
    monkeypatch.setattr(config, "jaxtyping_disable", True)  # torch cannot trace its checks
    torch._dynamo.reset()
    counter, expected, compiled = CompileCounter(), [], []
    for results in (expected, compiled):
        for scale in (1.0, 0.5, 0.25):
            with torch.no_grad(), case.backbone.biased(replace(case.bias, strength=scale * case.bias.strength)):
                results.append(case.predict())
        for block in case.backbone.blocks:
            block.compile(backend=counter, dynamic=False)
    for ours, theirs in zip(compiled, expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert 0 < counter.frame_count <= 2 * len(case.backbone.blocks)
    torch._dynamo.reset()
