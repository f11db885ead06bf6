"""The values suffice: whatever becomes of the database, it can be made anew from them."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.memory.memories import contents, file_of, get, new, number, old_memory, put, state
from tests.memory.test_memory import Embedder, ask, learn, make
from ttom.errors import UserError
from ttom.memory import database, maintenance, rebuild, salvage
from ttom.memory.files import VERSION
from ttom.memory.store import Store


def filled(folder: Path, count: int = 5) -> dict[str, float]:
    """A memory of several entries; returns {prompt: number}."""
    with new(folder) as store:
        for i in range(count):
            given = {"layout": {"n": i}, "losses": (0.5, i / 10), "origin": f"row {i}"}
            put(store, i, prompt=f"p{i}", namespace="ann" if i == 1 else "default", **given)
        store.used([3])
        store.delete([1])
    return {f"p{i}": float(i) for i in range(1, count)}


def read(folder: Path) -> dict[str, float]:
    with Store(folder, read_only=True) as store:
        return {entry.prompt: number(store, entry) for entry in store.entries()}


def records(folder: Path) -> dict[str, Any]:
    with Store(folder, read_only=True) as store:
        fields = set(type(next(store.entries())).model_fields) - {"id", "uses", "last_used", "turn"}
        return {entry.prompt: entry.model_dump(mode="json", include=fields) for entry in store.entries()}


@pytest.mark.parametrize("damage", ["gone", "empty", "scribbled", "truncated", "with a trigger", "no memory.json"])
def test_a_lost_database_is_made_anew(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "m"
    wanted = filled(folder)
    known = records(folder)
    path = folder / "entries.sqlite"
    if damage == "gone":
        path.unlink()
    elif damage == "no memory.json":
        (folder / "memory.json").unlink()
    elif damage == "with a trigger":
        db = sqlite3.connect(path)
        db.execute("CREATE TRIGGER t AFTER INSERT ON entries BEGIN DELETE FROM entries; END")
        db.close()
    else:
        data = path.read_bytes()
        path.write_bytes({"empty": b"", "scribbled": b"x" * len(data), "truncated": data[:-9000]}[damage])
    done = rebuild.rebuild(folder)
    assert done.entries == len(wanted) and not done.reindex and not done.quarantined and not done.damaged
    assert read(folder) == wanted and records(folder) == known
    assert maintenance.verify(folder).clean
    if damage == "scribbled":
        assert (folder / "quarantine" / "entries-1.sqlite").read_bytes() == b"x" * len(data)
    if damage in ("with a trigger", "no memory.json"):  # its rows could still be read
        assert done.recovered == 0
        with Store(folder) as store:
            assert store.ids() == [2, 3, 4, 5] and get(store, 3).uses == 1
            assert put(store, 9) == 6


@pytest.mark.parametrize("seed", range(8))
def test_flipped_bits_never_cost_a_value(tmp_path: Path, seed: int) -> None:
    """120 of 120 flips once made the next writer delete values."""
    rng = np.random.default_rng(seed)
    folder = tmp_path / "m"
    wanted = filled(folder)
    path = folder / "entries.sqlite"
    data = bytearray(path.read_bytes())
    data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    path.write_bytes(data)
    try:
        maintenance.verify(folder)
    except UserError:
        rebuild.rebuild(folder)
    assert read(folder) == wanted and maintenance.verify(folder).clean


def test_a_database_that_was_set_back_learns_the_rest_and_keeps_its_counters(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    with new(folder) as store:
        first, second = put(store, 1, prompt="p1"), put(store, 2, prompt="p2")
        store.used([first])
    shutil.copy(folder / "entries.sqlite", tmp_path / "earlier")
    with Store(folder) as store:
        store.replace(first, state(9), loss_after=0.1)
        store.delete([second])
        put(store, 3, prompt="p3")
    shutil.copy(tmp_path / "earlier", folder / "entries.sqlite")
    done = rebuild.rebuild(folder)
    assert (done.entries, done.recovered) == (2, 1)
    assert done.quarantined == {second: "its value is missing"}
    assert read(folder) == {"p1": 9, "p3": 3}
    with Store(folder) as store:
        assert get(store, first).uses == 1 and get(store, first).loss_after == 0.1
        assert store.quarantined() == {second: "its value is missing"}


def test_damaged_values_are_moved_and_named(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    filled(folder)
    with Store(folder) as store:
        bad = file_of(store, 3)
    bad.write_bytes(b"damaged")
    (folder / "entries.sqlite").unlink()
    done = rebuild.rebuild(folder)
    assert done.entries == 3 and done.damaged == (bad.stem,) and not bad.exists()
    assert (folder / "quarantine" / bad.name).read_bytes() == b"damaged"
    assert maintenance.verify(folder).clean


def test_an_old_memory_gets_its_records(tmp_path: Path) -> None:
    folder = old_memory(tmp_path)
    before = {path.name for path in (folder / "values").rglob("*") if path.is_file()}
    keys = [f"<object A> moves {i}" for i in range(4)]
    done = rebuild.rebuild(folder)
    assert (done.entries, done.recovered, done.upgraded) == (4, 0, 3)
    orphan = next(n for n in before if n.startswith("6bff"))  # it may be what is left of an entry
    assert done.set_aside == (orphan.split(".")[0],)
    kept = {path.name for path in (folder / "quarantine").iterdir()}
    assert kept == {orphan, "entries-1.sqlite", *(n for n in kept if n.startswith("entries-1.sqlite-"))}
    with Store(folder) as store:
        assert [entry.key for entry in store.entries()] == keys and store.ids() == [1, 2, 3, 4]
        assert [entry.uses for entry in store.entries()] == [1, 2, 0, 0]
        assert len({entry.sha256 for entry in store.entries()}) == 4  # two had shared one
        assert all(store.checked(e, store.values.read(e.sha256)).stored is not None for e in store.entries())
    (folder / "entries.sqlite").unlink()
    assert rebuild.rebuild(folder).recovered == 4
    with Store(folder) as store:
        assert sorted(entry.key for entry in store.entries()) == keys
        left = {path.name for path in (folder / "values").rglob("*") if path.is_file()}
        assert before & left == {".part-999999-0123456789ab"}


@pytest.mark.parametrize("where", ["with_record", "build", "write_meta", "_put_in_place", "os.replace"])
@pytest.mark.parametrize("kind", ["new", "old"])
def test_an_interrupted_rebuild_is_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, kind: str
) -> None:
    if kind == "new":
        wanted = filled(tmp_path / "m")
        folder = tmp_path / "m"
        (folder / "entries.sqlite").write_bytes(b"x" * 9000)
    else:
        folder = old_memory(tmp_path)
        wanted = {f"a cat moves {i}": 0.0 for i in range(4)}
    calls = {"with_record": 2, "_put_in_place": 2}.get(where, 1)

    def crash(*_: object, **__: object) -> None:
        nonlocal calls
        calls -= 1
        if not calls:
            raise KeyboardInterrupt
        return real(*_, **__)

    target = {"build": database, "os.replace": os, "with_record": salvage}.get(where, rebuild)
    name = where.removeprefix("os.")
    real = getattr(target, name)
    if where == "with_record" and kind == "new":
        pytest.skip("nothing is written anew")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(target, name, crash)
        rebuild.rebuild(folder)
    if kind == "new":
        with pytest.raises(UserError, match="ttom memory rebuild"):
            Store(folder)
    done = rebuild.rebuild(folder)
    assert done.entries == len(wanted)
    if kind == "new":
        assert read(folder) == wanted
    else:
        with Store(folder) as store:
            assert {entry.prompt for entry in store.entries()} == wanted.keys()
    assert not maintenance.verify(folder).quarantined
    assert not list(folder.glob(".part-*")) and not (folder / database.REBUILT).exists()


def test_keys_of_another_embedder_must_be_made_anew(tmp_path: Path) -> None:
    memory = make(tmp_path / "m")
    learn(memory, "left")
    memory.close()
    other = Embedder("other", left=(0, 0, 1))
    maintenance.reindex(tmp_path / "m", other)
    assert not rebuild.rebuild(tmp_path / "m").reindex  # the old rows have the new keys
    (tmp_path / "m" / "entries.sqlite").unlink()
    assert rebuild.rebuild(tmp_path / "m").reindex
    with pytest.raises(UserError, match="reindex"):
        make(tmp_path / "m", other)
    assert not maintenance.verify(tmp_path / "m").quarantined
    maintenance.reindex(tmp_path / "m", other)
    assert ask(make(tmp_path / "m", other), "left").state is not None


def test_others_must_let_go_first_and_folders_that_are_none_stay(tmp_path: Path) -> None:
    filled(tmp_path / "m")
    with Store(tmp_path / "m"), pytest.raises(UserError, match="other processes"):
        rebuild.rebuild(tmp_path / "m")
    (tmp_path / "work" / "values" / "ab").mkdir(parents=True)
    (tmp_path / "work" / "values" / "ab" / f"{'ab' * 32}.safetensors").write_text("mine")
    before = contents(tmp_path / "work")
    for folder in (tmp_path / "work", tmp_path / "none"):
        with pytest.raises(UserError, match="is not a memory"):
            rebuild.rebuild(folder)
    assert contents(tmp_path / "work") == before and not (tmp_path / "none").exists()
    meta = tmp_path / "m" / "memory.json"
    meta.write_text(meta.read_text().replace(f'"version": {VERSION}', f'"version": {VERSION + 1}'))
    with pytest.raises(UserError, match="newer ttom"):
        rebuild.rebuild(tmp_path / "m")


@pytest.mark.parametrize("place", ["folder", "database", "journal"])
def test_a_link_in_the_quarantine_overwrites_nothing(tmp_path: Path, place: str) -> None:
    """With quarantine/ a link to another folder, a file there was overwritten."""
    folder, outside = tmp_path / "m", tmp_path / "outside"
    wanted = filled(folder)
    path = folder / "entries.sqlite"
    path.write_bytes(b"x" * len(path.read_bytes()))
    (folder / "entries.sqlite-journal").write_bytes(b"the journal")
    outside.mkdir()
    for name in ("entries-1.sqlite", "entries-1.sqlite-journal"):
        (outside / name).write_text("mine")
    kept = folder / "quarantine"
    if place == "folder":
        kept.symlink_to(outside)
    else:
        kept.mkdir()
        name = "entries-1.sqlite" if place == "database" else "entries-1.sqlite-journal"
        target = outside / name if place == "journal" else outside / "new"
        (kept / name).symlink_to(target)
    before = contents(outside)
    if place == "folder":
        with pytest.raises(UserError, match="quarantine is a link"):
            rebuild.rebuild(folder)
        kept.unlink()
    rebuild.rebuild(folder)
    assert contents(outside) == before and read(folder) == wanted
    number = 1 if place == "folder" else 2
    assert (kept / f"entries-{number}.sqlite").read_bytes()[:9] == b"x" * 9
    assert (kept / f"entries-{number}.sqlite-journal").read_bytes() == b"the journal"


def test_an_interrupted_rebuild_has_kept_the_damaged_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path / "m")
    (tmp_path / "m" / "entries.sqlite").write_bytes(b"damaged")

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(rebuild, "write_meta", crash)
        rebuild.rebuild(tmp_path / "m")
    rebuild.rebuild(tmp_path / "m")
    assert (tmp_path / "m" / "quarantine" / "entries-1.sqlite").read_bytes() == b"damaged"


def test_an_old_memory_without_its_database_is_left_as_it_is(tmp_path: Path) -> None:
    """Its values cannot say whose they are; the database may still be found."""
    folder = old_memory(tmp_path)
    (folder / "entries.sqlite").rename(tmp_path / "found")
    before = {name: what for name, what in contents(folder).items()}
    with pytest.raises(UserError, match="its 4 values are of version 1"):
        rebuild.rebuild(folder)
    assert contents(folder).items() >= before.items() and not (folder / "quarantine").exists()
    (tmp_path / "found").rename(folder / "entries.sqlite")
    assert rebuild.rebuild(folder).entries == 4


@pytest.mark.parametrize("kind", ["garbage", "another database", "FIFO", "link", "folder", "empty"])
def test_only_a_database_that_a_rebuild_made_replaces_the_old_one(tmp_path: Path, kind: str) -> None:
    """Whatever was called entries.rebuilt replaced the database, which was lost with its counters."""
    folder = tmp_path / "m"
    filled(folder)
    path, outside = folder / database.REBUILT, tmp_path / "outside"
    outside.write_text("mine")
    if kind == "another database":
        with closing(sqlite3.connect(path)) as db:
            db.execute("CREATE TABLE entries (x)")
    elif kind == "FIFO":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(outside)
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"" if kind == "empty" else b"garbage" * 1000)
    before = (folder / "entries.sqlite").read_bytes()
    with pytest.raises(UserError, match="is not a database that a rebuild has made"):
        rebuild.rebuild(folder)
    assert (folder / "entries.sqlite").read_bytes() == before
    assert os.path.lexists(path) and outside.read_text() == "mine"
    with pytest.raises(UserError, match="unfinished rebuild"):
        Store(folder)
