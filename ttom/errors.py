"""The one error a user's mistake raises: what was expected, what was received, and what to do next."""

from __future__ import annotations


class UserError(Exception):
    """A mistake in the input, the settings or the environment that the user can fix.

    The command line prints it without a traceback and exits with code 2.

    Args:
        problem: What is wrong, with the received value in it.
        expected: What would have been accepted.
        remedy: What to do next.
    """

    def __init__(self, problem: str, *, expected: str | None = None, remedy: str | None = None) -> None:
        self.problem, self.expected, self.remedy = problem, expected, remedy
        lines = [problem]
        if expected:
            lines.append(f"expected: {expected}")
        if remedy:
            lines.append(f"try: {remedy}")
        super().__init__("\n".join(lines))


class SetupError(UserError):
    """A problem with the settings or the environment that every other prompt would meet too: a run stops at it."""


def first_line(error: BaseException, length: int = 300) -> str:
    """What a library says, fit for a terminal: it may quote a file that others wrote."""
    lines = str(error)[:10_000].strip().splitlines()
    return cut_short(printable(lines[0] if lines else type(error).__name__), length)


def printable(text: str) -> str:
    """The text with spaces in place of control characters and the like."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def cut_short(text: str, length: int) -> str:
    """At most so many characters of what a message quotes."""
    return text if len(text) <= length else text[: length - 3] + "..."
