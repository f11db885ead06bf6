"""The store keeps what it acknowledged, whatever happens to the process, the disk or the files."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.memory import crashing_writer
from ttom.errors import UserError
from ttom.memory import files
from ttom.memory.store import CorruptValue, Entry, Store

VECTOR = np.array([1, 0, 0, 0], np.float32)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "memory", embedder="test", dimension=4)


def put(store: Store, data: bytes = b"value", **changes: Any) -> int:
    given = {"key": "<object A> moves", "prompt": "a cat moves", "embedding": VECTOR, "signature": "s", **changes}
    return store.insert(data, **given)


def get(store: Store, id_: int) -> Entry:
    return next(store.entries([id_]))


def contents(folder: Path) -> dict[str, tuple[str, int]]:
    """Every file below a folder with its hash and time of change."""
    return {
        str(f.relative_to(folder)): (hashlib.sha256(f.read_bytes()).hexdigest(), f.stat().st_mtime_ns)
        for f in sorted(folder.rglob("*"))
        if f.is_file()
    }


def test_what_is_inserted_reads_back(store: Store) -> None:
    state = {"b.weight": torch.randn(3, 2).bfloat16(), "a.weight": torch.randn(2, 5)}
    layout = {"version": 1, "objects": []}
    id_ = store.insert(
        state, key="k", prompt="p", embedding=VECTOR, signature="s", namespace="me", layout=layout, losses=(0.5, 0.01)
    )
    with Store(store.folder) as again:
        entry = get(again, id_)
        assert (entry.namespace, entry.key, entry.prompt, entry.layout) == ("me", "k", "p", layout)
        assert (entry.loss_before, entry.loss_after, entry.uses) == (0.5, 0.01, 0)
        np.testing.assert_array_equal(entry.embedding, VECTOR)
        read = again.value(entry)
        assert read.keys() == state.keys()
        assert all(read[name].dtype == t.dtype and torch.equal(read[name], t) for name, t in state.items())
        assert entry.bytes == again.path(entry.sha256).stat().st_size == again.total_bytes()


def test_equal_values_share_a_file_until_the_last_entry_goes(store: Store) -> None:
    first, second = put(store), put(store)
    path = store.path(get(store, first).sha256)
    assert first != second and store.total_bytes() == 5
    assert store.delete([first, 999]) == 1 and path.exists()
    assert store.delete([second]) == 1 and not path.exists()
    assert put(store) == 3  # an id is never used twice


def test_replacing_changes_the_value_and_removes_the_old_one(store: Store) -> None:
    id_ = put(store)
    old = store.path(get(store, id_).sha256)
    assert store.replace(id_, b"another", loss_after=0.25)
    assert store.value_bytes(get(store, id_)) == b"another" and get(store, id_).loss_after == 0.25
    assert not old.exists()
    assert store.replace(id_, b"another", loss_after=0.2)  # the same value again keeps its file
    assert store.value_bytes(get(store, id_)) == b"another"
    assert not store.replace(77, b"x", loss_after=None)
    assert store.verify().clean


def test_the_least_used_go_first_and_then_the_longest_unused(store: Store) -> None:
    a, b, c = put(store, b"a"), put(store, b"b"), put(store, b"c", namespace="other")
    store.used([b])
    store.used([c])
    store.used([a])
    store.used([a])
    assert [id_ for id_, _ in store.least_used()] == [b, c, a]
    assert [id_ for id_, _ in store.least_used("default")] == [b, a]


@pytest.mark.parametrize("damage", [lambda d: d[:-1], lambda d: bytes([d[0] ^ 1]) + d[1:], lambda d: b""])
def test_a_damaged_value_is_found_and_quarantined(store: Store, damage: Callable[[bytes], bytes]) -> None:
    good, bad = put(store, b"good"), put(store, b"bad value")
    entry = get(store, bad)
    store.path(entry.sha256).write_bytes(damage(b"bad value"))
    with pytest.raises(CorruptValue, match="changed"):
        store.value_bytes(entry)
    found = store.verify()
    assert set(found.quarantined or {}) == {bad} and not found.orphans
    assert store.ids() == [good] and set(store.quarantined()) == {bad}
    assert (store.folder / "quarantine" / f"{bad}.safetensors").read_bytes() == damage(b"bad value")
    assert store.verify().clean


def test_opening_removes_orphans_and_quarantines_entries_without_value(store: Store) -> None:
    kept, lost = put(store, b"kept"), put(store, b"lost")
    store.path(get(store, lost).sha256).unlink()
    orphan = store.folder / "values" / "00" / ("0" * 64 + ".safetensors")
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"x")
    part = orphan.with_name(".part-999999999-abc")
    part.write_bytes(b"half")
    own = orphan.with_name(f".part-{os.getppid()}-abc")
    own.write_bytes(b"being written by a live process")
    with Store(store.folder) as again:
        assert set(again.found.orphans) == {orphan.name, part.name}
        assert again.found.quarantined == {lost: "its value is missing"}
        assert again.ids() == [kept]
    assert not orphan.exists() and not part.exists() and own.exists()


def test_read_only_changes_not_a_byte(store: Store) -> None:
    id_ = put(store, b"kept")
    bad = put(store, b"bad")
    store.path(get(store, bad).sha256).write_bytes(b"BAD")
    (store.folder / "values" / "00").mkdir(exist_ok=True)
    (store.folder / "values" / "00" / "orphan.safetensors").write_bytes(b"x")
    before = contents(store.folder)
    assert "entries.sqlite-wal" in before  # the writer is still open: its log must be read too
    with Store(store.folder, read_only=True) as frozen:
        assert frozen.ids() == [id_, bad] and frozen.value_bytes(get(frozen, id_)) == b"kept"
        found = frozen.verify()
        assert found.orphans == ("orphan.safetensors",) and set(found.quarantined or {}) == {bad}
    assert contents(store.folder) == before
    store.close()
    before = contents(store.folder)
    with Store(store.folder, read_only=True) as frozen:
        assert len(frozen) == 2
    assert contents(store.folder) == before


def test_two_processes_lose_nothing(store: Store) -> None:
    code = (
        "import sys, numpy as np\nfrom ttom.memory.store import Store\n"
        "store = Store(sys.argv[1])\n"
        "for i in range(40):\n"
        "    id_ = store.insert(f'{sys.argv[2]} {i // 2}'.encode(), key='k', prompt=sys.argv[2],\n"
        "        embedding=np.zeros(4, np.float32), signature='s')\n"
        "    if i % 4 == 3: store.delete([id_])\n"
    )
    # The same values in both: each deletes entries whose value the other may be about to use.
    both = [subprocess.Popen([sys.executable, "-c", code, store.folder, "w"]) for _ in range(2)]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    assert len(store) == 60 and store.verify().clean


def test_a_writer_killed_at_any_moment_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    kills = 200
    Store.create(tmp_path / "memory", embedder="test", dimension=4).close()
    script = [sys.executable, crashing_writer.__file__, tmp_path / "memory", tmp_path / "log", str(kills), "1"]
    root = Path(__file__).resolve().parents[2]
    subprocess.run(script, check=True, timeout=300, env={**os.environ, "PYTHONPATH": str(root)})
    wanted: dict[int, str] = {}
    unknown: set[int] = set()
    lines = (tmp_path / "log").read_text().splitlines()
    assert not [line for line in lines if line.startswith("error")]
    for words in map(str.split, lines):
        if words[0] == "start":  # until its end is logged, an operation may have happened or not
            unknown.add(int(words[2]))
            continue
        unknown.discard(int(words[1]))
        if words[0] == "delete":
            wanted.pop(int(words[1]))
        else:
            wanted[int(words[1])] = words[2]
    deleted = {int(w[1]) for w in map(str.split, lines) if w[0] == "delete"}
    assert len(wanted) > kills // 4 and len(deleted) > 5  # however slow the disk: enough was written to mean something
    with Store(tmp_path / "memory") as store:
        assert not store.found.quarantined
        found = {entry.id: entry for entry in store.entries()}
        for id_, sha256 in wanted.items():
            if id_ not in unknown:
                assert found[id_].sha256 == sha256
                assert hashlib.sha256(store.value_bytes(found[id_])).hexdigest() == sha256
        assert not deleted & set(found)
        assert store.verify().clean
        stray = set(found) - set(wanted) - unknown
        assert len(stray) <= kills  # inserts that were committed in the instant before their log line


@pytest.mark.parametrize("where", ["value", "rename", "row"])
def test_a_full_disk_is_one_clear_error_and_loses_nothing(
    store: Store, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = put(store, b"kept")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        if where == "value":
            patch.setattr("ttom.memory.store.write_synced", full)
        elif where == "rename":
            patch.setattr("ttom.memory.store.os.replace", full)
        else:
            store.db.execute("PRAGMA max_page_count = 1")
            store.db.execute("PRAGMA cache_size = 1")
        with pytest.raises(UserError, match="free some space") as caught:
            put(store, b"new", prompt="p" * 5_000_000)
        assert str(store.folder) in str(caught.value)
    assert store.ids() == [id_] and store.value_bytes(get(store, id_)) == b"kept"
    assert not list(store.folder.rglob(".part-*"))
    store.close()
    with Store(store.folder) as again:
        assert again.ids() == [id_] and again.verify().clean
        assert put(again, b"new") > id_


def test_a_folder_that_cannot_be_written_is_one_clear_error(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store)
    monkeypatch.setattr("ttom.memory.store.os.access", lambda *_: False)
    with pytest.raises(UserError, match="mode=read"):
        Store(store.folder)
    assert len(Store(store.folder, read_only=True)) == 1


def test_folders_that_are_no_memory(tmp_path: Path, store: Store) -> None:
    with pytest.raises(UserError, match="is no memory"):
        Store(tmp_path / "nothing")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("x")
    with pytest.raises(UserError, match="is no memory"):
        Store.create(tmp_path / "other", embedder="e", dimension=4)
    meta = store.folder / "memory.json"
    good = json.loads(meta.read_text())
    meta.write_text(json.dumps({**good, "version": files.VERSION + 1}))
    with pytest.raises(UserError, match="newer ttom"):
        Store(store.folder)
    for text in ("{", "[]", "{}", json.dumps({**good, "dimension": "4"}), json.dumps({**good, "format": "x"})):
        meta.write_text(text)
        with pytest.raises(UserError, match="does not describe a memory"):
            Store(store.folder)
    meta.write_text(json.dumps(good))
    store.close()
    (store.folder / "entries.sqlite").write_bytes(b"not a database at all, but long enough to be looked at" * 50)
    with pytest.raises(UserError, match="cannot be used"):
        Store(store.folder)
