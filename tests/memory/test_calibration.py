"""Thresholds from prompts of known composition, stored with the memory."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.memory.memories import contents
from tests.memory.test_forgetting import Blind
from tests.memory.test_key_maker import filled, opened
from ttom.cli.calibration_prompts import examples
from ttom.errors import UserError
from ttom.memory import maintenance
from ttom.memory.calibration import (
    DEFAULTS,
    Calibration,
    calibrate,
    jittered,
    keep_calibration,
    nearest,
    stored_calibration,
)
from ttom.memory.key_maker import KeyMaker
from ttom.memory.merging import merge
from ttom.memory.rebuild import rebuild
from ttom.memory.store import Store


def test_shares_of_right_and_wrong_matches_by_hand() -> None:
    keys = np.eye(3, dtype=np.float32)
    queries = np.array([[0.9, 0.1, 0], [0.5, 0.8, 0], [0, 0.3, 0.6]], np.float32)
    found = nearest(queries, keys, ["a", "a", "x"], ["a", "b", "c"])
    assert found.same.tolist() == pytest.approx([0.9, 0.5, -np.inf]) and found.other.tolist() == pytest.approx(
        [0.1, 0.8, 0.6]
    )
    assert (found.found(0.4), found.wrong(0.7)) == (0.5, pytest.approx(1 / 3))


@pytest.mark.parametrize("kind", ["layout", "both"])
def test_layouts_find_their_composition_whatever_the_text_embedder_does(kind: str) -> None:
    found = calibrate(KeyMaker(Blind(0.001), kind), examples(120))
    assert found.found >= 0.8 and found.wrong <= 0.01 and 0.8 < found.threshold < 1
    assert found == calibrate(KeyMaker(Blind(0.001), kind), examples(120))


def test_too_few_prompts_are_refused() -> None:
    with pytest.raises(UserError, match="5 prompts"):
        calibrate(KeyMaker(Blind(0.0), "layout"), examples(6))


def test_boxes_that_are_moved_stay_inside() -> None:
    dice = np.random.default_rng(0)
    for example in examples(30):
        layout = example.query.layout
        moved = jittered(layout, dice)
        for before, after in zip(layout.objects, moved.objects, strict=True):
            for a, b in zip(before.key_frames, after.key_frames, strict=True):
                assert abs(a.box.center[0] - b.box.center[0]) <= 0.0201 and a.box.width == pytest.approx(b.box.width)


def test_a_calibration_is_stored_used_and_dropped_with_its_keys(tmp_path: Path) -> None:
    folder = filled(tmp_path / "m")
    assert opened(folder).config.threshold == DEFAULTS["both"]
    with Store(folder) as store:
        found = Calibration(keys=store.embedder, threshold=0.9, found=0.95, wrong=0.0, prompts=100)
        keep_calibration(store, found)
        assert stored_calibration(store.meta) == found
    assert opened(folder).config.threshold == 0.9 and opened(folder, threshold=0.5).config.threshold == 0.5
    maintenance.reindex(folder, KeyMaker(Blind(0.0), "layout"))
    assert opened(folder).config.threshold == DEFAULTS["layout"]


def calibrated(folder: Path, threshold: float = 0.9) -> Path:
    with Store(filled(folder)) as store:
        keep_calibration(store, Calibration(keys=store.embedder, threshold=threshold, found=1, wrong=0, prompts=100))
    return folder


def test_a_calibration_survives_merging_into_a_new_memory_and_rebuilding(tmp_path: Path) -> None:
    plain, sources = filled(tmp_path / "a"), [calibrated(tmp_path / "b"), calibrated(tmp_path / "c", 0.8)]
    merge([plain, *sources], tmp_path / "new")
    assert opened(tmp_path / "new").config.threshold == 0.9
    merge(sources, plain)  # somebody else's says nothing about a memory of one's own
    assert opened(plain).config.threshold == DEFAULTS["both"]
    (tmp_path / "b" / "entries.sqlite").unlink()
    rebuild(tmp_path / "b")
    assert opened(tmp_path / "b").config.threshold == 0.9
    (tmp_path / "c" / "memory.json").unlink()
    rebuild(tmp_path / "c")
    assert opened(tmp_path / "c").config.threshold == DEFAULTS["both"]


def test_a_calibration_of_other_keys_is_refused_and_a_damaged_one_ignored(tmp_path: Path) -> None:
    folder = filled(tmp_path / "m")
    before = (folder / "memory.json").read_text()
    with Store(folder) as store, pytest.raises(UserError, match="keys of-another"):
        keep_calibration(store, Calibration(keys="of-another", threshold=0.9, found=1, wrong=0, prompts=100))
    assert (folder / "memory.json").read_text() == before
    for damaged in ("text", {"threshold": 7}, {**json.loads(before), "keys": 5}, None):
        (folder / "memory.json").write_text(json.dumps(json.loads(before) | {"calibration": damaged}))
        assert opened(folder).config.threshold == DEFAULTS["both"]
    assert contents(folder)
