"""The limits on prompts and layouts from outside, in one place, and the checks that hold them.

They are far above what a video model can use, and low enough that anything larger is refused within a second.
"""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

from ttom.errors import UserError

MAX_PROMPT = 20_000
"""Characters of a prompt: no text encoder reads a tenth of that."""
MAX_OBJECTS = 48
"""Objects of a layout; more do not fit into a picture."""
MAX_KEY_FRAMES = 1_000
"""Key frames of an object: more than one for each frame of the longest videos."""
MAX_TEXT = 1_000
"""Characters of any other text in a layout, such as a note."""
MAX_NAME = 200
"""Characters of an object's phrase, noun and id."""
MAX_NOTES = 5_000
"""Notes of a layout, and what it leaves out."""
MAX_FILE = 64 * 2**20
"""Bytes of a layout file, or of a file of layouts to import."""
MAX_DEPTH = 32
"""Lists and objects inside one another in a JSON file."""


def check_prompt(prompt: str) -> None:
    """Raise UserError for a prompt without a word, one that is too long, or control characters or invalid Unicode."""
    if not isinstance(prompt, str):
        raise UserError(f"the prompt is of type {type(prompt).__name__}", expected="a string")
    if not any(character.isalnum() for character in prompt):
        raise UserError("the prompt is empty", expected="a sentence about one or more things", remedy='"a cat"')
    if len(prompt) > MAX_PROMPT:
        raise UserError(
            f"the prompt has {len(prompt)} characters", expected=f"at most {MAX_PROMPT}", remedy="shorten it"
        )
    problem = text_problem(prompt)
    if problem:
        raise UserError(f"the prompt {problem}", expected="plain text", remedy="type it, or save it in UTF-8")


def text_problem(text: str) -> str | None:
    """Why this is not plain text, or None: lone surrogates, or control characters other than tabs and line breaks.

    A terminal would execute an escape sequence in a printed phrase, and C libraries stop at NUL.
    """
    for character in text:
        category = unicodedata.category(character)
        if category == "Cs":
            return "is not valid Unicode"
        if category == "Cc" and character not in "\t\n\r":
            return f"contains the control character U+{ord(character):04X}"
    return None


def read_text(path: Path, what: str, *, expected: str, remedy: str | None = None) -> str:
    """The text of a UTF-8 file of at most `MAX_FILE` bytes, with or without a byte order mark.

    Raises:
        UserError: the file is missing, not a regular file, unreadable, too large, or not UTF-8.
    """
    try:
        if path.exists() and not path.is_file():  # a named pipe would be waited for
            raise UserError(f"{what} {path} cannot be read: it is not a regular file", expected=expected, remedy=remedy)
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
        if len(data) > MAX_FILE:
            raise UserError(f"{what} {path} has more than {MAX_FILE} bytes", expected=expected, remedy=remedy)
        return data.decode("utf-8-sig")
    except FileNotFoundError as error:
        raise UserError(f"{what} {path} does not exist", expected=expected, remedy=remedy) from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"{what} {path} cannot be read: it is not in UTF-8", expected=expected, remedy=remedy
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a path with NUL in it
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{what} {path} cannot be read: {reason}", expected=expected, remedy=remedy) from error


def parse_json(text: str) -> Any:
    """What a JSON text holds, at most `MAX_DEPTH` deep. Raises ValueError that says what is wrong."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("too many levels of lists and objects") from None
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [container for container in level if isinstance(container, dict | list)]
        if not level:
            return value
        level = [item for one in level for item in (one.values() if isinstance(one, dict) else one)]
    raise ValueError(f"more than {MAX_DEPTH} levels of lists and objects")
