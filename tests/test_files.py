"""Files are written whole or not at all, and what killed processes left goes when that is provably so."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ttom import files
from ttom.errors import SetupError


def old(path: Path) -> Path:
    past = time.time() - 3600
    os.utime(path, (past, past))
    return path


def test_a_file_is_replaced_whole_and_readable_by_others(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    os.chmod(path, 0o600)
    files.write_json(path, {"é": 1.5})
    assert path.read_text(encoding="utf-8") == '{\n  "é": 1.5\n}\n'
    assert path.stat().st_mode & 0o777 == 0o644
    assert [item.name for item in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failed_write_keeps_the_old_file_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patched:
        patched.setattr(os, failing, full)
        with pytest.raises(OSError, match="No space left"):
            files.write_text(path, "new")
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["a.txt"]


def test_an_unfinished_file_may_lie_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, stage = tmp_path / "place", tmp_path / "stage"
    place.mkdir()
    stage.mkdir()
    seen: list[tuple[int, int]] = []
    flush = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda fd: (seen.append((len([*place.iterdir()]), len([*stage.iterdir()]))), flush(fd))
    )
    files.write_bytes(place / "a.mp4", b"video", stage=stage)
    assert seen[0] == (0, 1)
    assert [path.read_bytes() for path in place.iterdir()] == [b"video"]
    assert list(stage.iterdir()) == []


def test_no_other_module_renames_files_into_place() -> None:
    """The memory, whose folders other processes may swap under it, works on descriptors (ttom/memory/values.py)."""
    root = Path(files.__file__).parents[1]
    paths = [path for package in ("ttom", "eval", "probes", "experiments") for path in (root / package).rglob("*.py")]
    users = {str(path.relative_to(root)) for path in paths if "os.replace(" in path.read_text()}
    assert {user for user in users if not user.startswith("ttom/memory/")} == {"ttom/files.py"}


def test_json_is_strict(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        files.write_json(tmp_path / "a.json", float("nan"))
    assert list(tmp_path.iterdir()) == []


def test_staged_moves_all_or_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt), files.staged(folder) as stage:
        (stage / "a").write_text("half")
        raise KeyboardInterrupt
    assert list(folder.iterdir()) == []
    with files.staged(folder) as stage:
        (stage / "a").write_text("whole")
        assert stage.parent == folder  # same disk: the move is one rename
    assert [path.name for path in folder.iterdir()] == ["a"]


@pytest.mark.parametrize(("number", "words"), [(28, "disk full.*No space left"), (13, "^cannot write.*Permission")])
def test_what_the_disk_refuses_ends_a_whole_run(tmp_path: Path, number: int, words: str) -> None:
    with pytest.raises(SetupError, match=words), files.staged(tmp_path):
        raise OSError(number, os.strerror(number))


def test_only_one_process_writes_to_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with files.only_writer(folder):
        with pytest.raises(SetupError, match="another process writes"), files.only_writer(folder):
            pass
        with files.only_writer(tmp_path / "other"):
            pass
    assert list(folder.iterdir()) == []
    with files.only_writer(folder):
        pass


def test_a_killed_writer_holds_no_lock(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys\nfrom ttom import files\n"
        "with files.only_writer(pathlib.Path(sys.argv[1])):\n    print('in', flush=True)\n    sys.stdin.read()\n"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "in\n"
        with pytest.raises(SetupError), files.only_writer(tmp_path):
            pass
        process.kill()
    with files.only_writer(tmp_path):
        pass


def test_checking_a_folder_leaves_nothing(tmp_path: Path) -> None:
    files.check_folder(tmp_path / "a" / "b")
    files.check_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, signal, sys\nfrom ttom import files\n"
        "with files.staged(pathlib.Path(sys.argv[1])) as stage:\n"
        "    (stage / 'video.mp4').write_text('half')\n    print(stage, flush=True)\n    sys.stdin.read()\n"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        stage = old(Path(process.stdout.readline().strip()))
        assert files.remove_stale(tmp_path) == []  # its owner lives
        process.kill()
    old(stage)
    assert files.remove_stale(tmp_path) == [stage]
    assert list(tmp_path.iterdir()) == []


def test_only_our_own_old_temporaries_are_removed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").write_text("kept")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / ".ttom-0123456789abcdef").symlink_to(elsewhere)
    for name in (".ttom-mine", ".ttom-0123456789abcdef.txt", "ttom-0123456789abcdea"):
        (folder / name).mkdir()
        old(folder / name)
    (folder / ".ttom-0123456789abcdee").mkdir()  # young
    assert files.remove_stale(folder) == []
    assert len(list(folder.iterdir())) == 5
    assert (elsewhere / "kept").exists()


def test_a_scratch_folder_goes_with_its_owner(tmp_path: Path) -> None:
    with files.Scratch(tmp_path) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "file").write_text("x")
        assert folder.parent == tmp_path and (folder.stat().st_mode & 0o777) == 0o700
        other = files.Scratch(tmp_path)
        assert folder.exists()
    assert not folder.exists() and other.path.exists()
    del other
    assert not list(tmp_path.iterdir())
