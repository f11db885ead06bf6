"""Means of scores, and what they leave out."""

from __future__ import annotations

import pytest

from eval.summary import summarize, table
from eval.types import ScoreRow

pytestmark = pytest.mark.usefixtures("scored_metric")


def test_means_count_what_is_excluded() -> None:
    def row(metric: str, value: float | None, excluded: str | None = None) -> ScoreRow:
        return ScoreRow(run="r", case_id="c", suite="s", category="c", metric=metric, value=value, excluded=excluded)

    rows = [row("a", 1.0), row("a", 0.0), row("a", None, "unreadable reply"), row("b", None, "no video")]
    first, second = summarize(rows)
    assert (first.value, first.count, dict(first.excluded)) == (0.5, 2, {"unreadable reply": 1})
    assert second.value is None and second.count == 0
    assert "excluded 1: 1 unreadable reply" in table([first, second])
    seven = [row(name, 0.5) for name in "consistent dynamic spatial motion action interaction numeracy".split()]
    assert "average of seven      0.500" in table(summarize(seven))
    assert "average" not in table(summarize(seven[1:]))
