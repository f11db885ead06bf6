"""The store keeps what it acknowledged, whatever happens to the process, the disk or the files."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.faults import old
from tests.memory.memories import SIGNATURE, VECTOR, contents, file_of, get, new, number, old_memory, put, state
from ttom.errors import SetupError, UserError
from ttom.memory import files
from ttom.memory.entries import BadRow, CorruptValue, new_record
from ttom.memory.files import DamagedMemory
from ttom.memory.maintenance import verify
from ttom.memory.quarantine import take_out_entry, take_out_row
from ttom.memory.rebuild import rebuild
from ttom.memory.store import Store
from ttom.memory.value_format import decode
from ttom.memory.values import Placement


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return new(tmp_path / "memory")


def test_what_is_inserted_reads_back(store: Store) -> None:
    tensors = {
        "blocks.0.attn2.to_q.lora_A.weight": torch.randn(2, 3).bfloat16(),
        "blocks.0.attn2.to_q.lora_B.weight": torch.randn(5, 2),
    }
    layout = {"version": 1, "objects": []}
    record = new_record(
        key="k", prompt="p", embedding=VECTOR, signature=SIGNATURE, namespace="me", layout=layout, loss_before=0.5,
        loss_after=0.01, origin="row 7",
    )  # fmt: skip
    id_ = store.insert(tensors, record)
    with Store(store.folder) as again:
        entry = get(again, id_)
        assert (entry.namespace, entry.key, entry.prompt, entry.layout) == ("me", "k", "p", layout)
        assert (entry.loss_before, entry.loss_after, entry.uses, entry.origin) == (0.5, 0.01, 0, "row 7")
        assert entry.signature == SIGNATURE
        np.testing.assert_array_equal(entry.embedding, VECTOR)
        read = again.state(entry)
        assert read.keys() == tensors.keys()
        assert all(read[name].dtype == t.dtype and torch.equal(read[name], t) for name, t in tensors.items())
        assert entry.bytes == again.values.path(entry.sha256).stat().st_size == again.total_bytes()


def test_an_id_is_never_used_twice(store: Store) -> None:
    first, second = put(store), put(store)
    assert store.delete([first, 999, second, second]) == [first, second]
    assert not store.values.look_through().values and put(store) == 3


def test_replacing_changes_the_value_and_removes_the_old_one(store: Store) -> None:
    id_ = put(store)
    old = file_of(store, id_)
    assert store.replace(id_, state(2), loss_after=0.25)
    assert number(store, get(store, id_)) == 2 and get(store, id_).loss_after == 0.25
    assert not old.exists() and len(store.values.look_through().values) == 1
    assert not store.replace(77, state(3), loss_after=None)


def test_what_a_repeated_job_inserts_takes_the_place_of_its_first(store: Store) -> None:
    first = put(store, 1, origin="row 1")
    other = put(store, 2, origin="row 2"), put(store, 3), put(store, 4, origin="row 1", namespace="other")
    again = put(store, 5, origin="row 1")
    assert store.ids() == [*other, again] and first not in store.ids()
    assert len(store.values.look_through().values) == 4


def test_the_least_used_go_first_and_then_the_longest_unused(store: Store) -> None:
    a, b, c = put(store, 1), put(store, 2), put(store, 3, namespace="other")
    store.used([b])
    store.used([c])
    store.used([a])
    store.used([a])
    assert [id_ for id_, _ in store.least_used()] == [b, c, a]
    assert [id_ for id_, _ in store.least_used("default")] == [b, a]


def test_a_clock_that_goes_back_does_not_make_the_newest_the_oldest(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = put(store, 1)
    monkeypatch.setattr(time, "time", lambda: 1000.0)  # such as after a battery ran out
    young = put(store, 2)
    assert [id_ for id_, _ in store.least_used()] == [old, young]
    store.used([old])
    store.used([young])
    assert [id_ for id_, _ in store.least_used()] == [old, young]


def test_fields_that_cannot_be_stored_are_refused_before_anything_is_written(store: Store) -> None:
    for wrong in (
        {"prompt": "x" * 100_000},
        {"key": "a\x00b"},
        {"prompt": "\ud800"},
        {"namespace": " "},
        {"embedding": np.full(4, np.nan, np.float32)},
        {"embedding": 2 * VECTOR},
        {"layout": {"long": "x" * 9_000_000}},
    ):
        with pytest.raises(UserError, match="cannot store this") as caught:
            put(store, **wrong)
        assert len(str(caught.value)) < 1000
    assert len(store) == 0 and not store.values.look_through().values


@pytest.mark.parametrize("tensors", [{}, state(float("nan")), state(float("inf")), {"a": np.ones(3, np.float32)}])
def test_tensors_that_could_not_be_read_again_are_refused(store: Store, tensors: dict[str, np.ndarray]) -> None:
    id_ = put(store)
    record = new_record(key="k", prompt="p", embedding=VECTOR, signature=SIGNATURE)
    with pytest.raises(UserError, match="cannot store this"):
        store.insert(tensors, record)
    with pytest.raises(UserError, match="cannot store this"):
        store.replace(id_, tensors, loss_after=None)
    assert store.ids() == [id_] and len(store.values.look_through().values) == 1


@pytest.mark.parametrize("damage", [lambda d: d[:-1], lambda d: bytes([d[0] ^ 1]) + d[1:], lambda d: b""])
def test_a_damaged_value_is_found(store: Store, damage: Callable[[bytes], bytes]) -> None:
    entry = get(store, put(store))
    path = store.values.path(entry.sha256)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CorruptValue, match="changed"):
        store.state(entry)
    assert take_out_entry(store, entry, "changed") and not store.ids() and store.quarantined() == {entry.id: "changed"}
    assert [f.name for f in (store.folder / "quarantine").iterdir()] == [path.name] and not path.exists()


def test_a_row_that_is_not_the_one_of_its_value_is_noticed(store: Store) -> None:
    id_ = put(store)
    store.db.execute("UPDATE entries SET prompt = 'another'")
    with pytest.raises(DamagedMemory, match="prompt of entry 1"):
        store.state(get(store, id_))


def test_rows_that_no_memory_writes_do_not_crash(store: Store) -> None:
    good = put(store)
    for change in ("sha256 = '/etc/passwd'", "uses = 'many'", "layout = '{'", "embedding = x'00'", "key = x'ff00'"):
        bad = put(store)
        store.db.execute(f"UPDATE entries SET {change} WHERE id = {bad}")
    assert [entry.id for entry in store.entries()] == [good]
    assert sum(isinstance(row, BadRow) for _, row in store.rows()) == 5
    assert store.keys().unusable == [5] and len(store.keys().ids) == 5
    store.least_used(), store.total_bytes(), store.signatures()
    assert len(store.delete(store.ids())) == 6


def test_read_only_changes_not_a_byte(store: Store) -> None:
    id_ = put(store)
    bad = put(store)
    file_of(store, bad).write_bytes(b"BAD")
    (store.folder / "values" / "00").mkdir(exist_ok=True)
    (store.folder / "values" / "00" / "orphan.safetensors").write_bytes(b"x")
    before = contents(store.folder)
    with Store(store.folder, read_only=True) as frozen:
        assert frozen.ids() == [id_, bad] and number(frozen, get(frozen, id_)) == 1
    assert contents(store.folder) == before
    store.close()
    before = contents(store.folder)
    with Store(store.folder, read_only=True) as frozen:
        assert len(frozen) == 2
    assert contents(store.folder) == before


def test_a_reader_in_the_same_process_does_not_take_the_writers_locks_away(store: Store) -> None:
    """SQLite's locks are gone when any handle of the file is closed: another process would then remove our log."""
    put(store)
    with Store(store.folder, read_only=True) as frozen:
        assert len(frozen) == 1
    code = (
        "import sqlite3, sys\ndb = sqlite3.connect(sys.argv[1])\n"
        "db.execute('SELECT count(*) FROM entries').fetchone()\ndb.close()"
    )
    subprocess.run([sys.executable, "-c", code, store.folder / "entries.sqlite"], check=True)
    put(store)  # goes to the log; if the other process has removed that, nobody else will ever see it
    with Store(store.folder, read_only=True) as frozen:
        assert len(frozen) == 2


