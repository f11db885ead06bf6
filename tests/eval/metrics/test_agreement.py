from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_cohen_kappa

from eval.metrics.agreement import cohen_kappa


def test_by_hand() -> None:
    # 20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no: observed .7, chance .5 * .6 + .5 * .4 = .5, kappa .4
    first = "y" * 25 + "n" * 25
    second = "y" * 20 + "n" * 5 + "y" * 10 + "n" * 15
    assert cohen_kappa(first, second) == pytest.approx(0.4)
    assert cohen_kappa(first, first) == pytest.approx(1.0)


def test_no_agreement_to_speak_of() -> None:
    assert cohen_kappa([], []) is None
    assert cohen_kappa("aaa", "aaa") is None
    assert cohen_kappa("aabb", "abab") == pytest.approx(0.0)
    with pytest.raises(ValueError):
        cohen_kappa("ab", "a")


def test_equals_torchmetrics() -> None:
    first, second = np.random.default_rng(0).integers(0, 4, (2, 200))
    second[:90] = first[:90]
    theirs = multiclass_cohen_kappa(torch.tensor(first), torch.tensor(second), num_classes=4)
    assert cohen_kappa(first.tolist(), second.tolist()) == pytest.approx(float(theirs), abs=1e-6)
