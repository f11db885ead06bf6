"""The memory's benchmark at a tiny size: every figure is there, and the memory it fills is a sound one."""

from __future__ import annotations

from pathlib import Path

from experiments.bench.memory import fill, item, opening
from ttom.memory.maintenance import verify
from ttom.memory.store import Store


def test_item_and_opening(tmp_path: Path) -> None:
    one = item(tmp_path / "item", 700_000, runs=3)
    assert abs(one["bytes"] - 655_360) < 10_000  # the record takes some thousand
    for name in ("insert_milliseconds", "read_milliseconds"):
        assert 0 < one[name]["min"] <= one[name]["median"] <= one[name]["max"] and one[name]["floor"] > 0
    many = opening(tmp_path / "many", 50, runs=2)
    assert many["entries"] == 50 and many["open_seconds"]["floor"] > 0 and many["row_bytes"] > 768 * 4
    assert set(many["parts"]) == {"store", "embeddings", "index"}


def test_the_filled_memory_is_sound(tmp_path: Path) -> None:
    fill(tmp_path / "m", 30)
    with Store(tmp_path / "m") as store:
        assert len(store) == 30
    assert verify(tmp_path / "m").entries == 30
