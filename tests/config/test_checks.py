"""The checks themselves: whole numbers, and addresses without anything secret."""

from __future__ import annotations

from typing import Any

import pytest

from ttom.config.checks import is_plain_address, is_whole


@pytest.mark.parametrize(
    ("number", "whole"), [(2, True), (1, True), (0, False), (True, False), (2.0, False), ("2", False), (None, False)]
)
def test_whole_numbers(number: Any, whole: bool) -> None:
    assert is_whole(number, 1) is whole


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("http://localhost:8000/v1", True),
        ("https://api.example.org", True),
        ("ftp://localhost", False),
        ("localhost:8000", False),
        ("http://user@host/v1", False),
        ("http://host/v1?key=1", False),
        ("http://host/v1#key", False),
        ("http://host:port/", False),
        ("http://ho st/", False),
        ("http://[::1", False),
        ("", False),
    ],
)
def test_plain_addresses(url: str, plain: bool) -> None:
    assert is_plain_address(url) is plain
