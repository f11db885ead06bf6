"""The schema: version 1 becomes version 2 word for word, and nothing else is taken for either."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.memory.memories import new, old_memory, put
from ttom.memory import copying, database
from ttom.memory.files import DamagedMemory
from ttom.memory.store import Store


def schema(path: Path) -> dict[str, str]:
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall()
    return {name: " ".join(sql.split()).replace(" IF NOT EXISTS", "") for name, sql in rows}


def test_migrated_rebuilt_and_new_databases_have_one_schema(tmp_path: Path) -> None:
    with new(tmp_path / "new") as store:
        put(store)
    old = old_memory(tmp_path, orphan=False)
    before = schema(old / "entries.sqlite")
    Store(old).close()
    database.build(tmp_path, [], [], [], 7)
    wanted = schema(tmp_path / "new" / "entries.sqlite")
    assert schema(old / "entries.sqlite") == schema(tmp_path / database.REBUILT) == wanted != before
    with closing(sqlite3.connect(old / "entries.sqlite")) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (database.VERSION,)


def test_an_interrupted_migration_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = old_memory(tmp_path, orphan=False)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    for target in ("ttom.memory.database._objects", "ttom.memory.store.write_meta"):
        calls = {"ttom.memory.database._objects": 3}.get(target, 1)
        real = database._objects if calls > 1 else crash

        def late(*arguments: object, real: object = real) -> object:
            nonlocal calls
            calls -= 1
            return real(*arguments) if calls else crash()  # type: ignore[operator]

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(target, late)
            Store(folder)
    with Store(folder) as store:
        assert len(store) == 4 and store.meta["version"] == 2


def test_an_unclean_end_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Path] = []
    real = database.check_integrity
    monkeypatch.setattr(database, "ALWAYS_CHECKED", 0)
    monkeypatch.setattr(database, "check_integrity", lambda db, folder: (seen.append(folder), real(db, folder)))
    store = new(tmp_path / "m")
    put(store)
    store.close()
    Store(tmp_path / "m").close()
    assert not seen
    store = Store(tmp_path / "m")
    store.db.execute("BEGIN IMMEDIATE")
    store.db.execute("UPDATE entries SET uses = 1")
    journal = tmp_path / "m" / "entries.sqlite-journal"
    saved = journal.read_bytes()
    store.db.execute("ROLLBACK")
    store.close()
    assert saved
    journal.write_bytes(saved)  # as a killed process leaves it
    Store(tmp_path / "m").close()
    assert seen == [tmp_path / "m"]


def test_a_link_in_place_of_the_database_is_not_followed(tmp_path: Path) -> None:
    with new(tmp_path / "m") as store:
        put(store)
    path = tmp_path / "m" / "entries.sqlite"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    before = (tmp_path / "elsewhere").read_bytes()
    for read_only in (True, False):
        with pytest.raises(Exception, match="not a regular file"):
            Store(tmp_path / "m", read_only=read_only)
    assert (tmp_path / "elsewhere").read_bytes() == before


def test_a_database_that_is_far_too_large_is_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with new(tmp_path / "m") as store:
        put(store)
    monkeypatch.setattr(copying, "MAX_BYTES", 1000)
    with pytest.raises(Exception, match="is not a database of a memory"):
        Store(tmp_path / "m", read_only=True)
    path = tmp_path / "m" / "entries.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP TABLE entries")
    monkeypatch.undo()
    with pytest.raises(DamagedMemory, match="empty database"):
        Store(tmp_path / "m", read_only=True)
