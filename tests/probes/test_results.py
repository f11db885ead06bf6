"""What many prompts say together: means, intervals, the recommendation, and the files."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from probes import results
from probes.records import PhraseRow, ProbeResult, PromptRow
from ttom.checkpoints.probe_file import read
from ttom.statistics import bootstrap_interval

BLOCKS, STEPS = (1, 2, 4), (0, 1, 6)


def row(*objects: np.ndarray | None) -> PromptRow:
    """A measured prompt; of each object its mIoU ``(steps, blocks)``, and half of that as AP; None if not found."""
    phrases = []
    for number, values in enumerate(objects):
        measured: dict[str, Any] = {}
        if values is not None:
            measured = {"frames": 5, "share": 0.1, "miou": values.tolist(), "ap": (values / 2)[:, ::-1].tolist()}
        found = values is not None
        phrases.append(PhraseRow(phrase=f"thing {number}", noun="thing", found=found, **measured))
    status = "measured" if any(phrase.found for phrase in phrases) else "nothing found"
    return named(status=status, timesteps=(999.0, 900.0, 100.0), phrases=tuple(phrases))


def named(**rest: Any) -> PromptRow:
    return PromptRow(key={}, prompt="p", seed=0, steps=STEPS, **rest)


@pytest.fixture
def rows() -> list[PromptRow]:
    """Block 2 is best in the guided steps 0 and 1, block 4 just behind it, and block 1 in step 6 alone."""
    rng, made = np.random.default_rng(0), []
    for number in range(30):
        base = rng.uniform(0.2, 0.6)
        early = base + np.array([-0.1, 0.05, 0.04 + (0.1 if number % 2 else -0.1)])
        late = base + np.array([0.4, 0.0, 0.0])
        made.append(row(np.stack([early, early + 0.01, late])))
    return made


def test_the_guided_steps_decide(rows: list[PromptRow]) -> None:
    result = results.summarize(rows, "m", 8, BLOCKS, guided=5)
    assert (result.recommended, result.tied, result.steps_counted) == ((2,), (4,), (0, 1))
    late = results.summarize(rows, "m", 8, BLOCKS, guided=0)  # none of the measured steps is guided: all count
    assert (late.recommended, late.steps_counted) == ((1,), (0, 1, 6))


def test_means_are_over_objects_then_prompts(rows: list[PromptRow]) -> None:
    low, high = np.full((3, 3), 0.2), np.full((3, 3), 0.6)
    result = results.summarize([row(low, high, None), row(high), row(None)], "m", 8, BLOCKS, guided=5)
    assert result.prompts == {"measured": 2, "nothing found": 1, "refused": 0}
    assert result.phrases == {"found": 3, "not found": 2}
    assert result.blocks[0].miou.mean == pytest.approx((0.4 + 0.6) / 2)
    assert result.blocks[0].miou.n == 2

    result = results.summarize(rows, "m", 8, BLOCKS, guided=5)
    table = np.array([one.phrases[0].miou for one in rows])
    cell = next(cell for cell in result.cells if (cell.block, cell.step) == (4, 6))
    assert cell.miou.mean == pytest.approx(table[:, 2, 2].mean(), abs=1e-4)
    assert cell.miou.interval == pytest.approx(bootstrap_interval(table[:, 2, 2]), abs=1e-4)
    assert cell.ap.mean == pytest.approx(table[:, 2, 0].mean() / 2, abs=1e-4)
    assert cell.timestep == 100.0


def test_refused_prompts_count_as_such(rows: list[PromptRow]) -> None:
    result = results.summarize([*rows, named(status="refused", error="no")], "m", 8, BLOCKS, guided=5)
    assert result.prompts == {"measured": 30, "nothing found": 0, "refused": 1}


def test_files(rows: list[PromptRow], tmp_path: Path) -> None:
    result = results.summarize(rows, "m", 8, BLOCKS, guided=5)
    results.write(result, tmp_path)
    assert ProbeResult.model_validate_json((tmp_path / "probe.json").read_bytes()) == result
    assert read(tmp_path / "probe.json") == (2,)
    with (tmp_path / "probe.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(BLOCKS) * len(STEPS)
    for line, cell in zip(lines, result.cells, strict=True):
        assert (int(line["block"]), int(line["step"]), int(line["prompts"])) == (cell.block, cell.step, 30)
        assert (float(line["miou_low"]), float(line["miou_high"])) == cell.miou.interval
        assert (float(line["miou"]), float(line["ap"])) == (cell.miou.mean, cell.ap.mean)
    picture = np.asarray(Image.open(tmp_path / "probe.png").convert("RGB"))
    assert picture.shape[0] > 300 and len(np.unique(picture.reshape(-1, 3), axis=0)) > 50


def test_the_terminals_table_marks_the_recommended_block(rows: list[PromptRow]) -> None:
    lines = results.table(results.summarize(rows, "m", 8, BLOCKS, guided=5)).splitlines()
    assert [line.split()[0] for line in lines] == ["block", "1", "2", "4"]
    assert lines[2].endswith("recommended") and lines[3].endswith("tied") and lines[1].endswith("]")
