"""Whose answers are scored, where several judges or versions have answered."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.eval.scoring import answer, scored, write_run
from ttom.errors import UserError

pytestmark = pytest.mark.usefixtures("scored_metric")


def test_answers_of_two_judges_or_versions_are_never_mixed(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", 2)
    answer(tmp_path, {0: 0.1}, version="1")
    answer(tmp_path, {0: 0.2, 1: 0.3}, version="2")
    answer(tmp_path, {1: 0.4}, judge="other")
    with pytest.raises(UserError, match="several judges .* 'brightness'") as caught:
        scored(tmp_path, path)
    assert "toy@2 (2 answers)" in str(caught.value) and "other@1 (1 answers)" in str(caught.value)
    with pytest.raises(UserError, match="several judges"):
        scored(tmp_path, path, judge=("toy",))  # still two versions
    assert [row.value for row in scored(tmp_path, path, judge=("toy@2",)).values()] == [0.2, 0.3]
    assert [row.value for row in scored(tmp_path, path, judge=("other",)).values()] == [None, 0.4]
    with pytest.raises(UserError, match="nobody has answered nothing"):
        scored(tmp_path, path, judge=("nobody",))
