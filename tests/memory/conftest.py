"""Fixtures of the memory's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.memory.memories import new
from ttom.memory.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return new(tmp_path / "memory")
