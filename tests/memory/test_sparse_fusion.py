"""TIES and DARE against cases worked out by hand."""

from __future__ import annotations

import torch

from ttom.memory.fusion import State, fuse

A, B = "m.lora_A.weight", "m.lora_B.weight"


def state(a: list[float], b: list[float]) -> State:
    return {A: torch.tensor([a]), B: torch.tensor([b]).T.contiguous()}


def test_ties_keeps_the_larger_half_elects_a_sign_and_averages_what_has_it() -> None:
    one = state([4.0, -3.0, 0.1, 0.2], [1.0, 2.0])
    other = state([2.0, 5.0, -0.1, 0.3], [3.0, 4.0])
    third = state([0.1, -0.2, 6.0, 7.0], [-9.0, 0.0])
    fused = fuse([one, other, third], [1.0, 1.0, 1.0], "ties")
    # Larger halves: (4, -3, 0, 0), (2, 5, 0, 0), (0, 0, 6, 7); sums +6, +2, +6, +7.
    torch.testing.assert_close(fused[A], torch.tensor([[3.0, 5.0, 6.0, 7.0]]))
    # Larger halves: (0, 2), (0, 4), (-9, 0); sums -9, +6.
    torch.testing.assert_close(fused[B], torch.tensor([[-9.0], [3.0]]))


def test_dare_doubles_what_it_keeps_and_is_right_on_average() -> None:
    torch.manual_seed(5)
    states = [{A: torch.full((8, 500), value), B: torch.full((500, 8), value)} for value in (1.0, 3.0)]
    before = torch.random.get_rng_state()
    fused = fuse(states, [1.0, 1.0], "dare")
    assert set(fused[A].unique().tolist()) == {0.0, 1.0, 3.0, 4.0}  # halves of 0 or 2, and of 0 or 6
    assert abs(float(fused[A].mean()) - 2.0) < 0.1
    again = fuse(states, [1.0, 1.0], "dare")
    assert all(torch.equal(fused[name], again[name]) for name in fused)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_one_state_stays_as_it_is() -> None:
    only = state([4.0, -3.0, 0.1, 0.2], [1.0, 2.0])
    for how in ("ties", "dare"):
        fused = fuse([only], [0.5], how)  # type: ignore[arg-type]
        assert all(torch.equal(fused[name], only[name]) for name in only)
