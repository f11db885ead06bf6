"""The faults at a tiny size: nothing is lost, wrong or harmed, and the check itself sees what is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.faults import __main__ as faults
from experiments.faults import corrupt, fill, kill, race, small, table


def test_killed_writers_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    result = kill.run(tmp_path / "kill", 15)
    assert result["kills"] == 15 and result["acknowledged"] > 5 and result["entries"] >= 3
    assert result["upgrades"]["times"] == result["rebuilds"]["times"] == 1
    assert not list(faults.failures("kill", result)), result


def test_damage_costs_no_other_entry(tmp_path: Path) -> None:
    results = corrupt.run(tmp_path, 4)
    assert not list(faults.failures("corrupt", results)), results
    for kind in ("database: emptied", "database: deleted", "log of version 1: deleted", "memory.json: deleted"):
        assert results[kind]["writers stopped"] == results[kind]["times"], kind
    assert results["value: deleted"]["quarantined"] == results["value: deleted"]["times"]


def test_full_disks_are_clear_and_harmless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fill, "SIZES", (600,))
    result = fill.run(tmp_path / "fill", 2)
    assert not list(faults.failures("fill", result)), result
    assert all(result[f"failing {call}"]["full"] for call in ("write", "sync", "rename", "database"))


def test_processes_race_without_harm(tmp_path: Path) -> None:
    result = race.run(tmp_path / "race", 12, processes=2)
    assert result["acknowledged"] >= 12 and result["reads"] > 0
    assert not list(faults.failures("race", result)), result


def test_what_is_lost_or_wrong_is_seen(tmp_path: Path) -> None:
    with small.create(tmp_path / "m") as store:
        for number in range(3):
            small.insert(store, number)
        store.db.execute("UPDATE entries SET key = 'another' WHERE id = 1")
        path = store.values.path(next(store.entries([2])).sha256)
        path.write_bytes(path.read_bytes()[:-1])
    assert small.intact(tmp_path / "m") == {2}
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "0").write_text("start insert 7\ninsert 9 7\nstart delete 2\ndelete 2\nstart replace 1 5\n")
    (logs / "1").write_text("start insert 4\ninsert 1 4\nstart replace 1 6\nreplace 1 6\nerror x\nstart insert 8\n")
    read = kill.Log.of(logs, {3: 2})
    assert read.offered == {9: {7}, 1: {6}, 3: {2}} and read.deleted == {2} and read.acknowledged == 4
    assert read.interrupted == {"replace": 1, "insert": 1} and read.errors == ["x"]
    found = kill._check(tmp_path / "m", read)
    assert (found["lost"], found["came_back"], found["wrong"]) == (1, 1, 2)  # the first has the tensors of another
    assert list(faults.failures("fill", {"a": {"lost": 1, "times": 3}})) == ["fill: a: lost is 1"]


def test_the_command_writes_its_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "result.json"
    monkeypatch.setattr("sys.argv", ["faults", "--out", str(out), "--parts", "race", "--scale", "0.01"])
    assert faults.main() == 0
    result = json.loads(out.read_text())
    assert result["failures"] == [] and result["race"]["lost"] == 0 and result["provenance"]["arguments"]["scale"]


def test_the_page_shows_the_figures_of_the_result() -> None:
    result = json.loads(table.RESULT.read_text())
    page = (Path(__file__).parents[3] / "docs" / "memory.md").read_text(encoding="utf-8")
    unwrapped = " ".join(page.split())
    for line in filter(None, table.table(result).splitlines()):
        assert " ".join(line.split()) in unwrapped, line
    assert result["failures"] == [] and result["kill"]["kills"] >= 300 and not result["provenance"]["dirty"]
