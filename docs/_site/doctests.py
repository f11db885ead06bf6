"""Examples that docstrings show as doctests without a heading become code blocks."""

from __future__ import annotations

import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"(?:^[ ]*(?:>>>|\.\.\.).*\n?)+", re.MULTILINE)


class Doctests(griffe.Extension):
    """Put bare doctests into fences, which Markdown would take for quotations."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring and ">>>" in obj.docstring.value and "Examples:" not in obj.docstring.value:
            obj.docstring.value = _EXAMPLE.sub(_fenced, obj.docstring.value)


def _fenced(match: re.Match[str]) -> str:
    lines = [re.sub(r"^ *(>>>|\.\.\.) ?", "", line) for line in match[0].rstrip().splitlines()]
    return "\n".join(["", "```python", *lines, "```", ""])
