"""How the probe's order of blocks is compared with that of test-time optimization."""

from __future__ import annotations

from typing import Any

import pytest

from probes.against_tto import compare


def cell(mean: float) -> dict[str, Any]:
    return {"mean": mean, "interval": [mean, mean], "n": 3}


def test_orders_are_compared_over_the_blocks_that_were_optimised() -> None:
    miou, ap, tto = [0.1, 0.4, 0.3, 0.9], [0.4, 0.1, 0.2, 0.9], [0.2, 0.6, 0.5]
    probe = {"recommended": [1], "best_by_ap": 3}
    probe["blocks"] = [
        {"block": b, "miou": cell(x), "ap": cell(y)} for b, (x, y) in enumerate(zip(miou, ap, strict=True))
    ]
    summary = {f"block {b}": {"layout_miou": cell(value), "presence": cell(1.0)} for b, value in enumerate(tto)}
    result = compare(probe, {"base": {"layout_miou": cell(0.9)}, **summary})
    assert [row["block"] for row in result["blocks"]] == [0, 1, 2]
    assert result["best_by_tto"] == 1 and result["recommended"] == [1]
    assert result["rank_correlation"] == {"miou": pytest.approx(1.0), "ap": pytest.approx(-1.0)}
