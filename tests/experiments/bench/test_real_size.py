"""The real-size benchmark: real shapes on the meta device, every row at tiny size on the CPU."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from experiments.bench import real_size
from experiments.bench.real_cases import CASES
from experiments.bench.real_models import MODELS, build, operations
from ttom.backbones.runtime import check_fits
from ttom.config import RuntimeConfig
from ttom.errors import UserError
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
    "cogvideox-5b": "tto-3 tto-3-bare tto-3-small tto-3-12gib pipeline-8gib step-fp8",
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
            assert "UserError" in row["failed"]  # kernels of GPUs: a row that fails keeps the others from nothing
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


def test_what_does_not_go_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "real.json"

    def refused(*arguments: str) -> str:
        with pytest.raises(SystemExit) as stop:
            real_size.main(["--out", str(out), *arguments])
        assert stop.value.code == 2
        return capsys.readouterr().err

    assert "expected at least 1" in refused("--runs", "0")
    assert "there is no" in refused("--floors") and not out.exists()
    given = ["--models", "wan-1.3b", "--cases", "decode", "--device", "cpu", "--runs", "1"]
    real_size.main(["--out", str(out), *given, "--tiny"])
    before = out.read_text()
    assert "a file of its own" in refused(*given)
    assert "a file of its own" in refused("--floors")
    result = json.loads(before)
    result["calls"][0]["device_name"] = "another GPU"
    out.write_text(json.dumps(result))
    assert "has rows of another GPU" in refused(*given, "--tiny")


def test_the_allocator_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float] = []
    total = SimpleNamespace(total_memory=80 * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: total)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda fraction, _: given.append(fraction))
    for gib in (8, 100, None):
        real_size.limit_memory(torch.device("cuda", 0), gib)
    real_size.limit_memory(torch.device("cpu"), 8)
    assert given == [0.1, 1.0, 1.0]


RESULT = Path(real_size.__file__).parent / "results" / "real_size.json"
FREE = (5.5, 7.5, 11.5, 15.5, 23.5, 31.5, 47.5)
"""GiB free on GPUs that are sold, a little for CUDA itself taken off."""


@pytest.mark.parametrize("name", MODELS)
def test_what_a_small_gpu_is_advised_was_measured_to_fit(name: str) -> None:
    """The optimisation at block 3 with checkpointing, and decoding in tiles; all but 4 blocks streamed if need be."""
    rows = {row["case"]: row for row in json.loads(RESULT.read_text())["rows"] if row["model"] == name}
    streamed = next(row["peak_gib"] for case, row in rows.items() if case.startswith("pipeline"))
    backbone = build(MODELS[name], "meta", torch.bfloat16, text_encoder=True)
    whole, blocks = (
        sum(p.nbytes for p in part.parameters()) / 2**30 for part in (backbone.transformer, backbone.blocks)
    )
    decoding = streamed["decode"] - (whole - blocks * (1 - 4 / backbone.num_blocks))
    kept = max(rows["tto-3-checkpointing"]["peak_gib"]["iteration"], whole + decoding)
    advised = []
    for free in FREE:
        try:
            check_fits(backbone, int(free * 2**30))
        except UserError as error:
            if "a smaller model" not in str(error):
                assert "`runtime.offload` `runtime.vae_tiling` `runtime.checkpointing`" in str(error)
                advised.append(max(streamed.values()) if "resident_blocks=4" in str(error) else kept)
                assert advised[-1] <= free, (name, free, str(error))
    assert advised
