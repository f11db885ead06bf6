"""The real-size benchmark: every kind of row at tiny size on the CPU, floors, and options that are refused."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from experiments.bench import real_size
from experiments.bench.real_cases import CASES
from experiments.bench.real_models import MODELS, operations

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
    assert "separate file" in refused(*given)
    assert "separate file" in refused("--floors")
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
