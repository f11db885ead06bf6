"""Rows and files change together: whatever comes between, nothing acknowledged is lost and nothing stays behind."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.memory.memories import (
    SIGNATURE,
    VECTOR,
    file_of,
    get,
    number,
    put,
    state,
)
from tests.memory.test_memory import Embedder, ask, learn, make
from ttom.errors import SetupError, UserError
from ttom.memory import maintenance, merging, sharing
from ttom.memory.entries import new_record
from ttom.memory.files import DamagedMemory
from ttom.memory.store import Store
from ttom.memory.transactions import UNFINISHED
from ttom.memory.value_format import encode
from ttom.memory.values import Placement


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


def test_an_interrupted_reindex_is_refused_and_mended_by_the_next(tmp_path: Path, monkeypatch: Any) -> None:
    memory = make(tmp_path / "m")
    learn(memory, "left")
    memory.close()
    other = Embedder("other", left=(0, 0, 1))
    describe = Store.describe

    def crash(self: Store, embedder: str, dimension: int) -> None:
        if not embedder.startswith(UNFINISHED):
            raise KeyboardInterrupt
        describe(self, embedder, dimension)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Store, "describe", crash)
        maintenance.reindex(tmp_path / "m", other)
    for embedder in (other, Embedder("table", left=(1, 0))):
        with pytest.raises(UserError, match="reindex"):
            make(tmp_path / "m", embedder)
    assert maintenance.reindex(tmp_path / "m", other) == 1
    assert ask(make(tmp_path / "m", other), "left").state is not None


def test_a_reindex_cut_off_before_its_rows_is_refused_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = make(tmp_path / "m")
    learn(memory, "left")
    memory.close()
    other = Embedder("other", left=(0, 0, 1))
    describe = Store.describe

    def cut_off(self: Store, embedder: str, dimension: int) -> None:
        describe(self, embedder, dimension)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Store, "describe", cut_off)
        maintenance.reindex(tmp_path / "m", other)
    with Store(tmp_path / "m", read_only=True) as store:  # the old rows under no embedder's name
        np.testing.assert_array_equal(next(store.entries()).embedding[:3], [1, 0, 0])
    for embedder in (other, Embedder("table", left=(1, 0))):
        with pytest.raises(UserError, match="reindex"):
            make(tmp_path / "m", embedder)
    for command in (
        lambda: merging.merge([tmp_path / "m"], tmp_path / "c"),
        lambda: sharing.push(tmp_path / "m", "a/b"),
    ):
        with pytest.raises(UserError, match="unfinished reindex"):
            command()
    maintenance.reindex(tmp_path / "m", other)
    assert ask(make(tmp_path / "m", other), "left").state is not None


def test_a_process_that_has_the_memory_open_mixes_no_embedders(tmp_path: Path) -> None:
    ours = make(tmp_path / "m")
    learn(ours, "left")
    frozen = make(tmp_path / "m", mode="read")
    maintenance.reindex(tmp_path / "m", Embedder("other", left=(0, 0, 1)))
    with pytest.raises(UserError, match="reindexed with another embedder"):
        put(ours.store, embedding=np.eye(8, dtype=np.float32)[0])
    with pytest.raises(UserError, match="reindexed with another embedder"):
        ask(ours, "left")
    assert ask(frozen, "left").state is not None  # it works on the state at its opening
    assert len(ours.store) == 1


def test_a_value_is_changed_only_if_it_is_still_the_expected_one(store: Store) -> None:
    id_ = put(store, 1)
    before, data = get(store, id_), encode(state(2), get(store, id_), embedder="e")
    assert store.change_value(id_, data, only="ab" * 32) is False and get(store, id_).sha256 == before.sha256
    assert store.change_value(99, data) is False
    listing = store.values.look_through()
    assert listing.values == {before.sha256} and not listing.parts
    assert store.change_value(id_, data, only=before.sha256, loss_after=0.125) is True
    after = get(store, id_)
    assert (
        after.loss_after == 0.125
        and after.bytes == len(data)
        and number(store, after.model_copy(update={"loss_after": None})) == 2
    )  # the record in the value is the one given
    assert store.values.look_through().values == {after.sha256}


def test_a_file_that_vanishes_while_it_is_written_is_noticed(store: Store) -> None:
    with pytest.raises(DamagedMemory, match="lost the value"), store.placing(b"data") as placed:
        with store.writing():
            store.add(new_record(key="k", prompt="p", embedding=VECTOR, signature=SIGNATURE), placed, 0, 0.0)
        (store.folder / "values" / placed.sha256[:2] / placed.name).unlink()
        store.place(placed)


def test_an_error_within_a_transaction_undoes_it(store: Store) -> None:
    id_ = put(store)
    with pytest.raises(KeyboardInterrupt), store.writing():
        store.db.execute("DELETE FROM entries")
        raise KeyboardInterrupt
    assert store.ids() == [id_] and not store.db.in_transaction
