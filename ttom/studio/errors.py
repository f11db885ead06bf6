"""What the server answers when it refuses: one JSON object with problem, expected and remedy."""

from __future__ import annotations

from typing import Any

from ttom.errors import UserError, cut_short

_LONGEST = 2000
"""Characters of each part of an answer."""


_ON_THE_PAGE = {
    "write the layout yourself and pass it as `layout`": "draw the boxes yourself",
    "edit the phrase in the layout file, or use the prompt that the layout was made for": (
        "select the box's words in the prompt, or change the prompt"
    ),
    "another `model`": "the studio with another model",
    ", or raise `sampler.max_sequence_length` as far as the model allows": "",
}
"""Advice for users of the Python API and of files, and what it is for users of the page."""


class Refused(UserError):
    """A request that is refused with a status of its own; any other UserError is a 422."""

    def __init__(self, status: int, problem: str, *, expected: str | None = None, remedy: str | None = None) -> None:
        super().__init__(problem, expected=expected, remedy=remedy)
        self.status = status


def status_of(error: UserError) -> int:
    """The HTTP status of an error."""
    return error.status if isinstance(error, Refused) else 422


def as_json(error: UserError) -> dict[str, Any]:
    """The body of the answer, safe to print: without control characters, and of bounded length."""
    return {name: _plain(getattr(error, name)) for name in ("problem", "expected", "remedy")}


def _plain(text: str | None) -> str | None:
    if text is None:
        return None
    text = for_page(text)
    kept = "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in text)
    return cut_short(kept, _LONGEST)


def for_page(text: str) -> str:
    """The text in the page's words, where Python and files have others."""
    for theirs, ours in _ON_THE_PAGE.items():
        text = text.replace(theirs, ours)
    return text


def not_found(what: str, remedy: str | None = None) -> Refused:
    """The refusal of what does not exist."""
    return Refused(404, f"there is no {what}", remedy=remedy)
