"""The schema: earlier versions become the current one word for word, and nothing else is taken for one of them."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.memory.memories import OLD_SIGNATURE, contents, memory_of_version_2, new, old_memory, put
from ttom.memory import database
from ttom.memory import schema as schema_module
from ttom.memory.entries import Entry
from ttom.memory.files import VERSION, DamagedMemory
from ttom.memory.maintenance import verify
from ttom.memory.rebuild import rebuild
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
        assert db.execute("PRAGMA user_version").fetchone() == (schema_module.VERSION,)


def test_an_interrupted_migration_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = old_memory(tmp_path, orphan=False)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    for target in ("ttom.memory.schema.objects", "ttom.memory.transactions.write_meta"):
        calls = {"ttom.memory.schema.objects": 5}.get(target, 1)
        real = schema_module.objects if calls > 1 else crash

        def late(*arguments: object, real: object = real) -> object:
            nonlocal calls
            calls -= 1
            return real(*arguments) if calls else crash()  # type: ignore[operator]

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(target, late)
            Store(folder)
    with Store(folder) as store:
        assert len(store) == 4 and store.meta["version"] == VERSION


def signatures(folder: Path) -> list[str]:
    """The column as it is stored."""
    with closing(sqlite3.connect(folder / "entries.sqlite")) as db:
        return [text for (text,) in db.execute("SELECT signature FROM entries ORDER BY id")]


@pytest.mark.parametrize("version", [1, 2])
def test_signatures_of_earlier_versions_become_typed_fields(tmp_path: Path, version: int) -> None:
    """They were a text that a regular expression took apart at every reading."""
    folder = old_memory(tmp_path, orphan=False) if version == 1 else memory_of_version_2(tmp_path)
    texts, before = signatures(folder), contents(folder)
    assert all(", rank 2, alpha " in text for text in texts)
    with Store(folder, read_only=True) as store:
        read = {entry.id: entry.signature for entry in store.entries()}
        assert len(read) == len(texts) and store.signatures() == [read[1]]
    assert contents(folder) == before
    with Store(folder) as store:
        assert {entry.id: entry.signature for entry in store.entries()} == read
        assert all(isinstance(row, Entry) for _, row in store.rows()) and store.meta["version"] == VERSION
    for text, was in zip(signatures(folder), texts, strict=True):
        fields = json.loads(text)
        assert (fields["rank"], fields["alpha"]) == (2, 4.0 if version == 1 else 0.1)
        assert str(read[1]) == was and fields == read[1].as_fields()
    assert version == 2 or read[1] == OLD_SIGNATURE
    assert verify(folder).clean and Store(folder, read_only=True).signatures() == [read[1]]


@pytest.mark.parametrize("version", [1, 2])
def test_an_old_database_is_rebuilt_with_its_counters(tmp_path: Path, version: int) -> None:
    folder = old_memory(tmp_path, orphan=False) if version == 1 else memory_of_version_2(tmp_path)
    with Store(folder, read_only=True) as store:
        before = {entry.id: (entry.uses, entry.signature, entry.prompt) for entry in store.entries()}
    done = rebuild(folder)
    assert (done.entries, done.recovered) == (len(before), 0)
    with Store(folder) as store:
        assert {entry.id: (entry.uses, entry.signature, entry.prompt) for entry in store.entries()} == before


@pytest.mark.parametrize(
    "change",
    ["CREATE TRIGGER t AFTER DELETE ON entries BEGIN DELETE FROM entries; END", "CREATE VIEW v AS SELECT 1",
     "DROP INDEX by_use", "ALTER TABLE entries ADD COLUMN more", "PRAGMA user_version = 4", "PRAGMA user_version = 1"],
)  # fmt: skip
@pytest.mark.parametrize("version", [2, 3])
def test_other_schemas_are_refused(tmp_path: Path, version: int, change: str) -> None:
    folder = memory_of_version_2(tmp_path)
    if version == 3:
        Store(folder).close()
    with closing(sqlite3.connect(folder / "entries.sqlite", isolation_level=None)) as db:
        db.execute(change)
    for read_only in (True, False):
        with pytest.raises(DamagedMemory, match="foreign schema"):
            Store(folder, read_only=read_only)
    assert rebuild(folder).entries == 3
