"""Killed writers at a tiny size lose nothing, and the check itself sees what is lost or wrong."""

from __future__ import annotations

from pathlib import Path

from experiments.faults import __main__ as faults
from experiments.faults import kill, small


def test_killed_writers_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    result = kill.run(tmp_path / "kill", 15)
    assert result["kills"] == 15 and result["acknowledged"] > 5 and result["entries"] >= 3
    assert result["upgrades"]["times"] == result["rebuilds"]["times"] == 1
    assert not list(faults.failures("kill", result)), result


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
