"""Locks end with their holder, and a memory is not written without them."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from tests.memory.memories import new, put
from ttom.errors import SetupError
from ttom.memory import locks
from ttom.memory.locks import Presence
from ttom.memory.maintenance import verify
from ttom.memory.merging import merge
from ttom.memory.rebuild import rebuild
from ttom.memory.store import Store

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}


def start(code: str, *arguments: object, **environment: str) -> subprocess.Popen[str]:
    """A process that prints a line once it is ready and then waits."""
    child = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**ENVIRONMENT, **environment},
    )  # fmt: skip
    assert child.stdout is not None and child.stdout.readline()
    return child


def kill(child: subprocess.Popen[str]) -> None:
    child.send_signal(signal.SIGKILL)
    child.wait()


def test_copies_of_a_killed_reader_go_with_the_next_and_those_of_a_living_one_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copies of entries, prompts included, stayed in $TMPDIR after SIGKILL."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with new(tmp_path / "m") as store:
        put(store, prompt="a secret")
    code = (
        "import sys\nfrom ttom.memory.store import Store\nstore = Store(sys.argv[1], read_only=True)\n"
        "print('ready', flush=True)\nsys.stdin.read()"
    )
    child = start(code, tmp_path / "m", TMPDIR=str(temporary))
    copies = [path.name for path in temporary.iterdir()]
    foreign = temporary / "ttom-memory-abcdefgh"
    foreign.mkdir()
    (foreign / "mine").write_text("mine")
    link = temporary / ".ttom-0123456789abcdef"
    link.symlink_to(tmp_path)
    os.utime(temporary / copies[0], (0, 0))
    Store(tmp_path / "m", read_only=True).close()
    assert len(copies) == 1 and (temporary / copies[0]).exists()
    kill(child)
    assert (temporary / copies[0] / "entries.sqlite").exists()
    Store(tmp_path / "m", read_only=True).close()
    assert {path.name for path in temporary.iterdir()} == {foreign.name, link.name}
    assert (foreign / "mine").exists() and (tmp_path / "m").exists()


def test_one_process_is_alone_until_it_shares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "WAIT_SECONDS", 0.1)
    first = Presence(tmp_path)
    assert first.alone
    with pytest.raises(SetupError, match="being repaired"):
        Presence(tmp_path)
    first.share()
    second = Presence(tmp_path)
    assert not second.alone and not first.alone
    first.close()
    second.close()
    code = (
        "import sys\nfrom pathlib import Path\nfrom ttom.memory.locks import Presence\n"
        "presence = Presence(Path(sys.argv[1]))\nprint('ready', flush=True)\nsys.stdin.read()"
    )
    child = start(code, tmp_path)
    with pytest.raises(SetupError):
        Presence(tmp_path)
    kill(child)  # the lock ends with it
    third = Presence(tmp_path)
    assert third.alone
    third.close()


def test_a_lock_file_that_is_none_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / locks.PRESENCE)
    with pytest.raises(OSError):
        Presence(tmp_path)
    (tmp_path / locks.PRESENCE).unlink()
    (tmp_path / "target").write_text("mine")
    (tmp_path / locks.PRESENCE).symlink_to(tmp_path / "target")
    with pytest.raises(OSError):
        Presence(tmp_path)


def test_a_file_that_is_found_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may lock a new file first, to remove it: its writer must not go on with a file that is gone."""
    real, name, others = fcntl.flock, "part", []

    def late(handle: int, kind: int) -> None:
        if not others:  # just created: the other process is quicker
            other = os.open(tmp_path / name, os.O_RDWR)
            real(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            others.append(threading.Timer(0.2, lambda: (os.unlink(tmp_path / name), os.close(other))))
            others[0].start()
        real(handle, kind)

    monkeypatch.setattr("ttom.memory.locks.fcntl.flock", late)
    folder = os.open(tmp_path, os.O_RDONLY)
    handle = locks.create_locked(name, folder)
    others[0].join()
    assert os.fstat(handle).st_nlink == 1 and os.stat(tmp_path / name).st_ino == os.fstat(handle).st_ino
    os.close(handle)
    os.close(folder)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_file_systems_without_locks_are_refused_for_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A new memory was said to be none, and an existing one was written without protection."""
    with new(tmp_path / "m") as store:
        put(store)

    def unsupported(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("ttom.memory.locks.fcntl.flock", unsupported)
    acts = (
        Store, verify, rebuild, lambda _: new(tmp_path / "n"), lambda folder: merge([folder], tmp_path / "o")
    )  # fmt: skip
    for act in acts:
        with pytest.raises(SetupError, match="has no locks") as caught:
            act(tmp_path / "m")
        assert "memory.mode=read" in str(caught.value)
    with Store(tmp_path / "m", read_only=True) as store:
        assert len(store) == 1
    monkeypatch.undo()
    for name in ("m", "n", "o"):
        new(tmp_path / name).close()
