"""The files that the page shows: embedded while there is room, otherwise copied beside the page.

Copies are named by their content, so that a repeated report finds them again and equal files are kept once.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path

from eval.report.runs import ReportRun
from ttom.files import write_bytes

FOLDER = "media"
FILE_LIMIT = 1 << 30
"""Largest single file that is embedded or copied, in bytes."""


class Media:
    """Hands out references to files: "#3" for the third embedded file, else a path relative to the page.

    Args:
        folder: Folder of the page.
        budget: Bytes of files that may be embedded; None for no limit.
    """

    def __init__(self, folder: Path, budget: int | None) -> None:
        self._folder, self._left = folder, budget
        self._embedded: list[Path] = []
        self._known: dict[tuple[str, str], str] = {}
        self.embedded_bytes = self.copied_bytes = 0

    def fits(self, sizes: list[int]) -> bool:
        """Whether all files of these sizes may still be embedded."""
        return self._left is None or sum(sizes) <= self._left

    def add(self, run: ReportRun, path: Path, embed: bool, sha256: str | None = None) -> str | None:
        """A reference to the file, or None if it cannot be used, which the run's problems then say.

        Args:
            sha256: What the manifest says of the file; one that has changed since is not shown.
        """
        try:
            if path.stat().st_size > FILE_LIMIT:
                run.note("files too large for the page", path.name)
                return None
            data = path.read_bytes()
        except OSError as error:
            run.note("files that cannot be read", f"{path.name}: {error.strerror}")
            return None
        digest = hashlib.sha256(data).hexdigest()
        if sha256 is not None and sha256 != digest:
            run.note("videos that changed since they were made: not shown", path.name)
            return None
        key = digest, path.suffix
        if key not in self._known:
            self._known[key] = self._embed(path, len(data)) if embed else self._copy(data, digest, path.suffix)
        return self._known[key]

    def embedded(self) -> Iterator[tuple[int, str]]:
        """The embedded files in order: number and base64 text, read again so that only one is held in RAM."""
        for number, path in enumerate(self._embedded):
            yield number, base64.b64encode(path.read_bytes()).decode()

    def _embed(self, path: Path, size: int) -> str:
        if self._left is not None:
            self._left -= size
        self.embedded_bytes += size
        self._embedded.append(path)
        return f"#{len(self._embedded) - 1}"

    def _copy(self, data: bytes, digest: str, suffix: str) -> str:
        name = f"{digest[:20]}{suffix}"
        place = self._folder / FOLDER / name
        if not place.is_file() or place.stat().st_size != len(data):
            place.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(place, data)
        self.copied_bytes += len(data)
        return f"{FOLDER}/{name}"
