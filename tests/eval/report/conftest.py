"""Three runs to compare."""

from __future__ import annotations

import pytest

from tests.eval.report.synthetic import write_three_runs


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return [str(path) for path in write_three_runs(tmp_path_factory.mktemp("runs"))]
