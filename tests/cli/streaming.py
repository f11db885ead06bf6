"""Files of prompts."""

from __future__ import annotations

from pathlib import Path


def written(folder: Path, text: str, name: str = "prompts.txt") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)
