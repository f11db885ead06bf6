"""Files of prompts, and what a stream makes of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

OTHER = "A dog moves up"
FIRST, SECOND = "a-red-balloon-moves-from-left-to-right-above-a", "a-dog-moves-up"
"""How the folders of `PROMPT` and `OTHER` begin."""


def written(folder: Path, text: str, name: str = "prompts.txt") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def record(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "stream.jsonl").read_text(encoding="utf-8").splitlines()]


def times(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.glob("*/*")}


def not_again(*_: Any, **__: Any) -> None:
    raise AssertionError("the model was loaded although nothing is left to make")
