"""How a program ends: its exit codes, and what it says when its input is bad or it is interrupted."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress

from ttom.cli.flags import with_flags
from ttom.cli.signals import stop_signals
from ttom.errors import UserError

BAD_INPUT = 2
INTERRUPTED = 130


def exit_code(
    program: str,
    work: Callable[[], int],
    interrupted: str = "run it again to continue",
    command: type | None = None,
) -> int:
    """Do a program's work; returns the exit code: the work's own, 2 for a UserError, 130 when interrupted.

    Args:
        program: What messages begin with, such as "eval.judge".
        interrupted: What there is to know after an interruption.
        command: The dataclass of the program's options, by which messages call them.
    """
    try:
        with stop_signals():
            return work()
    except UserError as error:
        complain(program, with_flags(str(error), command))
        return BAD_INPUT
    except KeyboardInterrupt:
        complain(program, f"interrupted; {interrupted}")
        return INTERRUPTED


def complain(program: str, message: str) -> None:
    """Print a message on standard error, if that is still there."""
    with suppress(OSError):  # the terminal may be gone
        print(f"{program}: {message}", file=sys.stderr)
