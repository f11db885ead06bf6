"""A memory on the Hub: what is pushed, and what a pull believes."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest

from experiments.faults import old
from tests.memory.memories import file_of, new, number, old_memory, put
from ttom.errors import UserError
from ttom.memory import maintenance, sharing
from ttom.memory.rebuild import rebuild
from ttom.memory.store import Store


class Hub:
    """A repository in a folder, in place of the Hugging Face Hub's client."""

    folder: Path

    def create_repo(self, repo_id: str, **_: Any) -> str:
        self.folder.mkdir(exist_ok=True)
        return f"https://hub/{repo_id}"

    def list_repo_files(self, repo_id: str) -> list[str]:
        return [str(file.relative_to(self.folder)) for file in self.folder.rglob("*") if file.is_file()]

    def model_info(self, repo_id: str, **_: Any) -> Any:
        if not self.folder.exists():
            raise OSError("401 Client Error: no repository, token hf_secrettoken")
        names = self.list_repo_files(repo_id)
        files = [SimpleNamespace(rfilename=n, size=(self.folder / n).stat().st_size) for n in names]
        return SimpleNamespace(sha="1", siblings=files)

    def upload_folder(self, *, folder_path: str, allow_patterns: list[str], **_: Any) -> None:
        keep = shutil.ignore_patterns(".lock")
        shutil.copytree(folder_path, self.folder, dirs_exist_ok=True, ignore=keep)
        assert allow_patterns

    def snapshot_download(self, repo_id: str, *, local_dir: Path, **_: Any) -> None:
        shutil.copytree(self.folder, local_dir, dirs_exist_ok=True)


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    Hub.folder = tmp_path / "hub"
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    return Hub.folder


def test_push_and_pull_carry_a_whole_memory(tmp_path: Path, hub: Path) -> None:
    with new(tmp_path / "m") as store:
        ids = [put(store, 1, prompt="p1"), put(store, 2, prompt="p2", origin="row 2")]
        store.used(ids[:1])
        with pytest.raises(UserError) as caught:
            sharing.pull("me/memory", tmp_path / "early")
        assert "hf_secrettoken" not in str(caught.value) and "me/memory" in str(caught.value)
        sharing.push(tmp_path / "m", "me/memory")  # while it is open, its log not yet written back
    assert sorted(path.name for path in hub.iterdir()) == ["entries.sqlite", "memory.json", "values"]
    assert sharing.pull("me/memory", tmp_path / "copy") == 2
    with Store(tmp_path / "copy") as copy:
        assert copy.ids() == ids and {number(copy, entry) for entry in copy.entries()} == {1, 2}
        assert [entry.uses for entry in copy.entries()] == [1, 0]
    assert maintenance.verify(tmp_path / "copy").clean
    with pytest.raises(UserError, match="not empty"):
        sharing.pull("me/memory", tmp_path / "copy")
    value = next((hub / "values").rglob("*.safetensors"))
    value.write_bytes(b"changed on the way")
    with pytest.raises(UserError, match="damaged"):
        sharing.pull("me/memory", tmp_path / "other")
    assert not (tmp_path / "other").exists() and not list(tmp_path.glob(".ttom-*"))


def test_an_old_memory_is_pulled_with_records(tmp_path: Path, hub: Path) -> None:
    shutil.copytree(old_memory(tmp_path), hub)
    shutil.rmtree(hub / "values" / "6b")  # what no entry needs was never pushed
    assert sharing.pull("me/memory", tmp_path / "copy") == 4
    assert maintenance.verify(tmp_path / "copy").entries == 4
    (tmp_path / "copy" / "entries.sqlite").unlink()
    assert rebuild(tmp_path / "copy").entries == 4 and old.entries(tmp_path / "copy") == old.entries(hub)


