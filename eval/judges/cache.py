"""Judges' answers as files: a folder per judge and version, a JSON Lines file per process that wrote.

Every writer appends to a file of its own, so that processes on one host or on many share a folder without locks, also
over a network file system. A line that a crash cut off is skipped. Reading goes through all files once and remembers
where each answer lies, which grows linearly with the answers; values are read when they are asked for.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from pydantic import ValidationError

from eval.types import Answer, Question
from ttom.files import disk_errors

_KEY = re.compile(rb'\{"key":"([0-9a-f]{64})"')
_SAFE = re.compile(r"[^A-Za-z0-9._-]+")


def answer_key(video_sha256: str, judge: str, version: str, question: Question) -> str:
    """Hash of the four things that decide an answer."""
    text = json.dumps([video_sha256, judge, version, question.model_dump(mode="json")], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class AnswerCache:
    """The answers of one judge in one version; safe for threads, and for processes that write to the same folder.

    Args:
        folder: Of all judges' answers; made with the first answer.
    """

    def __init__(self, folder: Path, judge: str, version: str) -> None:
        self.judge, self.version = judge, version
        self.folder = folder / _file_name(judge) / _file_name(version)
        self._places: dict[str, tuple[Path, int, int]] = {}
        self._file: IO[bytes] | None = None
        self._lock = threading.Lock()
        self._read_to: dict[Path, int] = {}
        self.refresh()

    def __enter__(self) -> AnswerCache:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._places)

    def refresh(self) -> None:
        """Take in what other processes have written since."""
        with self._lock:
            for path in sorted(self.folder.glob("*.jsonl")):
                self._scan(path)

    def has(self, video_sha256: str, question: Question) -> bool:
        return self._key(video_sha256, question) in self._places

    def get(self, video_sha256: str, question: Question) -> Answer | None:
        """The answer; None if there is none."""
        place = self._places.get(self._key(video_sha256, question))
        return None if place is None else _read(*place)

    def put(self, answer: Answer) -> None:
        """Append an answer.

        Raises:
            ValueError: It is another judge's or version's, or no plain JSON.
            UserError: The folder cannot be written; SetupError if the disk is full.
        """
        if (answer.judge, answer.judge_version) != (self.judge, self.version):
            raise ValueError(f"an answer of {answer.judge} {answer.judge_version} in the cache of {self.judge}")
        key = self._key(answer.video_sha256, answer.question)
        body = json.dumps(answer.model_dump(), separators=(",", ":"), allow_nan=False)
        line = f'{{"key":"{key}",{body[1:]}\n'.encode()
        with self._lock, disk_errors(self.folder, "free up space there, or name another folder of answers"):
            if self._file is None:
                self.folder.mkdir(parents=True, exist_ok=True)
                name = f"{_file_name(socket.gethostname())}-{os.getpid()}-{secrets.token_hex(4)}.jsonl"
                self._file = open(self.folder / name, "xb", buffering=0)  # noqa: SIM115 (closed by close)
            start = self._file.tell()
            self._file.write(line)
            path = Path(self._file.name)
            self._places[key] = path, start, len(line)
            self._read_to[path] = start + len(line)

    def close(self) -> None:
        """Flush what was written to the disk."""
        if self._file is not None:
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None

    def _key(self, video_sha256: str, question: Question) -> str:
        return answer_key(video_sha256, self.judge, self.version, question)

    def _scan(self, path: Path) -> None:
        """Note where the answers of a file lie, from where it was read to last."""
        start = self._read_to.get(path, 0)
        with open(path, "rb") as file:
            file.seek(start)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # being written, or cut off
                if found := _KEY.match(line):
                    self._places[found[1].decode()] = path, start, len(line)
                start += len(line)
        self._read_to[path] = start


def versions(folder: Path) -> Iterator[tuple[str, str]]:
    """Judge and version of all answers in the folder, as their first answers name them."""
    for path in sorted(folder.glob("*/*")):
        for file in sorted(path.glob("*.jsonl")):
            with open(file, "rb") as lines:
                answer = _parse(lines.readline())
            if answer is not None:
                yield answer.judge, answer.judge_version
                break


def _read(path: Path, start: int, length: int) -> Answer | None:
    with open(path, "rb") as file:
        file.seek(start)
        return _parse(file.read(length))


def _parse(line: bytes) -> Answer | None:
    try:
        data: dict[str, Any] = json.loads(line)
        data.pop("key")
        return Answer.model_validate(data)
    except (ValueError, KeyError, AttributeError, RecursionError, ValidationError):
        return None


def _file_name(name: str) -> str:
    """A folder's name for any name: what is unsafe is replaced, and told apart by a hash."""
    safe = _SAFE.sub("-", name).strip(".-")[:80]
    return safe if safe == name else f"{safe}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
