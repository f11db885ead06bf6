"""Run folders: only what is a run's is ever opened, and only what it made is ever deleted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from ttom.studio import record
from ttom.studio.errors import Refused
from ttom.studio.record import Order, RunRecord

ID = "20261127-101112-000001"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    (folder / ID).mkdir(parents=True)
    RunRecord(id=ID, order=Order(prompt="a cat"), state="done", created=1.0).save(folder)
    (folder / ID / "video.mp4").write_bytes(b"video")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "video.mp4").write_text("secret")
    return folder


def test_a_run_comes_back_as_it_was(out: Path) -> None:
    found = record.load(out, ID)
    assert (found.state, found.order.prompt) == ("done", "a cat")
    assert record.file_of(out, ID, "video.mp4").read_bytes() == b"video"
    assert found.as_json(out)["files"] == ["video.mp4"]


@pytest.mark.parametrize(
    "id_", ["", "..", ".", "../runs", f"{ID}/..", f"{ID}\x00", ID.upper() + "x", "x" * 5000, f"{ID}\n"]
)
def test_no_other_path_is_a_run(out: Path, id_: str) -> None:
    for look in (record.folder_of, record.load, record.remove):
        with pytest.raises(Refused) as error:
            look(out, id_)
        assert error.value.status == 404


@pytest.mark.parametrize(
    "name",
    ["run.json", "../secret.txt", "../../secret.txt", "/etc/passwd", "..", "", "video.mp4\x00", "lora", "map-1000.png"],
)
def test_no_other_file_is_shown(out: Path, name: str) -> None:
    with pytest.raises(Refused):
        record.file_of(out, ID, name)


def test_links_are_not_followed(out: Path) -> None:
    (out / ID / "base.mp4").symlink_to(out.parent / "video.mp4")
    with pytest.raises(Refused):
        record.file_of(out, ID, "base.mp4")
    other = "20261127-101112-000002"
    (out / other).symlink_to(out / ID)
    with pytest.raises(Refused):
        record.file_of(out, other, "video.mp4")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\x80\x04", b'{"version": 2}', b"[" * 100_000, b" " * 5_000_000, b'{"id": 1e999}']
)
def test_a_broken_record_hides_its_run_and_no_other(out: Path, content: bytes) -> None:
    other = out / "20261127-101112-000002"
    other.mkdir()
    (other / "run.json").write_bytes(content)
    (out / "notes").mkdir()  # not ours
    assert [found.id for found in record.history(out)] == [ID]


def test_a_record_of_another_run_is_not_believed(out: Path) -> None:
    other = "20261127-101112-000002"
    (out / other).mkdir()
    (out / other / "run.json").write_text((out / ID / "run.json").read_text())
    with pytest.raises(Refused):
        record.load(out, other)


def test_deleting_leaves_what_others_put_there(out: Path) -> None:
    (out / ID / "notes.txt").write_text("mine")
    (out / ID / "lora").mkdir()
    (out / ID / "lora" / "README.md").write_text("ours")
    record.remove(out, ID)
    assert [path.name for path in (out / ID).iterdir()] == ["notes.txt"]
    assert record.history(out) == []


def test_ids_sort_by_time() -> None:
    ids = [record.new_id() for _ in range(50)]
    assert ids == sorted(ids) and all(record.ID.fullmatch(id_) for id_ in ids)


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"prompt": 3},
        {"prompt": "a" * 20_001},
        {"prompt": "a", "seed": -1},
        {"prompt": "a", "seed": 2**63},
        {"prompt": "a", "seed": 1.5},
        {"prompt": "a", "seed": True},
        {"prompt": "a", "compare": "yes"},
        {"prompt": "a", "settings": {"a": [1]}},
        {"prompt": "a", "settings": {str(n): n for n in range(101)}},
        {"prompt": "a", "settings": {"a": float("nan")}},
        {"prompt": "a", "out": "/etc"},
    ],
)
def test_orders_are_checked(order: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Order.model_validate(order)


def test_run_json_is_strict_json(out: Path) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    json.loads((out / ID / "run.json").read_text(), parse_constant=refuse)
