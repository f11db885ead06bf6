"""The folder of values: reading under both names, removing, quarantining, and never through a link."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from ttom.memory.entries import CorruptValue
from ttom.memory.values import ValueFolder, read_regular

DATA = b"a value"
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def values(tmp_path: Path) -> ValueFolder:
    (tmp_path / "values").mkdir()
    return ValueFolder(tmp_path)


def put(values: ValueFolder, data: bytes = DATA) -> str:
    with values.placing(data) as placed:
        placed.place()
    return placed.sha256


def test_a_value_is_there_under_its_temporary_name_until_it_is_placed(values: ValueFolder) -> None:
    with values.placing(DATA) as placed:
        assert values.read(SHA256) == DATA and values.exists(SHA256) and not values.path(SHA256).exists()
        assert values.look_through().parts == ((SHA256, placed.name),)
        values.settle(SHA256, placed.name, wanted=False)  # its writer lives
        placed.place()
        assert values.path(SHA256).read_bytes() == DATA
    assert values.look_through().values == {SHA256} and values.read(SHA256) == DATA
    with values.placing(b"never placed"):
        pass
    assert len(list(values.memory.rglob("*.*"))) == 1


def test_removing_and_quarantining(values: ValueFolder) -> None:
    values.remove(put(values))
    values.remove(SHA256)  # gone already
    with values.placing(DATA):
        values.remove(SHA256)  # what another process is just writing stays
        assert values.exists(SHA256)
    assert not values.look_through().values and not values.look_through().parts
    values.quarantine(SHA256)  # not there
    values.quarantine(put(values))
    assert (values.memory / "quarantine" / f"{SHA256}.safetensors").read_bytes() == DATA
    with pytest.raises(CorruptValue, match="missing"):
        values.read(SHA256)
    values.path(put(values)).write_bytes(b"damaged")
    values.quarantine(SHA256)  # replaces no earlier one
    names = {path.name: path.read_bytes() for path in (values.memory / "quarantine").iterdir()}
    assert names == {f"{SHA256}.safetensors": DATA, f"{SHA256}-2.safetensors": b"damaged"}


def test_other_files_are_listed_as_such(values: ValueFolder) -> None:
    put(values)
    sub = values.memory / "values" / SHA256[:2]
    for name in ("x.safetensors", f"{'0' * 64}.safetensors", f".part-{SHA256}", f"{SHA256}.safetensors.bak"):
        (sub / name).write_text("x")
    (sub / f"{SHA256[:2]}{'1' * 62}.safetensors").mkdir()
    (values.memory / "values" / "abc").mkdir()
    found = values.look_through()
    assert found.values == {SHA256} and len(found.other) == 6 and "abc" in found.other


@pytest.mark.parametrize("what", ["values", "subfolder", "file"])
def test_links_are_no_way_in_or_out(values: ValueFolder, tmp_path: Path, what: str) -> None:
    path = values.path(put(values))
    place = {"values": path.parents[1], "subfolder": path.parent, "file": path}[what]
    place.rename(tmp_path / "outside")
    place.symlink_to(tmp_path / "outside")
    with pytest.raises(CorruptValue):
        values.read(SHA256)
    assert what == "file" or not values.exists(SHA256)
    if what != "file":
        for act in (values.remove, values.quarantine, put):
            with pytest.raises(OSError):
                act(SHA256 if act is not put else values)  # type: ignore[arg-type, operator]
    inside = [f for f in (tmp_path / "outside").rglob("*") if f.is_file()] or [tmp_path / "outside"]
    assert inside[0].read_bytes() == DATA


def test_only_regular_files_within_their_limit_are_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert read_regular(tmp_path / "file", 5) == b"12345" and read_regular(tmp_path / "file", 5, size=2) == b"12"
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for path, limit in ((tmp_path / "file", 4), (tmp_path / "fifo", 5), (tmp_path / "link", 5), (tmp_path, 5)):
        with pytest.raises(OSError):
            read_regular(path, limit)
    for device in ("/dev/zero", "/dev/null"):
        with pytest.raises(OSError):
            read_regular(Path(device), 5)


@pytest.mark.parametrize("name", ["../../../etc/passwd", "/etc/passwd", SHA256[:-1], SHA256.upper(), SHA256 + "\n"])
def test_only_a_sha256_becomes_part_of_a_path(values: ValueFolder, name: str) -> None:
    """The guards were asserts, which `python -O` leaves out."""
    for act in (values.path, values.read, values.remove, values.quarantine, values.exists):
        with pytest.raises(ValueError, match="not a sha256"):
            act(name)
