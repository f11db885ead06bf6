"""What settings check of their values when they are built; each mistake is one UserError that names the field."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, get_args
from urllib.parse import urlsplit

from ttom.errors import UserError


def require(settings: Any, group: str, name: str, expected: str, accepted: Callable[[Any], bool]) -> None:
    """Raise UserError unless a field's value is accepted; a value of a wrong type is not."""
    value = getattr(settings, name)
    try:
        fits = accepted(value)
    except (TypeError, AttributeError):
        fits = False
    if not fits:
        field = f"`{group}.{name}`"
        shown = (" ".join(map(str, value)) or "empty") if isinstance(value, tuple | list) else value
        raise UserError(f"{field} is {shown}", expected=expected, remedy=f"leave {field} out to use the default")


def require_counts(settings: Any, group: str, *names: str, or_none: bool = False) -> None:
    expected = "a whole number of at least 1" + (", or None" if or_none else "")
    for name in names:
        require(settings, group, name, expected, lambda n: (n is None and or_none) or is_whole(n, 1))


def require_switches(settings: Any, group: str, *names: str) -> None:
    for name in names:
        require(settings, group, name, "True or False", lambda value: isinstance(value, bool))


def require_names(settings: Any, group: str, *names: str) -> None:
    for name in names:
        require(settings, group, name, "a name", is_name)


def require_choices(settings: Any, group: str, **choices: Any) -> None:
    """Each of these fields has one of the values of its Literal."""
    for name, literal in choices.items():
        known = get_args(literal)
        require(settings, group, name, f"one of {', '.join(known)}", known.__contains__)


def is_whole(number: Any, least: int) -> bool:
    """Whether it is a whole number of at least this; 2.5, 2.0 and True are none."""
    return type(number) is int and number >= least


def are_blocks(blocks: Any) -> bool:
    return len(blocks) == len(set(blocks)) > 0 and all(is_whole(block, 0) for block in blocks)


def is_name(text: Any) -> bool:
    return isinstance(text, str) and bool(text.strip())


def is_positive(number: float) -> bool:
    return math.isfinite(number) and number > 0


def is_plain_address(url: str) -> bool:
    """Whether it is an http(s) address of a host, without anything secret in it."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is no number
    except ValueError:
        return False
    plain = parts.username is None and parts.password is None and not parts.query and not parts.fragment
    return parts.scheme in ("http", "https") and bool(parts.hostname) and plain and not re.search(r"\s", url)
