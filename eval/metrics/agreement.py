"""How far two judges agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence


def cohen_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float | None:
    """Cohen's kappa of the labels that two judges gave to the same items.

    Returns:
        1 for full agreement, 0 for as much as chance gives; None if there are no items, or if both judges gave one and
        the same label to all, where chance agrees fully too.

    Raises:
        ValueError: The numbers of labels differ.
    """
    pairs = list(zip(first, second, strict=True))
    if not pairs:
        return None
    observed = sum(a == b for a, b in pairs) / len(pairs)
    counts = Counter(first), Counter(second)
    chance = sum(counts[0][label] * counts[1][label] for label in counts[0]) / len(pairs) ** 2
    return None if chance == 1 else (observed - chance) / (1 - chance)
