"""Which FAISS indexes there are, and what is said of others, of a missing FAISS and of a missing GPU."""

from __future__ import annotations

import sys

import faiss
import pytest

from ttom.errors import UserError
from ttom.memory.index import VectorIndex
from ttom.memory.index_kinds import build, import_faiss, reason

D = 16


@pytest.mark.parametrize(
    "factory",
    ["nonsense", "", "IVF0,Flat", "IVF4", "PQ8", "IVF1024,PQ32", "HNSW32_PQ8", "IDMap2,Flat", "NSG16", "LSH",
     "PCA8,Flat", "Flat" * 10_000, "IVF99999999999,Flat", "HNSW٣"],
)  # fmt: skip
def test_other_kinds_of_faiss_are_refused(factory: str) -> None:
    with pytest.raises(UserError, match="HNSW32") as caught:
        VectorIndex(D, factory)
    assert factory[:20] in str(caught.value) and "IVF256,Flat" in str(caught.value) and len(str(caught.value)) < 500


def test_gpu_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(faiss, "StandardGpuResources", raising=False)
    with pytest.raises(UserError, match="pip install faiss-gpu"):
        VectorIndex(D, gpu=True)
    monkeypatch.setattr(faiss, "StandardGpuResources", object, raising=False)
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 0)
    with pytest.raises(UserError, match="finds no GPU"):
        VectorIndex(D, gpu=True)


def test_without_faiss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(UserError, match="pip install faiss-cpu"):
        VectorIndex(D)


@pytest.mark.parametrize(("factory", "probes"), [("IVF4,Flat", 4), ("IVF64,Flat", 8), ("IVF256,Flat", 16)])
def test_a_share_of_the_lists_is_searched(factory: str, probes: int) -> None:
    index = build(import_faiss(), D, factory)
    assert (index.nlist, index.nprobe) == (int(factory[3:-5]), probes) and index.ntotal == 0
    assert index.metric_type == faiss.METRIC_INNER_PRODUCT


def test_the_reason_is_told_without_the_place_in_the_code() -> None:
    error = RuntimeError("Error in void faiss::f(int) at /a/b.cpp:12: Error: no room\n on the device")
    assert reason(error) == "no room on the device" and len(reason(RuntimeError("x" * 1000))) == 200
