"""A stand-in for T2V-CompBench's repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from eval.toolkits.compbench import Toolkit
from tests.eval.toolkits.fake_compbench import make_toolkit, python


@pytest.fixture
def toolkit(tmp_path: Path) -> Toolkit:
    return Toolkit(make_toolkit(tmp_path / "toolkit"), python(), python(), "mine")
