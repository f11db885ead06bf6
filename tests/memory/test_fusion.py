"""Fusion of LoRAs against explicit means and the SVD of the full product in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ttom.errors import UserError
from ttom.memory.fusion import Fusion, State, fuse, merge, truncated_mean

R, MODULES = 4, {"blocks.0.attn2.to_q": (24, 40), "blocks.1.attn2.to_k": (33, 17)}  # (in, out)
FUSIONS: tuple[Fusion, ...] = ("average", "similarity", "svd")


def lora(seed: int, rank: int = R) -> State:
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, (inputs, outputs) in MODULES.items():
        state[f"{name}.lora_A.weight"] = torch.randn(rank, inputs, generator=generator)
        state[f"{name}.lora_B.weight"] = torch.randn(outputs, rank, generator=generator)
    return state


def product(state: State, name: str) -> Tensor:
    return state[f"{name}.lora_B.weight"].double() @ state[f"{name}.lora_A.weight"].double()


def turned(state: State, seed: int) -> State:
    """The same products from other factors: B R^-1 and R A."""
    generator = torch.Generator().manual_seed(seed)
    out = {}
    for name in MODULES:
        turn = torch.linalg.qr(torch.randn(R, R, generator=generator))[0] * torch.tensor([2.0, -1.0, 0.5, -3.0])
        out[f"{name}.lora_A.weight"] = turn @ state[f"{name}.lora_A.weight"]
        out[f"{name}.lora_B.weight"] = state[f"{name}.lora_B.weight"] @ torch.linalg.inv(turn)
    return out


def apart(first: State, second: State) -> float:
    """Largest relative distance of the products."""
    pairs = [(product(first, name), product(second, name)) for name in MODULES]
    return max(float((a - b).norm() / b.norm()) for a, b in pairs)


@pytest.mark.parametrize("count", [2, 3, 7, 20])  # 20 of rank 4 stack to more columns than the layers have
def test_svd_is_the_best_of_its_rank(count: int) -> None:
    states = [lora(seed) for seed in range(count)]
    fused = fuse(states, [1.0] * count, "svd")
    for name in MODULES:
        mean = torch.stack([product(state, name) for state in states]).mean(dim=0)
        u, values, vt = torch.linalg.svd(mean, full_matrices=False)
        best = (u[:, :R] * values[:R]) @ vt[:R]
        assert (product(fused, name) - best).norm() / best.norm() < 1e-5
        tail = values[R:].norm()
        assert float((product(fused, name) - mean).norm()) == pytest.approx(float(tail), rel=1e-4, abs=1e-5)
        a, b = fused[f"{name}.lora_A.weight"], fused[f"{name}.lora_B.weight"]
        torch.testing.assert_close(a @ a.T, torch.diag(values[:R].float()), rtol=1e-4, atol=1e-4)  # sqrt(S) V^T
        torch.testing.assert_close(b.T @ b, torch.diag(values[:R].float()), rtol=1e-4, atol=1e-4)  # U sqrt(S)


def test_svd_of_equal_states_is_that_state() -> None:
    state = lora(0)
    assert apart(fuse([state, state, state], [0.2, 0.9, 0.5], "svd"), state) < 1e-5


def test_the_svd_sees_products_and_the_average_sees_factors() -> None:
    """Why fusion by SVD: B R^-1 and R A are the same LoRA, yet averaging them with it gives another, or nothing."""
    first, second = lora(0), lora(1)
    other = turned(second, 5)
    assert apart(other, second) < 1e-5
    assert apart(fuse([first, other], [1, 1], "svd"), fuse([first, second], [1, 1], "svd")) < 1e-4
    assert apart(fuse([first, other], [1, 1], "average"), fuse([first, second], [1, 1], "average")) > 0.1
    minus = {name: -tensor for name, tensor in first.items()}  # (-B)(-A) = B A
    assert apart(fuse([first, minus], [1, 1], "svd"), first) < 1e-5
    assert all(not tensor.any() for tensor in fuse([first, minus], [1, 1], "average").values())


def test_svd_of_layers_narrower_than_the_rank() -> None:
    a, b = torch.randn(2, 4, 3), torch.randn(2, 5, 4)
    out_a, out_b = truncated_mean(list(a), list(b))
    assert out_a.shape == (4, 3) and out_b.shape == (5, 4)
    torch.testing.assert_close(out_b @ out_a, (b @ a).mean(dim=0), rtol=1e-4, atol=1e-5)


def test_svd_of_zero_products() -> None:
    """B is 0 where the optimisation has not moved it yet."""
    states = [{n: torch.zeros_like(t) if "lora_B" in n else t for n, t in lora(seed).items()} for seed in (0, 1)]
    fused = fuse(states, [1, 1], "svd")
    assert all(torch.isfinite(tensor).all() for tensor in fused.values())
    assert all(not product(fused, name).any() for name in MODULES)


def test_average_and_similarity_are_weighted_means() -> None:
    states = [lora(seed) for seed in range(3)]
    mean, weighted = fuse(states, [0.5, 1.5, -2], "average"), fuse(states, [0.5, 1.5, -2], "similarity")
    for name in states[0]:
        torch.testing.assert_close(mean[name], (states[0][name] + states[1][name] + states[2][name]) / 3)
        torch.testing.assert_close(weighted[name], 0.25 * states[0][name] + 0.75 * states[1][name])
    for name, tensor in fuse(states, [0, -1, 0], "similarity").items():
        torch.testing.assert_close(tensor, mean[name])


@pytest.mark.parametrize("how", FUSIONS)
def test_one_state_is_copied(how: Fusion) -> None:
    state = lora(0)
    fused = fuse([state], [0.0], how)
    for name, tensor in fused.items():
        assert torch.equal(tensor, state[name]) and tensor.data_ptr() != state[name].data_ptr()


@pytest.mark.parametrize("how", FUSIONS)
def test_float32_names_shapes_and_inputs_stay(how: Fusion) -> None:
    states = [{name: tensor.bfloat16().requires_grad_() for name, tensor in lora(seed).items()} for seed in range(2)]
    kept = [{name: tensor.clone() for name, tensor in state.items()} for state in states]
    fused = fuse(states, [1, 1], how)
    assert list(fused) == list(states[0])
    for name, tensor in fused.items():
        assert tensor.dtype == torch.float32 and tensor.shape == states[0][name].shape and not tensor.requires_grad
    for state, copy in zip(states, kept, strict=True):
        assert all(torch.equal(state[name], copy[name]) for name in state)


def test_merge() -> None:
    old, new = lora(0), lora(1)
    merged = merge(old, new, 0.6)
    for name in old:
        torch.testing.assert_close(merged[name], (old[name] + 0.6 * new[name]) / 1.6)
        torch.testing.assert_close(merge(old, new, -0.5)[name], old[name])
    assert merged.keys() == old.keys()
    with pytest.raises(UserError, match="tensors differ"):
        merge(old, lora(1, rank=2), 0.6)


def test_states_that_do_not_fit() -> None:
    state = lora(0)
    fewer = {name: tensor for name, tensor in state.items() if "blocks.1" not in name}
    for other in (lora(1, rank=2), fewer, {}):
        with pytest.raises(UserError, match="tensors differ"):
            fuse([state, other], [1, 1], "svd")
    with pytest.raises(UserError, match="not pairs of LoRA tensors: m.bias"):
        fuse([state | {"m.bias": torch.zeros(3)}], [1], "average")
    with pytest.raises(UserError, match="not pairs"):
        fuse([{name: tensor for name, tensor in state.items() if "lora_A" in name}], [1], "average")
    with pytest.raises(UserError, match="there are none"):
        fuse([{}], [1], "average")
    with pytest.raises(UserError, match="cannot be multiplied"):
        fuse([{"m.lora_A.weight": torch.zeros(4, 3), "m.lora_B.weight": torch.zeros(3, 5)}], [1], "svd")
    with pytest.raises(UserError, match="not finite"):
        fuse([state, {name: tensor * torch.nan for name, tensor in state.items()}], [1, 1], "svd")


def test_calls_that_do_not_fit() -> None:
    with pytest.raises(UserError, match="unknown fusion"):
        fuse([lora(0)], [1], "median")  # type: ignore[arg-type]
    for states, similarities in (([], []), ([lora(0)], [1, 2])):
        with pytest.raises(ValueError):
            fuse(states, similarities, "svd")
    with pytest.raises(ValueError, match="similarities"):
        fuse([lora(0), lora(1)], [float("nan"), float("inf")], "similarity")
