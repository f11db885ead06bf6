"""The real-size benchmark: real shapes on the meta device, every row at tiny size on the CPU."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from experiments.bench import real_size
from experiments.bench.real_cases import CASES
from experiments.bench.real_models import MODELS, build, operations
from ttom.config import RuntimeConfig
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


ROWS = {
    "wan-14b": "tto-3 tto-3-bare tto-half-late tto-3-24gib pipeline-24gib step-cudnn step-cached",
    "wan-1.3b": "decode decode-tiled",
    "cogvideox-5b": "tto-3 tto-3-bare tto-3-small tto-3-12gib pipeline step-fp8",
}


@pytest.mark.parametrize("name", ROWS)
def test_rows_at_tiny_size(name: str, tmp_path: Path) -> None:
    out = tmp_path / "results" / "real.json"
    arguments = ["--out", str(out), "--models", name, "--tiny", "--device", "cpu", "--runs", "1"]
    cases = ["step", *ROWS[name].split()]
    real_size.main([*arguments, "--cases", "step", "--minutes", "0"])
    assert not out.exists()  # no time, no row
    real_size.main([*arguments, "--cases", "step"])
    real_size.main([*arguments, "--cases", *cases])  # goes on where it stopped
    result = json.loads(out.read_text())
    rows = {row["case"]: row for row in result["rows"]}
    assert list(rows) == cases
    assert len(result["rows"]) == len(rows)
    assert rows["step"]["call"] == 0 and {row["call"] for row in result["rows"]} == {0, 1}
    for case, row in rows.items():
        if CASES[case].runtime.get("attention"):
            assert "RuntimeError" in row["failed"]  # kernels of GPUs: a row that fails keeps the others from nothing
            continue
        assert "failed" not in row, row
        measured = CASES[case].measure
        phases = {"step": {"step"}, "bare": {"iteration"}, "fit": {"iteration", "guided step"}, "decode": {"decode"}}
        assert set(row["seconds"]) >= phases.get(measured, {"encode", "iteration", "step", "decode"})
        if measured == "pipeline":
            assert row["video"][1:] == [64, 96, 3]
            assert row["memory"]["bytes"] > 0 and row["memory"]["read_milliseconds"]["median"] > 0
    lines = out.with_suffix(".md").read_text().splitlines()
    assert len([line for line in lines if line.startswith("| ")]) == len(rows) + 1
    if "tto-3" not in rows:
        return
    assert rows["tto-3"]["losses"] == rows["tto-3-bare"]["losses"]  # the same iterations, with and without Lightning
    whole = next(line for line in lines if line.startswith("| tto-3 |"))
    share = 40 * rows["tto-3"]["seconds"]["iteration"]["median"] / (50 * rows["step"]["seconds"]["step"]["median"])
    assert f"| {share:.1%} |" in whole


def test_every_case_can_be_resolved() -> None:
    for name, model in MODELS.items():
        for case in CASES.values():
            if not case.only or name in case.only:
                blocks = case.resolved(model).tto.blocks
                assert max(blocks) < model.config("transformer")["num_layers"]
                assert RuntimeConfig(**case.runtime).resident_blocks in (None, max(blocks) + 1)


def test_floors_are_added_afterwards(tmp_path: Path) -> None:
    out = tmp_path / "real.json"
    arguments = ["--out", str(out), "--models", "wan-1.3b", "--tiny", "--device", "cpu", "--runs", "1"]
    real_size.main([*arguments, "--cases", "step", "tto-3-small", "step-cached", "decode"])
    before = json.loads(out.read_text())
    real_size.main([*arguments, "--floors"])
    result = json.loads(out.read_text())
    rate = result["calls"][0]["matmul_operations_per_second"]
    floors = {row["case"]: row.pop("floor", None) for row in result["rows"]}
    assert result == before and floors["step-cached"] is None and floors["decode"] is None
    for case, phase in (("step", "step"), ("tto-3-small", "iteration")):
        model = MODELS["wan-1.3b"].small()
        counted = operations(model, CASES[case].resolved(model))[phase]
        assert floors[case] == {"operations": counted, "seconds": round(counted / rate, 6)}
