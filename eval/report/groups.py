"""The groups that a case's facts put it in: by direction of motion, by spatial relation, by count."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from eval.types import Case

_FACTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "direction": (("directions",), ("direction",), ("d_1", "d_2")),
    "relation": (("relation",), ("spatial",)),
    "count": (("counts",), ("count",), ("numbers",)),
}
"""The facts that tell each kind of group, in our suites and in T2V-CompBench's metadata; the first found counts."""


def groups_of(case: Case) -> list[tuple[str, str]]:
    """Pairs of kind and group, such as ("direction", "left"), each once."""
    found: dict[tuple[str, str], None] = {}
    for kind, sources in _FACTS.items():
        names = next((names for names in sources if any(name in case.facts for name in names)), ())
        for name in names:
            for word in _last_words(case.facts.get(name)):
                found[kind, word] = None
    return list(found)


def _last_words(value: Any) -> Iterator[str]:
    """The words of a fact; of a list such as [noun, direction] or [first, second, relation] the last one."""
    if isinstance(value, str):
        yield from (word for word in (part.strip() for part in re.split("[,;]", value)) if word)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield f"{value:g}"
    elif isinstance(value, dict):
        for item in value.values():
            yield from _last_words(item)
    elif isinstance(value, list | tuple) and value:
        if any(isinstance(item, list | tuple | dict) for item in value):
            for item in value:
                yield from _last_words(item)
        else:
            yield from _last_words(value[-1])
