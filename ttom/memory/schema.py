"""The schema of a memory's database, its earlier versions, and the migration from them.

The schema of every database is compared literally with the one defined here, so that a foreign file cannot bring in
triggers, views or generated columns.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

from ttom.memory.entries import COLUMNS
from ttom.memory.files import DamagedMemory
from ttom.memory.signature import Signature

_ENTRIES = """CREATE TABLE entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT, namespace TEXT NOT NULL, key TEXT NOT NULL, prompt TEXT NOT NULL,
    embedding BLOB NOT NULL, layout TEXT, uses INTEGER NOT NULL, last_used REAL NOT NULL, created REAL NOT NULL,
    loss_before REAL, loss_after REAL, signature TEXT NOT NULL, sha256 TEXT NOT NULL, bytes INTEGER NOT NULL"""
_QUARANTINED = """CREATE TABLE quarantined (
    id INTEGER PRIMARY KEY, reason TEXT NOT NULL, at REAL NOT NULL, entry TEXT NOT NULL)"""
_INDEXES = {
    "by_namespace": "CREATE INDEX by_namespace ON entries (namespace)",
    "by_value": "CREATE INDEX by_value ON entries (sha256)",
}
_OLD = {
    "entries": f"{_ENTRIES})",
    "quarantined": _QUARANTINED,
    **_INDEXES,
    "by_use": "CREATE INDEX by_use ON entries (uses, last_used)",
}
SCHEMA = {
    "entries": f"{_ENTRIES}, origin TEXT, turn INTEGER NOT NULL DEFAULT 0)",
    "quarantined": _QUARANTINED,
    # Values without a row whose files are still to be deleted.
    "removed": "CREATE TABLE removed (sha256 TEXT PRIMARY KEY)",
    **_INDEXES,
    "by_use": "CREATE INDEX by_use ON entries (uses, turn)",
    "by_turn": "CREATE INDEX by_turn ON entries (turn)",
    "by_origin": "CREATE INDEX by_origin ON entries (origin)",
}
"""{name: statement} of versions 2 and 3; `_OLD` is version 1."""
VERSION = 3
"""Version 3 stores signatures as JSON, earlier ones as text."""

_MIGRATION = (
    "ALTER TABLE entries ADD COLUMN origin TEXT",
    "ALTER TABLE entries ADD COLUMN turn INTEGER NOT NULL DEFAULT 0",
    "UPDATE entries SET turn = n FROM (SELECT id AS i, row_number() OVER (ORDER BY last_used, id) AS n FROM entries) "
    "WHERE id = i",
    "DROP INDEX IF EXISTS by_use",
)


def check_schema(db: sqlite3.Connection, folder: Path) -> int:
    """The version of the schema. Raises DamagedMemory if it differs in anything from ours."""
    found = objects(db)
    version = db.execute("PRAGMA user_version").fetchone()[0]
    known = {name: " ".join(text.split()) for name, text in (SCHEMA if version in (2, VERSION) else _OLD).items()}
    if "entries" not in found:
        raise DamagedMemory(folder, "has an empty database")
    odd = sorted(name for name, text in found.items() if known.get(name) != text)
    missing = known.keys() - found.keys() if version in (2, VERSION) else ()
    if version not in (0, 2, VERSION) or odd or missing:
        raise DamagedMemory(folder, f"has a database with a foreign schema ({[*odd, *missing, version][0]!r:.100})")
    return version or 1


def entry_columns(db: sqlite3.Connection) -> tuple[str, ...]:
    """Columns of the table of entries, whatever else the database holds. Raises sqlite3.DatabaseError without one."""
    text = objects(db).get("entries")
    for schema, columns in ((SCHEMA, COLUMNS), (_OLD, COLUMNS[:-2])):
        if text == " ".join(schema["entries"].split()):
            return columns
    raise sqlite3.DatabaseError("no table of entries")


def check_integrity(db: sqlite3.Connection, folder: Path) -> None:
    """Raise DamagedMemory if SQLite finds the database damaged."""
    problems = [row[0] for row in db.execute("PRAGMA integrity_check(1)")]
    if problems != ["ok"]:
        raise DamagedMemory(folder, f"has a damaged database ({' '.join(str(problems[0]).split())[:150]})")


def migrate(db: sqlite3.Connection) -> None:
    """Migrate an earlier version to the current one, within the caller's transaction."""
    if db.execute("PRAGMA user_version").fetchone()[0] < 2:
        for statement in _MIGRATION:
            db.execute(statement)
        present = objects(db)
        for name, statement in SCHEMA.items():
            if name not in present:
                db.execute(statement)
    for (found,) in db.execute("SELECT DISTINCT signature FROM entries").fetchall():
        signature = current_signature(found)
        if signature != found:
            db.execute("UPDATE entries SET signature = ? WHERE signature = ?", (signature, found))
    db.execute(f"PRAGMA user_version = {VERSION}")


def current_signature(found: Any) -> Any:
    """A signature in the form of the current version; anything that is none stays as it is."""
    if isinstance(found, str):
        with suppress(ValueError):
            return Signature.from_text(found).to_json()
    return found


def objects(db: sqlite3.Connection) -> dict[str, str]:
    """{name: statement} of the schema without SQLite's internal objects, with whitespace normalized."""
    rows = db.execute("SELECT name, sql FROM sqlite_master").fetchall()
    own = {"sqlite_sequence", "sqlite_autoindex_removed_1"}
    texts = {str(name): " ".join(str(sql).split()) for name, sql in rows if name not in own}
    return {name: text.replace(" IF NOT EXISTS", "") for name, text in texts.items()}
