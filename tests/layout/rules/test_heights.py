"""What flies, or is overhead, is high."""

from __future__ import annotations

import pytest

from ttom.layout.rules.heights import high_things
from ttom.layout.rules.reading import Reading


@pytest.mark.parametrize(
    ("prompt", "high"),
    [
        ("A car drives while a bird flies", ["bird"]),
        ("A dog sits and a balloon floats overhead", ["balloon"]),
        ("A fish swims and a boat floats above", ["boat"]),
        ("A dog sits and a kite drifts in the sky", ["kite"]),
        ("A cat runs as a soldier waves a flag in the sky", ["soldier"]),
        ("A shark swims and a squid swims below", ["shark"]),
        ("A bat flies out of a cave as a drone flies overhead", ["drone"]),
        ("A bird flies", []),
        ("A bird flies and a kite soars", []),
        ("A lamp above a table and a cat", []),
    ],
)
def test_high_things(prompt: str, high: list[str]) -> None:
    reading = Reading(prompt)
    shown = [mention for mention in reading.subjects if not mention.is_scenery]
    assert sorted(mention.phrase for mention in high_things(reading, shown)) == high
