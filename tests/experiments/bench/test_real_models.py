"""The published pipelines with random weights: real shapes on the meta device, and their operation counts."""

from __future__ import annotations

import pytest
import torch

from experiments.bench.real_cases import CASES
from experiments.bench.real_models import MODELS, build, operations
from ttom.types import TokenGrid

PARAMETERS = {"wan-14b": 14.29e9, "wan-1.3b": 1.42e9, "cogvideox-5b": 5.57e9, "cogvideox-2b": 1.694e9}
"""Of the transformers, as published."""
GRIDS = {"wan": TokenGrid(21, 30, 52), "cogvideox": TokenGrid(13, 30, 45)}


@pytest.mark.parametrize("name", MODELS)
def test_configurations_are_those_of_the_published_models(name: str) -> None:
    backbone = build(MODELS[name], "meta", torch.bfloat16, text_encoder=True)
    parameters = sum(p.numel() for p in backbone.transformer.parameters())
    assert parameters == pytest.approx(PARAMETERS[name], rel=2e-3)
    assert backbone.dtype == torch.bfloat16
    assert backbone.pipe.vae.dtype == (torch.float32 if "wan" in name else torch.bfloat16)
    encoder = sum(p.numel() for p in backbone.pipe.text_encoder.parameters())
    assert encoder == pytest.approx(5.68e9 if name.startswith("wan") else 4.76e9, rel=1e-2)  # with the embedding
    backbone.check_size(MODELS[name].size)
    assert backbone.token_grid(MODELS[name].size) == GRIDS[name.split("-")[0]]
    kept = {p.dtype for n, p in backbone.transformer.named_parameters() if "scale_shift_table" in n}
    assert kept <= {torch.float32}


def test_operations_are_those_of_a_formula() -> None:
    """Wan 1.3B: products of 32,760 tokens with each block's matrices, self- and cross-attention, twice for guidance."""
    model = MODELS["wan-1.3b"]
    counted = operations(model, CASES["tto-3"].resolved(model))
    tokens, width, ffn, text = 21 * 30 * 52, 12 * 128, 8960, 512
    square, itself, cross = 2 * tokens * width**2, 4 * tokens**2 * width, 4 * tokens * text * width
    mlp, keys_values = 2 * 2 * tokens * width * ffn, 2 * 2 * text * width**2
    block = 6 * square + mlp + keys_values + itself + cross
    assert counted["step"] == pytest.approx(2 * 30 * block, rel=5e-3)
    # Forward: from the first block's cross-attention (its self-attention is kept), where the first LoRA is, to the
    # fourth's second query. Backward (attention counts twice, frozen matrices once): from there to there.
    forward = 3 * block - 4 * square - itself + 5 * square + itself
    backward = 5 * square + 2 * itself + 2 * (6 * square + mlp + 2 * (itself + cross)) + square + mlp + 2 * cross
    assert counted["iteration"] == pytest.approx(forward + backward, rel=1e-2)
