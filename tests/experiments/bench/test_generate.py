"""The benchmark's arithmetic: what it sums up, and what it counts."""

from __future__ import annotations

import torch

from experiments.bench.generate import count_operations, matmul_rate, spread, summarize


def test_spread() -> None:
    assert spread([3.0, 1.0, 2.5]) == {"min": 1.0, "median": 2.5, "max": 3.0}
    assert spread([4.0, 1.0, 2.0, 3.0])["median"] == 2.5


def test_summarize() -> None:
    runs = [
        {"wall": 10.0, "seconds": {"optimize": 4.0, "sample": 3.0, "total": 8.0}, "peak_bytes": 7},
        {"wall": 20.0, "seconds": {"optimize": 4.0, "sample": 5.0, "total": 9.0}, "peak_bytes": 5},
    ]
    row = summarize(runs)
    assert row["wall_seconds"] == {"min": 10.0, "median": 15.0, "max": 20.0}
    assert row["stage_seconds"]["sample"]["median"] == 4.0
    assert row["outside_generate_seconds"] == {"min": 2.0, "median": 6.5, "max": 11.0}
    assert row["optimize_share_of_wall"] == 0.3
    assert row["peak_bytes"] == 7


def test_operations_of_products_attention_and_backward() -> None:
    """A product of (4, 8) and (8, 2) takes 2 * 4 * 8 * 2; attention two batched products; backward twice and more."""
    a, b = torch.randn(4, 8), torch.randn(8, 2)
    assert count_operations(lambda: a @ b)["total"] == 128
    query = torch.randn(1, 2, 6, 8)
    attend = torch.nn.functional.scaled_dot_product_attention
    with torch.no_grad():
        assert count_operations(lambda: attend(query, query, query))["total"] == 2 * 2 * 2 * 6 * 6 * 8
    leaf = query.clone().requires_grad_()
    assert count_operations(lambda: attend(leaf, leaf, leaf).sum().backward())["total"] > 3 * 2 * 2 * 2 * 6 * 6 * 8 - 1


def test_matmul_rate_is_a_plausible_number() -> None:
    assert 1e8 < matmul_rate(size=128, seconds=0.05) < 1e14
