"""A picture of noise."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
