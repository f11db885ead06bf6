"""What messages quote of what libraries say."""

from __future__ import annotations

import pytest

from ttom.errors import first_line


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("no kernel\nfor this device", "no kernel"),
        ("\n  no kernel \n", "no kernel"),
        ("", "ValueError"),
        (" \n ", "ValueError"),
        ("a \x1b]0;title\x07 b\x00\u202ec", "a  ]0;title  b  c"),
        ("x" * 301, "x" * 297 + "..."),
    ],
)
def test_the_first_line_fits_a_terminal(said: str, line: str) -> None:
    assert first_line(ValueError(said)) == line


def test_its_length_can_be_chosen() -> None:
    assert first_line(ValueError("x" * 50), 10) == "x" * 7 + "..."
    assert len(first_line(ValueError("x" * 10**6), 10**7)) == 10_000