def test_deleted_prompts_stay_at_home_and_other_repositories_as_they_are(tmp_path: Path, hub: Path) -> None:
    with new(tmp_path / "m") as store:
        put(store, 1, prompt="public")
        bad = [put(store, i, prompt="a secret plan") for i in (2, 3)]
        file_of(store, bad[0]).write_bytes(b"damaged")
        with pytest.raises(UserError, match="was changed"):
            sharing.push(tmp_path / "m", "me/memory")
        assert not hub.exists()
    maintenance.verify(tmp_path / "m")
    with Store(tmp_path / "m") as store:
        store.delete(bad)
        sharing.push(tmp_path / "m", "me/memory")
    pushed = b"".join(path.read_bytes() for path in hub.rglob("*") if path.is_file())
    assert b"public" in pushed and b"secret" not in pushed
    (hub / "memory.json").unlink()
    with pytest.raises(UserError, match="other files than a memory"):
        sharing.push(tmp_path / "m", "me/memory")
    with pytest.raises(UserError, match="does not contain a memory"):
        sharing.pull("me/memory", tmp_path / "new")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE entries SET sha256 = '../../../victim'",
        "UPDATE entries SET sha256 = 7",
        "UPDATE entries SET layout = '{'",
        "UPDATE entries SET embedding = 'text'",
        "UPDATE entries SET embedding = x'00000000'",
        "UPDATE entries SET prompt = 'another'",
        "CREATE TRIGGER t AFTER INSERT ON entries BEGIN DELETE FROM entries; END",
    ],
)
def test_rows_that_no_memory_writes_are_not_pulled(tmp_path: Path, hub: Path, change: str) -> None:
    with new(tmp_path / "m") as store:
        put(store)
    sharing.push(tmp_path / "m", "me/memory")
    db = sqlite3.connect(hub / "entries.sqlite")
    db.execute(change)
    db.commit()
    db.close()
    with pytest.raises(UserError, match="the memory in the repository me/memory is damaged") as caught:
        sharing.pull("me/memory", tmp_path / "new")
    assert ".ttom-pull" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hub", "m"]


@pytest.mark.parametrize(
    "name", ["values/../../evil", "values/ab/model.bin", "values/ab/" + "cd" * 32 + ".safetensors"]
)
def test_files_that_no_memory_has_are_not_downloaded(
    tmp_path: Path, hub: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with new(tmp_path / "m") as store:
        put(store)
    sharing.push(tmp_path / "m", "me/memory")
    files = [SimpleNamespace(rfilename=n, size=5) for n in ("memory.json", "entries.sqlite", name)]
    monkeypatch.setattr(Hub, "model_info", lambda *_, **__: SimpleNamespace(sha="1", siblings=files))
    monkeypatch.setattr(Hub, "snapshot_download", lambda *_, **__: pytest.fail("downloaded"))
    with pytest.raises(UserError, match="only the files of a memory"):
        sharing.pull("me/memory", tmp_path / "new")
    files[-1] = SimpleNamespace(rfilename=f"values/ab/{'ab' * 32}.safetensors", size=2**31)
    monkeypatch.setattr(sharing.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(UserError, match="which are free"):
        sharing.pull("me/memory", tmp_path / "new")


def test_a_malformed_token_is_not_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ValueError("Illegal header value b'Bearer hf_abcDEF123\\n' and b'Bearer my-own+token'" + "x" * 10**6)

    monkeypatch.setattr(Hub, "create_repo", refuse)
    new(tmp_path / "m").close()
    with pytest.raises(UserError, match="Illegal header value") as caught:
        sharing.push(tmp_path / "m", "me/memory")
    assert "abcDEF123" not in str(caught.value) and "my-own" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_foreign_calibration_that_is_none_is_left_behind(tmp_path: Path, hub: Path) -> None:
    """It was copied as it was, indented: memory.json was then too long to be read."""
    with new(tmp_path / "m") as store:
        put(store)
    sharing.push(tmp_path / "m", "a/b")
    meta = json.loads((hub / "memory.json").read_text())
    (hub / "memory.json").write_text(json.dumps(meta | {"calibration": [0] * 20_000}))
    sharing.pull("a/b", tmp_path / "p")
    with Store(tmp_path / "p", read_only=True) as store:
        assert len(store) == 1 and "calibration" not in store.meta
