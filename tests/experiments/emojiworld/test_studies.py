"""Studies on EmojiWorld: their variants are options that the harness takes; findings follow from its files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eval.arguments import parse
from eval.report.schema import Cell, Report
from eval.study import Variant
from eval.types import ManifestRow
from experiments.emojiworld import studies
from experiments.emojiworld.studies import GRID, best, remembering, tuning
from tests.eval.cases import case, made
from ttom.config import Settings
from ttom.presets import emojiworld


def settings(variant: Variant) -> Settings:
    return parse(["--suite", "emojiworld", "--out", "-", *variant.options]).settings


def test_tuning_changes_one_setting_at_a_time() -> None:
    preset, variants = emojiworld(), tuning(emojiworld(), list(GRID))
    assert [variant.label for variant in variants[:2]] == ["base", "preset"] and settings(variants[1]) == preset
    for variant in variants[2:]:
        name, _, _ = variant.label.partition("=")
        part, _, key = name.partition(".")
        changed = settings(variant)
        tried = getattr(getattr(changed, part), key)
        assert tried in GRID[name] and tried != getattr(getattr(preset, part), key), variant.label
        both = {part} if name != "adapter.rank" else {"adapter"}
        assert all(getattr(changed, p) == getattr(preset, p) for p in ("sampler", "tto", "adapter") if p not in both)
    ranks = [settings(variant).adapter for variant in variants if variant.label.startswith("adapter.rank")]
    assert {adapter.alpha / adapter.rank for adapter in ranks} == {preset.adapter.alpha / preset.adapter.rank}
    assert len({variant.folder for variant in variants}) == len(variants)


def test_every_variant_but_three_reads_the_memory(tmp_path: Path) -> None:
    variants = remembering(tmp_path)
    for variant in variants:
        memory = settings(variant).memory
        reads = not variant.label.startswith(("base", "tto"))
        assert memory.active == reads, variant.label
        assert not reads or (memory.use, memory.threshold) == (variant.label.split()[0], -1.0), variant.label
    fused = {(s.memory.top_k, s.memory.fusion) for s in map(settings, variants) if s.memory.top_k > 1}
    assert fused == {(k, how) for k in (5, 10) for how in ("average", "similarity", "svd")}


def report(means: dict[str, dict[str, float]]) -> Report:
    run = {
        "folder": "", "method": "", "model": "", "model_digest": "", "settings_hash": "", "identity": "",
        "memory_digest": None, "streaming": False, "settings": {}, "provenance": {}, "made": 1, "refused": 0,
        "failed": 0, "missing": 0, "seconds": None, "peak_bytes": None, "devices": (), "problems": (),
    }  # fmt: skip
    cells = [
        Cell(run=label, metric=metric, proxy=True, by="all", group="all", cases=20, n=20, mean=mean)
        for label, values in means.items()
        for metric, mean in values.items()
    ]
    rest = {"suite": "s", "suite_revision": "1", "baseline": "base", "cases": 20, "categories": (), "columns": ()}
    published = {"paper": "", "version": "", "note": "", "tables": ()}
    runs = [{**run, "label": label} for label in means]
    return Report.model_validate({**rest, "runs": runs, "cells": cells, "averages": (), "published": published})


def test_the_best_variant_keeps_presence_direction_and_relation() -> None:
    base = {"layout_miou": 0.2, "presence": 0.9, "direction": 0.9, "relation": 0.8}
    bold = {"layout_miou": 0.9, "presence": 0.87, "direction": 0.9, "relation": 0.8}
    good = {"layout_miou": 0.5, "presence": 0.89, "direction": 0.85, "relation": 0.8}
    worse = {"layout_miou": 0.4, "presence": 0.95, "direction": 1.0, "relation": 0.9}
    assert best(report({"base": base, "bold": bold, "good": good, "worse": worse})) == "good"
    assert best(report({"base": base, "bold": bold})) == "base"


def test_what_a_memory_found_counts_the_last_row_of_made_cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studies, "losses_of", lambda run: {})
    for variant in remembering(Path()):
        rows = [ManifestRow(identity="", case=case(1), status="failed", error="killed")]
        rows += [made(case(1), b"", memory_entries=("7",)), made(case(2), b"")]
        rows += [ManifestRow(identity="", case=case(3), status="refused", error="no objects")]
        (tmp_path / variant.folder).mkdir()
        text = "".join(f"{row.model_dump_json()}\n" for row in rows)
        (tmp_path / variant.folder / "manifest.jsonl").write_text(text)
    assert studies.remembered(tmp_path) == {"convergence": {"n": 0}, "cases with an entry": 1, "cases": 2}


def test_a_study_of_a_memory_needs_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert studies.main(["memory", "--out", str(tmp_path)]) == 2
    assert "needs a memory" in capsys.readouterr().err


def test_findings_are_written_beside_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = []

    def run_study(out: Path, variants: list[Variant], shared: list[str], judges: list[str]) -> int:
        seen.append(([variant.label for variant in variants], shared, judges))
        (out / "report").mkdir()
        scores = {"base": {"layout_miou": 0.2}, "preset": {"layout_miou": 0.3}}
        (out / "report" / "report.json").write_text(report(scores).model_dump_json())
        return 0

    monkeypatch.setattr(studies, "run_study", run_study)
    call = ["tune", "--out", str(tmp_path), "--settings", "tto.downsample", "--", "--limit", "2"]
    assert studies.main(call) == 0
    labels = ["base", "preset", "tto.downsample=2"]
    assert seen == [(labels, ["--suite", "emojiworld-tune", "--limit", "2"], ["emojiworld"])]
    assert json.loads((tmp_path / "findings.json").read_text()) == {"best": "preset"}
    assert "best: preset" in capsys.readouterr().out


@pytest.mark.slow
def test_methods_from_prompts_to_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole path on an embedded checkpoint with few steps; called again it makes nothing anew."""
    quick = "--sampler.steps 2 --tto.guided-steps 1 --tto.iterations 2 --device cpu --quiet"
    call = ["methods", "--out", str(tmp_path), "--", *quick.split(), "--category", "relation", "--limit", "1"]
    assert studies.main(call) == 0
    found = Report.model_validate_json((tmp_path / "report" / "report.json").read_bytes())
    assert [run.label for run in found.runs] == ["base", "ttom"] and found.baseline == "base"
    metrics = {cell.metric for cell in found.cells if cell.n == 1}
    assert {"layout_miou", "presence", "relation", "flicker", "all_facts"} <= metrics
    assert all(cell.proxy for cell in found.cells)
    assert (tmp_path / "report" / "picture.png").stat().st_size > 1000
    capsys.readouterr()
    assert studies.main(call) == 0
    assert capsys.readouterr().out.count("0 made, 1 kept") == 2
