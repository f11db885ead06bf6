"""Finished plans on disk, one JSON file each, named by a hash of all that decides the plan.

A reader sees a whole file or none, whatever else is running: files are written beside their place, flushed to the disk
and renamed. Two processes that plan the same prompt at once both write it; the later one stays.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from ttom import files

VERSION = 1


class PlanCache:
    """Plans in a folder, which is made when the first plan is kept."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(os.path.expandvars(folder)).expanduser()

    @staticmethod
    def key(decisive: dict[str, Any]) -> str:
        """Hash of the prompt, the model, the stages with their texts, and the settings."""
        text = json.dumps({"version": VERSION, **decisive}, sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def get(self, key: str) -> dict[str, Any] | None:
        """The entry; None if there is none that can be read (then it is planned and written again)."""
        try:
            entry = json.loads(self._path(key).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None
        return entry if isinstance(entry, dict) and entry.get("version") == VERSION else None

    def put(self, key: str, entry: dict[str, Any]) -> None:
        """Keep an entry. Raises OSError if the folder cannot be written."""
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_json(path, {"version": VERSION, **entry}, indent=1)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"