def test_two_processes_lose_nothing(store: Store) -> None:
    code = (
        "import sys\nfrom tests.memory.memories import put, state\nfrom ttom.memory.store import Store\n"
        "store = Store(sys.argv[1])\n"
        "for i in range(40):\n"
        "    id_ = put(store, i // 2)\n"
        "    if i % 4 == 3: store.delete([id_])\n"
        "    if i % 4 == 1: store.replace(1, state(i + 0.5), loss_after=None)\n"
    )
    put(store)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    both = [subprocess.Popen([sys.executable, "-c", code, store.folder], env=environment) for _ in range(2)]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    assert len(store) == 61  # though both gave entry 1 the very same values, one after the other
    values = store.values.look_through()
    assert values.values == store.needed_values() and not values.parts  # no orphan, though both updated entry 1
    assert all(store.state(entry) for entry in store.entries())


@pytest.mark.parametrize("where", ["value", "row", "commit"])
def test_a_full_disk_is_one_clear_error_and_loses_nothing(
    store: Store, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = put(store)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        if where == "value":
            patch.setattr("ttom.memory.values.write_all", full)
        elif where == "commit":
            patch.setattr("ttom.memory.values.os.fsync", full)
        else:
            store.db.execute("PRAGMA max_page_count = 1")
            store.db.execute("PRAGMA cache_size = 1")
        with pytest.raises(SetupError, match="disk full") as caught:
            put(store, 2, prompt="p" * 60_000)
        assert str(store.folder) in str(caught.value) and "rollback" not in str(caught.value)
    assert store.ids() == [id_] and number(store, get(store, id_)) == 1
    assert not store.values.look_through().parts
    store.close()
    with Store(store.folder) as again:
        assert again.ids() == [id_] and put(again, 2) > id_


def test_a_folder_that_cannot_be_written_is_one_clear_error(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store)
    monkeypatch.setattr("ttom.memory.database.os.access", lambda *_: False)
    with pytest.raises(UserError, match="mode=read"):
        Store(store.folder)
    assert len(Store(store.folder, read_only=True)) == 1


def test_folders_that_are_no_memory(tmp_path: Path, store: Store) -> None:
    with pytest.raises(UserError, match="is not a memory"):
        Store(tmp_path / "nothing")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("x")
    with pytest.raises(UserError, match="is not a memory"):
        new(tmp_path / "other")
    meta = store.folder / "memory.json"
    good = json.loads(meta.read_text())
    meta.write_text(json.dumps({**good, "version": files.VERSION + 1}))
    with pytest.raises(UserError, match="newer ttom"):
        Store(store.folder)
    for text in (
        "{",
        "[]",
        "{}",
        "[" * 50_000,
        json.dumps({**good, "dimension": "4"}),
        json.dumps({**good, "format": "x"}),
    ):
        meta.write_text(text)
        with pytest.raises(UserError, match="does not describe a memory"):
            Store(store.folder)
    meta.unlink()
    os.mkfifo(meta)
    with pytest.raises(UserError, match="cannot be read"):
        Store(store.folder)


def test_a_folder_of_somebody_elses_values_is_refused_and_left_alone(tmp_path: Path) -> None:
    """`ttom generate --memory.path work` deleted work/values/run1/data.csv."""
    work = tmp_path / "work"
    (work / "values" / "run1").mkdir(parents=True)
    (work / "values" / "run1" / "data.csv").write_text("1,2,3")
    before = contents(work)
    with pytest.raises(UserError, match="is not a memory"):
        new(work)
    (work / "values" / "run1" / "data.csv").rename(work / "entries.sqlite")
    (work / "values" / "run1").rmdir()
    with pytest.raises(UserError, match="is not a memory"):
        new(work)
    assert [path.name for path in work.iterdir() if path.is_file()] == ["entries.sqlite"] and len(before) == 1


def test_an_interrupted_creation_is_finished_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    for place in ("ttom.memory.database.create", "ttom.memory.store.write_meta"):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(place, crash)
            new(tmp_path / "m")
    with new(tmp_path / "m") as store:
        put(store)
    (tmp_path / "m" / "memory.json").unlink()
    with pytest.raises(DamagedMemory, match="lost its memory.json"):  # not an empty memory on top of the values
        new(tmp_path / "m", embedder="another")


# Nothing but the store's own files is ever removed


def test_links_are_never_followed(store: Store, tmp_path: Path) -> None:
    """With values/zz a link to another folder, `ttom memory verify` deleted every file there."""
    id_ = put(store)
    outside = tmp_path / "outside"
    outside.mkdir()
    names = ["data.csv", f"{'ab' * 32}.safetensors", f".part-{'ab' * 32}-{'0' * 16}", ".part-999999-0123456789ab"]
    for name in names:
        (outside / name).write_text("mine")
    for link in ("zz", "ab"):
        (store.folder / "values" / link).symlink_to(outside)
    store.close()
    with Store(store.folder) as again:
        assert again.ids() == [id_]
        again.values.remove("cd" * 32)
        for act in (again.values.remove, again.values.quarantine, again.values.read):
            with pytest.raises((OSError, CorruptValue)):
                act("ab" * 32)
        again.delete([id_])
    assert sorted(f.name for f in outside.iterdir()) == sorted(names)


def test_a_link_in_place_of_the_values_is_refused(store: Store, tmp_path: Path) -> None:
    put(store)
    store.close()
    (store.folder / "values").rename(tmp_path / "elsewhere")
    (store.folder / "values").symlink_to(tmp_path / "elsewhere")
    before = contents(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="a symbolic link in place of"):
        Store(store.folder)
    assert contents(tmp_path / "elsewhere") == before


def test_files_that_no_memory_makes_stay(store: Store) -> None:
    put(store)
    values = store.folder / "values"
    (values / "00").mkdir(exist_ok=True)
    strange = [values / "notes.txt", values / "00" / "model.safetensors", values / "00" / f"{'1' * 64}.safetensors"]
    for path in strange:
        path.write_text("mine")
    store.close()
    with Store(store.folder) as again:
        again.delete(again.ids())
    assert all(path.read_text() == "mine" for path in strange)


@pytest.mark.parametrize("sha256", ["/tmp/model", "../../../victim", "..", "", "A" * 64])
def test_a_sha256_becomes_no_path_unless_it_is_one(store: Store, tmp_path: Path, sha256: str) -> None:
    """With such a row, pruning moved files from outside into the quarantine."""
    (tmp_path / "victim.safetensors").write_text("mine")
    id_ = put(store)
    file_of(store, id_).unlink()
    store.db.execute("UPDATE entries SET sha256 = ?", (sha256,))
    take_out_row(store, id_, "odd")
    assert store.quarantined() == {id_: "odd"} and not (store.folder / "quarantine").exists()
    id_ = put(store, 2)
    store.db.execute("UPDATE entries SET sha256 = ?", (sha256,))
    assert store.delete([id_]) == [id_] and (tmp_path / "victim.safetensors").exists()


# What processes that were killed leave


def test_a_value_whose_row_was_committed_is_used_under_its_temporary_name(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill between commit and rename: the entry is there, for readers as for the next writer."""
    with monkeypatch.context() as patch:
        patch.setattr("ttom.memory.values.Placement.place", lambda _: True)
        id_ = put(store, 7)
    assert not file_of(store, id_).exists()
    with Store(store.folder, read_only=True) as frozen:
        assert number(frozen, get(frozen, id_)) == 7
    assert number(store, get(store, id_)) == 7
    store.close()
    with Store(store.folder) as again:
        assert file_of(again, id_).exists() and not again.values.look_through().parts


def test_unfinished_files_go_when_their_writer_is_gone_and_not_before(store: Store) -> None:
    """A process id says nothing in another container (PID namespace); a lock does."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom ttom.memory.values import ValueFolder\n"
        "with ValueFolder(Path(sys.argv[1])).placing(b'half') as part:\n"
        "    print(part.name, flush=True)\n    sys.stdin.read()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, store.folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    name = child.stdout.readline().strip()
    Store(store.folder).close()
    assert [part for _, part in store.values.look_through().parts] == [name]
    child.kill()
    child.wait()
    Store(store.folder).close()
    assert not store.values.look_through().parts


def test_a_value_that_another_process_removes_while_it_is_written_again_stays(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes give an entry the same value; one goes on to the next before the other one has committed."""
    id_ = put(store, 1)
    other, placing = Store(store.folder), Store.placing

    @contextmanager
    def interleaved(self: Store, data: bytes) -> Iterator[Placement]:
        with placing(self, data) as placed:
            if self is store:  # its file is written and not yet committed
                other.replace(id_, state(2), loss_after=0.5)
                other.replace(id_, state(3), loss_after=0.5)
            yield placed

    monkeypatch.setattr(Store, "placing", interleaved)
    store.replace(id_, state(2), loss_after=0.5)
    assert number(store, get(store, id_)) == 2 and len(store.values.look_through().values) == 1
    other.close()


def test_an_entry_that_is_deleted_before_its_value_has_its_name_leaves_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, place = Store(store.folder), Store.place

    def late(self: Store, placed: Placement) -> None:
        other.delete(other.ids())
        place(self, placed)

    monkeypatch.setattr(Store, "place", late)
    put(store)
    assert not store.ids() and not store.values.look_through().values and not store.values.look_through().parts
    other.close()


def test_a_removal_that_was_cut_off_is_finished(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    id_, kept = put(store), put(store, 2)
    path = file_of(store, id_)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "sweep", lambda _: None)
        store.delete([id_])
    assert path.exists()
    store.close()
    with Store(store.folder) as again:
        assert not path.exists() and again.ids() == [kept]


def test_a_full_disk_does_not_stop_deleting(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    id_ = put(store)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("ttom.memory.values.ValueFolder.remove", full)
        assert store.delete([id_]) == [id_]
    assert not store.ids()
    put(store)
    store.delete(store.ids())
    assert not store.values.look_through().values  # the first one too


# A database that was lost or damaged stops writers, and nothing is removed


def lose(folder: Path) -> None:
    (folder / "entries.sqlite").unlink()


def empty(folder: Path) -> None:
    (folder / "entries.sqlite").write_bytes(b"")


def scribble(folder: Path) -> None:
    (folder / "entries.sqlite").write_bytes(b"not a database at all, but long enough to be looked at" * 50)


def truncate(folder: Path) -> None:
    path = folder / "entries.sqlite"
    path.write_bytes(path.read_bytes()[:-5000])


def set_back(folder: Path) -> None:
    """As an old copy does, or the loss of the log."""
    with sqlite3.connect(folder / "entries.sqlite") as db:
        db.execute("DELETE FROM entries WHERE id = 2")


def add_trigger(folder: Path) -> None:
    with sqlite3.connect(folder / "entries.sqlite") as db:
        db.execute("CREATE TRIGGER t AFTER INSERT ON entries BEGIN DELETE FROM entries; END")


@pytest.mark.parametrize("damage", [lose, empty, scribble, truncate, set_back, add_trigger])
def test_a_damaged_database_stops_writers_and_costs_no_value(store: Store, damage: Callable[[Path], None]) -> None:
    for i in range(3):
        put(store, i)
    store.close()
    before = {name: what for name, what in contents(store.folder).items() if name.startswith("values")}
    damage(store.folder)
    for _ in range(2):
        with pytest.raises(DamagedMemory, match="ttom memory rebuild"):
            Store(store.folder)
        with pytest.raises(UserError):
            new(store.folder)
    after = {name: what for name, what in contents(store.folder).items() if name.startswith("values")}
    assert after == before


def test_a_lost_log_of_version_1_stops_writers(store: Store) -> None:
    """Version 1 wrote to a log, which a killed process leaves behind; if that is deleted, its commits are gone."""
    put(store)
    put(store, 5)
    store.close()
    code = (
        "import os, sqlite3, sys\ndb = sqlite3.connect(sys.argv[1])\n"
        "row = db.execute('SELECT * FROM entries WHERE id = 2').fetchone()\n"
        "db.execute('DELETE FROM entries WHERE id = 2')\ndb.commit()\ndb.execute('PRAGMA journal_mode = WAL')\n"
        "db.execute(f\"INSERT INTO entries VALUES ({', '.join('?' * len(row))})\", row)\ndb.commit()\nos._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, store.folder / "entries.sqlite"], check=True)
    log = store.folder / "entries.sqlite-wal"
    saved = log.read_bytes()
    with Store(store.folder, read_only=True) as frozen:
        assert len(frozen) == 2
    log.unlink()
    with pytest.raises(DamagedMemory, match="not in its database"):
        Store(store.folder)
    assert len(list((store.folder / "values").rglob("*.safetensors"))) == 2
    log.write_bytes(saved)
    with Store(store.folder) as again:
        assert len(again) == 2 and not log.exists()


def test_a_transaction_that_was_cut_off_is_rolled_back_by_readers_and_writers(store: Store, tmp_path: Path) -> None:
    ids = [put(store, i, prompt="p" * 3000) for i in range(30)]
    store.db.execute("PRAGMA cache_size = 2")  # so that SQLite writes to the database before the commit
    store.db.execute("BEGIN IMMEDIATE")
    store.db.execute("UPDATE entries SET prompt = upper(prompt)")
    copy = tmp_path / "copy"
    shutil.copytree(store.folder, copy)  # as a kill would leave it
    store.db.execute("ROLLBACK")
    assert (copy / "entries.sqlite-journal").stat().st_size > 0
    assert b"PPPPP" in (copy / "entries.sqlite").read_bytes()
    before = contents(copy)
    with Store(copy, read_only=True) as frozen:
        assert {entry.prompt[0] for entry in frozen.entries()} == {"p"} and frozen.ids() == ids
    assert contents(copy) == before
    with Store(copy) as again:
        assert {entry.prompt[0] for entry in again.entries()} == {"p"}


# Version 1


def test_an_old_memory_is_read_as_it_is_and_written_as_a_new_one(tmp_path: Path) -> None:
    folder = old_memory(tmp_path)
    before = contents(folder)
    with Store(folder, read_only=True) as frozen:
        assert [entry.key for entry in frozen.entries()] == [f"<object A> moves {i}" for i in range(4)]
        assert [entry.uses for entry in frozen.entries()] == [1, 2, 0, 0]
        assert all(frozen.state(entry) for entry in frozen.entries())
    assert contents(folder) == before
    orphan = next(f for f in folder.rglob("6bff*"))
    with pytest.raises(DamagedMemory, match="not in its database"):
        Store(folder)
    assert contents(folder).items() >= before.items() and contents(folder).keys() - before.keys() <= {"memory.lock"}
    orphan.rename(tmp_path / "elsewhere")
    old_files = {path.name for path in folder.rglob("*.safetensors")}
    with Store(folder) as store:
        assert store.meta["version"] == files.VERSION
        assert [id_ for id_, _ in store.least_used()] == [3, 4, 1, 2]
        assert {entry.namespace for entry in store.entries()} == {"default", "ann"}
        for entry in store.entries():
            data = store.values.read(entry.sha256)
            record = decode(data).stored
            assert record is not None and record.record.differs(entry) is None and len(data) == entry.bytes
        assert not old_files & {path.name for path in folder.rglob("*.safetensors")}
        one, other = get(store, 1).sha256, get(store, 4).sha256  # they had shared one
        assert store.delete([1]) == [1] and not store.values.exists(one) and store.values.exists(other)
    (folder / "entries.sqlite").unlink()
    assert rebuild(folder).entries == 3
    assert old.entries(folder).keys() == {"a cat moves 1", "a cat moves 2", "a cat moves 3"}
    assert verify(folder).clean


@pytest.mark.parametrize("where", ["change_value", "place", "sweep", "describe", "_note_removed"])
@pytest.mark.parametrize("when", [1, 2, 3, 4])
def test_an_interrupted_upgrade_is_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, when: int
) -> None:
    folder = old_memory(tmp_path, orphan=False)
    wanted, real, calls = old.entries(folder), getattr(Store, where), iter(range(100))

    def crash(self: Store, *arguments: object, **named: object) -> object:
        if next(calls) + 1 == (when if where != "describe" else 1):
            raise KeyboardInterrupt
        return real(self, *arguments, **named)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Store, where, crash)
        Store(folder)
    assert old.entries(folder) == wanted
    with Store(folder) as store:
        assert store.meta["version"] == files.VERSION
        assert all(decode(store.values.read(entry.sha256)).stored for entry in store.entries())
    assert old.entries(folder) == wanted and verify(folder).clean


def test_on_a_full_disk_an_old_memory_can_still_be_pruned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = old_memory(tmp_path, orphan=False)
    wanted = old.entries(folder)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("ttom.memory.values.write_all", full)
        with Store(folder) as store:
            assert store.meta["version"] == 1 and store.delete([2]) == [2]
    with Store(folder) as store:
        assert store.meta["version"] == files.VERSION and store.ids() == [1, 3, 4]
    del wanted["a cat moves 1"]
    assert old.entries(folder) == wanted and verify(folder).clean


@pytest.mark.parametrize("damage", ["deleted", "emptied", *range(10)])
def test_a_damaged_log_of_a_real_old_memory_stops_writers(tmp_path: Path, damage: str | int) -> None:
    """Its values have no record: the next writer once went on with one of four entries, without a word."""
    folder = old.unpack_logged(tmp_path)
    wanted, log = old.entries(folder), folder / old.LOG
    assert len(wanted) == 4
    saved = bytearray(log.read_bytes())
    if damage == "deleted":
        log.unlink()
    else:
        flipped = bytearray() if damage == "emptied" else bytearray(saved)
        if flipped:
            rng = np.random.default_rng(damage)
            flipped[int(rng.integers(len(flipped)))] ^= 1 << int(rng.integers(8))
        log.write_bytes(flipped)
    before = {name: what for name, what in contents(folder).items() if name != "memory.lock"}
    for act in (Store, verify):
        with pytest.raises(DamagedMemory, match="not in its database"):
            act(folder)
    assert {name: what for name, what in contents(folder).items() if name != "memory.lock"} == before
    lost = tmp_path / "lost"
    shutil.copytree(folder, lost)
    log.write_bytes(saved)  # the log has been found
    with Store(folder) as store:
        assert len(store) == 4
    assert old.entries(folder) == wanted
    done = rebuild(lost)  # it has not
    assert 1 <= len(done.set_aside) <= 2 and done.entries + len(done.set_aside) in (3, 4)  # two entries had one value
    assert old.on_disk(lost) == set(wanted.values()) and (lost / "quarantine" / "entries-1.sqlite").exists()
    Store(lost).close()


def test_a_store_that_is_open_for_reading_writes_nothing(tmp_path: Path) -> None:
    """The guards were asserts, which `python -O` leaves out."""
    with new(tmp_path / "m") as store:
        put(store)
        with pytest.raises(ValueError, match="open for writing"):
            store.refresh()
        with pytest.raises(ValueError, match="an embedding of shape"):
            put(store, embedding=np.eye(1, 5, dtype=np.float32)[0])
    before = contents(tmp_path / "m")
    with Store(tmp_path / "m", read_only=True) as store:
        entry = get(store, 1)
        for write in (
            lambda: put(store), lambda: store.delete([1]), lambda: store.used([1]),
            lambda: take_out_entry(store, entry, ""), lambda: store.replace(1, state(2), loss_after=0.0),
        ):  # fmt: skip
            with pytest.raises(ValueError, match="open for reading"):
                write()
    assert contents(tmp_path / "m") == before
