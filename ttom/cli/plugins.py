"""Modules of the user's own that a command imports first: they register methods, losses, suites, metrics or judges."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from ttom.errors import SetupError


def import_plugins(modules: Sequence[str]) -> None:
    """Import modules by their names, such as ``my_methods``. What they raise themselves is theirs, and passes through.

    Raises:
        SetupError: Python finds no module of that name.
    """
    for name in modules:
        missing = SetupError(
            f"there is no module {name!r}",
            expected="the name of a module that Python can import here, such as my_methods",
            remedy="put its folder on PYTHONPATH",
        )
        if not all(part.isidentifier() for part in name.split(".")):
            raise missing
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise  # of what the module itself imports
            raise missing from None
