"""What all settings refuse: a helper for each kind of value."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from ttom.errors import UserError


def refuses(make: Any, problem: str, **values: Any) -> None:
    """The values are refused with this problem, in terms of fields alone: no option of a command line is named."""
    with pytest.raises(UserError, match=problem) as error:
        make(**values)
    assert "--" not in str(error.value)


def takes_whole_numbers(make: Any, name: str) -> None:
    """The field takes 2, and nothing that only looks like it."""
    make(**{name: 2})
    for value in (2.5, 2.0, True, "2", float("nan")):
        refuses(make, rf"`\w+\.{name}` is {value}", **{name: value})


def takes_switches(make: Any) -> None:
    """Fields that are True or False are nothing else."""
    switches = [item.name for item in fields(make) if isinstance(item.default, bool)]
    assert switches
    for name in switches:
        make(**{name: True})
        for value in ("x", None, 1):
            refuses(make, rf"(?s)`\w+\.{name}` is {value}.*True or False", **{name: value})
