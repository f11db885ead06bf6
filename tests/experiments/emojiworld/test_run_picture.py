"""The grid of two runs: the cases that both have, the first ones of each category, frames at the model's own size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from experiments.emojiworld import run_picture
from tests.eval.report.synthetic import HEIGHT, WIDTH, make_case, write_run

SETTINGS: dict[str, Any] = {"sampler": {"height": HEIGHT}}


def test_rows_are_the_first_cases_of_each_category_that_both_runs_have(tmp_path: Path) -> None:
    cases = [make_case(number) for number in range(15)]  # five of each of three categories
    base = write_run(tmp_path / "base", "base", cases, settings=SETTINGS)
    ttom = write_run(tmp_path / "ttom", "ttom", cases, settings=SETTINGS, refused=(cases[0].id,))
    run_picture.draw_runs(base, ttom, tmp_path / "grid" / "a.png")
    picture = np.asarray(Image.open(tmp_path / "grid" / "a.png"))
    row = HEIGHT * run_picture.SCALE + run_picture.MARGIN
    assert picture.shape[0] == 30 + (3 * run_picture.PER_CATEGORY - 1) * row
    assert picture.shape[1] == run_picture.TEXT_WIDTH + run_picture.MARGIN + 2 * 3 * (WIDTH * run_picture.SCALE + 2)


def test_files_of_enlarged_pixels_are_shown_at_the_models_size(tmp_path: Path) -> None:
    own = {"sampler": {"height": HEIGHT // 2}}
    run = write_run(tmp_path / "run", "base", [make_case(0)], settings=own)
    ((case, shown),) = run_picture._shown(run)
    assert case == make_case(0).id and shown.frames.shape == (3, HEIGHT // 2, WIDTH // 2, 3)


def test_cases_without_a_layout_are_left_out(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", "base", [make_case(0), make_case(1)], settings=SETTINGS)
    (run / "cases" / make_case(0).id / "layout.json").unlink()
    assert [case for case, _ in run_picture._shown(run)] == [make_case(1).id]
