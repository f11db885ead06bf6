"""How the probe's order of blocks is compared with that of test-time optimization."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from probes.against_tto import Job, Row, Scores, compare, make_row, read_rows, scores
from probes.records import BlockRow, Mean, ProbeResult
from ttom import TTOM
from ttom.checkpoints import EMBEDDED
from ttom.checkpoints.probe_file import places
from ttom.emojiworld.detector import load_detector
from ttom.emojiworld.prompts import prompts
from ttom.presets import emojiworld


def mean(value: float) -> Mean:
    return Mean(mean=value, interval=(value, value), n=3)


def tto(value: float) -> Scores:
    return Scores(layout_miou=mean(value), presence=mean(1.0))


@pytest.fixture
def probe() -> ProbeResult:
    miou, ap = [0.1, 0.4, 0.3, 0.9], [0.4, 0.1, 0.2, 0.9]
    rows = [BlockRow(block=b, miou=mean(x), ap=mean(y)) for b, (x, y) in enumerate(zip(miou, ap, strict=True))]
    rest: dict[str, Any] = {"rule": "", "method": "", "chance_ap": 0.1, "steps_counted": (0,), "cells": ()}
    counts: dict[str, Any] = {"prompts": {"measured": 3}, "phrases": {"found": 3}}
    best: dict[str, Any] = {"recommended": (1,), "tied": (), "best_by_ap": 3}
    return ProbeResult(model="m", num_blocks=4, blocks=tuple(rows), **best, **counts, **rest)


def test_orders_are_compared_over_the_blocks_that_were_optimized(probe: ProbeResult) -> None:
    result = compare(probe, {block: tto(value) for block, value in enumerate((0.2, 0.6, 0.5))})
    assert [row.block for row in result.blocks] == [0, 1, 2]
    assert result.best_by_tto == 1 and result.recommended == (1,)
    assert result.rank_correlation == {"miou": pytest.approx(1.0), "ap": pytest.approx(-1.0)}


def test_a_row_is_identified_by_weights_settings_prompt_and_seed() -> None:
    first, second = prompts("tune", 1)[:2]
    settings = emojiworld()
    known = Job(first, 3, settings).identity("a")
    assert known == Job(first, 3, emojiworld()).identity("a")
    others = [
        Job(first, 3, settings).identity("b"),
        Job(first, 4, settings).identity("a"),
        Job(first, None, settings).identity("a"),
        Job(first, 3, replace(settings, tto=replace(settings.tto, lr=1.0))).identity("a"),
        Job(second, 3, settings).identity("a"),
        Job(replace(first, seed=9), 3, settings).identity("a"),
    ]
    assert len({known, *others}) == 7


def test_means_leave_out_refused_prompts_and_a_torn_line_is_skipped(tmp_path: Path) -> None:
    made = [
        Row(identity=str(i), prompt="p", seed=i, block=1, layout_miou=value, presence=1.0)
        for i, value in enumerate((0.2, 0.6))
    ]
    rows = [*made, Row(identity="3", prompt="p", seed=3, block=1, refused="no object")]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(row.model_dump_json() for row in rows) + '\n{"identity": "4", "pro')
    assert list(read_rows(file)) == rows
    assert scores(rows).layout_miou.mean == pytest.approx(0.4) and scores(rows).presence.n == 2
    assert list(read_rows(tmp_path / "none.jsonl")) == []


def test_a_row_of_the_embedded_checkpoint() -> None:
    ttom = TTOM.from_pretrained("emojiworld-wan", device="cpu")
    settings = ttom.settings
    quick = replace(settings.tto, guided_steps=1, iterations=1)
    fast = replace(settings, sampler=replace(settings.sampler, steps=2), tto=quick)
    prompt = prompts("tune", 1)[0]
    row = make_row(ttom, load_detector(), Job(prompt, 5, fast), "key")
    assert row.refused is None and row.seed == prompt.seed
    assert row.layout_miou is not None and 0 <= row.layout_miou <= 1 and row.presence is not None


@pytest.mark.parametrize("model", EMBEDDED)
def test_the_probes_of_the_embedded_models_are_records(model: str) -> None:
    file = next(place for place in places(model) if place.is_file())
    assert ProbeResult.model_validate_json(file.read_bytes()).recommended
