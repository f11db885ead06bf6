"""Fusing several LoRAs into one. Letters in shapes: r rank, i inputs, o outputs, m number of LoRAs.

A state holds for each module ``<module>.lora_A.weight`` ``(r, i)`` and ``<module>.lora_B.weight`` ``(o, r)``; what the
module adds to its layer is the product B A, up to the scale of the settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import torch
from torch import Tensor

from ttom.config import Fusion
from ttom.errors import UserError
from ttom.memory.value_format import A, B, modules_of

State = dict[str, Tensor]
_DENSITY = 0.5
"""Share of its numbers that TIES and DARE keep of each tensor."""


def fuse(states: Sequence[State], similarities: Sequence[float], how: Fusion) -> State:
    """Combine LoRAs of equal names and shapes into one of the same shapes.

    Args:
        states: At least one. A single state is returned as a copy, whatever `how` says.
        similarities: One a state: how well its key fits the prompt. Only "similarity" looks at the values.
        how: "average": the means of the A and of the B tensors, as the paper averages retrieved parameters. The product
            of two means is not the mean of the products: it depends on which of its equivalent factorizations
            (B R^-1, R A) each LoRA has, and two LoRAs may cancel out.
            "similarity": the same with weights in proportion to the similarities (negative ones count as 0; equal
            weights if all are 0).
            "svd": the mean of the products B A, truncated by SVD to its best approximation of rank r.
            "ties" (arXiv 2306.01708): of each tensor the larger half of its numbers; the sign with the larger sum wins
            in each place, and the numbers of that sign are averaged. "dare" (arXiv 2311.03099): the mean of tensors of
            which a random half is kept and doubled; the same input gives the same result. Both as in PEFT, on A and B.

    Returns:
        New float32 tensors, on the devices of the first state's.

    Raises:
        UserError: Names, shapes or numbers of the states do not fit.
    """
    if how not in get_args(Fusion):
        raise UserError(
            f"unknown fusion {how!r}",
            expected=f"one of {', '.join(get_args(Fusion))}",
            remedy="use svd or average",
        )
    if not states or len(states) != len(similarities):
        raise ValueError(f"{len(states)} states with {len(similarities)} similarities")
    modules = _check(states)
    first = states[0]
    states = [{name: tensor.to(first[name].device, torch.float32) for name, tensor in s.items()} for s in states]
    if len(states) == 1:
        return {name: tensor.detach().clone() for name, tensor in states[0].items()}
    with torch.no_grad():
        if how == "svd":
            return _svd(states, modules)
        if how in ("ties", "dare"):
            return _sparse(states, how)
        weights = _weights(similarities if how == "similarity" else [1.0] * len(states))
        return {name: _sum([s[name] for s in states], weights) for name in states[0]}


def merge(old: State, new: State, similarity: float) -> State:
    """Move a stored LoRA toward a new one: (old + similarity * new) / (1 + similarity), tensor by tensor.

    The update rule of the paper's released code.

    Args:
        old: The stored state.
        new: A state of the same names and shapes.
        similarity: Of the two keys; one below 0 counts as 0, which leaves the old state as it was.

    Returns:
        New float32 tensors, on the devices of the old state's.
    """
    _check([old, new])
    share = max(float(similarity), 0.0)
    if not share < float("inf"):
        raise ValueError(f"similarity is {similarity}")
    weights = [1 / (1 + share), share / (1 + share)]
    with torch.no_grad():
        return {name: _sum([tensor.float(), new[name].to(tensor.device)], weights) for name, tensor in old.items()}


def _sum(tensors: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """The weighted sum, float32."""
    total = torch.zeros_like(tensors[0], dtype=torch.float32)
    for tensor, weight in zip(tensors, weights, strict=True):
        total += weight * tensor.float()
    return total


def _weights(similarities: Sequence[float]) -> list[float]:
    kept = [max(float(value), 0.0) for value in similarities]
    total = sum(kept)
    if not total < float("inf"):
        raise ValueError(f"similarities are {list(similarities)}")
    return [value / total for value in kept] if total > 0 else [1 / len(kept)] * len(kept)


def _sparse(states: Sequence[State], how: Fusion) -> State:
    """PEFT's TIES or DARE, tensor by tensor."""
    from peft.utils.merge_utils import dare_linear, ties

    count = len(states)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # which numbers DARE drops
        fused = {}
        for name, first in states[0].items():
            tensors = [state[name].cpu() for state in states]
            if how == "ties":  # divides by the number of those that it keeps
                found = ties(tensors, torch.ones(count), _DENSITY)
            else:
                found = dare_linear(tensors, torch.full((count,), 1 / count), _DENSITY)
            fused[name] = found.to(first.device)
        return fused


