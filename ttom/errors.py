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


def cut_short(text: str, length: int) -> str:
    """At most so many characters of what a message quotes."""
    return text if len(text) <= length else text[: length - 3] + "..."
