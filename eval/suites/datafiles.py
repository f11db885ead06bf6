"""Reading data that others publish: bounded in size and time, and tolerant of known mistakes in it."""

from __future__ import annotations

import json
import re
import tempfile
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ttom.errors import UserError

API, RAW = "https://api.github.com/repos", "https://raw.githubusercontent.com"
CACHE = Path("~/.cache/ttom/benchmarks")
MAX_BYTES = 16 << 20
"""Largest data file that is read or downloaded; the real ones have less than 1 MB."""
TIMEOUT = 30.0


def read_text(path: Path) -> str:
    """A UTF-8 file, with or without a byte order mark. Raises UserError."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path} is larger than {MAX_BYTES >> 20} MiB", expected="a list of prompts or metadata")
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path} does not exist", remedy="check the folder that you named as `data`") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not in UTF-8") from None


def download(url: str, timeout: float = TIMEOUT) -> bytes:
    """The body of an address. Raises UserError if it does not come, is too large, or too slow."""
    request = urllib.request.Request(url, headers={"User-Agent": "ttom-eval"})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            body = answer.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # HTTP errors are OSErrors
        raise UserError(f"{url} cannot be downloaded: {getattr(error, 'reason', None) or error}") from None
    if len(body) > MAX_BYTES:
        raise UserError(f"{url} is larger than {MAX_BYTES >> 20} MiB", expected="a list of prompts or metadata")
    return body


@dataclass(frozen=True)
class Upstream:
    """A benchmark's repository on GitHub, and the branch that is taken."""

    repository: str
    branch: str

    def fetch(self, names: Sequence[str]) -> tuple[Path, str]:
        """Download files of the branch's present revision into the user's cache, unless they are there.

        Returns:
            The folder, and "REPOSITORY@REVISION".

        Raises:
            UserError: The repository cannot be reached, or does not hold the files.
        """
        root = CACHE.expanduser() / self.repository.replace("/", "--")
        kept = sorted(path for path in root.glob("*") if path.is_dir() and not path.name.startswith("."))
        remedy = f"`data={kept[-1]}`, a copy of it" if kept else "`data=DIR`, a copy of the repository"
        try:
            revision = json.loads(download(f"{API}/{self.repository}/commits/{self.branch}"))["sha"]
            if not re.fullmatch(r"[0-9a-f]{40}", revision):
                raise ValueError(revision)
        except UserError as error:
            raise UserError(error.problem, expected="access to the official repository", remedy=remedy) from None
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{API} named no revision of {self.repository}", remedy=remedy) from None
        folder = root / revision
        if not folder.is_dir():
            self._download(revision, names, folder)
        return folder, f"{self.repository}@{revision}"

    def _download(self, revision: str, names: Sequence[str], folder: Path) -> None:
        """Make the folder; it appears when all files are there."""
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".part-", dir=folder.parent) as name:
                part = Path(name) / "data"
                for file in names:
                    body = download(f"{RAW}/{self.repository}/{revision}/{file}")
                    (part / file).parent.mkdir(parents=True, exist_ok=True)
                    (part / file).write_bytes(body)
                part.rename(folder)
        except OSError as error:
            if not folder.is_dir():  # where another process was faster, the folder is complete
                problem = f"cannot write to {folder.parent}: {error.strerror}"
                raise UserError(problem, remedy="free up space there") from None


def tolerant_json(text: str, name: str) -> tuple[Any, bool]:
    """JSON that may lack a comma between two objects, have one too many, or hold raw tabs and line ends in strings.

    Returns:
        The value, and whether something had to be repaired.

    Raises:
        UserError: It cannot be read even so.
    """
    try:
        return json.loads(text), False
    except ValueError:
        pass
    # Only between an object's brackets, which no prompt contains.
    repaired = re.sub(r"\}(\s*)\{", r"},\1{", text.removeprefix("\ufeff"))
    repaired = re.sub(r",(\s*[}\]])", r"\1", repaired)
    repaired = re.sub(r"([\"\]])(\s*\n\s*\")", r"\1,\2", repaired)  # a field that ends a line without its comma
    try:
        return json.loads(repaired, strict=False), True
    except ValueError as error:
        raise UserError(
            f"{name} is not JSON: {error}",
            expected="a list of objects",
            remedy="repair the file at that line, or take another copy of it",
        ) from None