def _svd(states: Sequence[State], modules: Sequence[str]) -> State:
    fused: State = {}
    for module in modules:
        a, b = truncated_mean([s[module + A] for s in states], [s[module + B] for s in states])
        fused[module + A], fused[module + B] = a, b
    return {name: fused[name] for name in states[0]}  # in the order that they came in


def truncated_mean(a: Sequence[Tensor], b: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Rank-r factors of the mean of the products ``b[j] @ a[j]``: its best approximation in the Frobenius norm.

    The mean, ``(o, i)``, is never formed: with the factors side by side it is B A / m with B ``(o, m r)`` and A
    ``(m r, i)``, and its singular values are those of the core R_B R_A^T / m of their QR decompositions.

    Args:
        a: m tensors ``(r, i)``.
        b: m tensors ``(o, r)``.

    Returns:
        sqrt(S) V^T ``(r, i)`` and U sqrt(S) ``(o, r)``: both factors take the same share of the product. Rows and
        columns past the smaller of i, o and m r are 0.
    """
    rank = a[0].shape[0]
    left, left_core = torch.linalg.qr(torch.cat(list(b), dim=1))
    right, right_core = torch.linalg.qr(torch.cat(list(a), dim=0).T)
    u, values, vt = torch.linalg.svd(left_core @ right_core.T / len(a), full_matrices=False)
    kept = min(rank, len(values))
    root = values[:kept].sqrt()
    out_a, out_b = torch.zeros_like(a[0]), torch.zeros_like(b[0])
    out_a[:kept] = root[:, None] * (vt[:kept] @ right.T)
    out_b[:, :kept] = (left @ u[:, :kept]) * root
    return out_a, out_b


def _check(states: Sequence[State]) -> list[str]:
    """The module names. Raises UserError unless all states are finite LoRA pairs of the same shapes."""
    first = states[0]
    shapes = {name: tuple(tensor.shape) for name, tensor in first.items()}
    try:
        modules = modules_of(shapes)
    except ValueError as error:
        raise UserError(
            f"these adapters cannot be combined: {error}",
            expected=f"<module>{A} (r, inputs) and <module>{B} (outputs, r) for each module",
            remedy="use adapters that ttom has saved",
        ) from None
    for state in states:
        other = {name: tuple(tensor.shape) for name, tensor in state.items()}
        if other != shapes:
            odd = sorted(name for name in shapes.keys() | other.keys() if shapes.get(name) != other.get(name))
            raise UserError(
                f"these adapters cannot be combined: {odd[0]} is {other.get(odd[0], 'missing')} in one and "
                f"{shapes.get(odd[0], 'missing')} in another ({len(odd)} tensors differ)",
                expected="the same tensors of the same shapes",
                remedy="fuse only adapters of the same model, `adapter` and `tto.blocks` settings",
            )
        for name, tensor in state.items():
            if not bool(torch.isfinite(tensor).all()):
                raise UserError(
                    f"the adapter value {name} is not finite", remedy="delete its entry; the optimization diverged"
                )
    return modules
