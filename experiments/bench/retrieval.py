"""Search time, recall and size of the memory's index: python -m experiments.bench.retrieval --out RESULT.json

Keys are clustered random unit vectors: clusters of about 50, cosine about 0.74 within one and 0 between two; a query
lies near a key (cosine about 0.9). Each query is timed on its own, k = 5, on one thread; --threads is for building.
Beside Flat stands its floor: every search reads the whole matrix once, so bytes over the best rate at which this
thread reads that much memory (at most 1 GiB of it), measured in the same call; small matrices are read from cache.
The result is written after each row, so a run that was cut short keeps what it has measured.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments.bench.generate import use_cores

KINDS = ("Flat", "HNSW32", "IVF")
CLUSTER = 50
SPREAD, QUERY_SPREAD = 0.6, 0.5  # length of the noise added to a center, and to a key
CHUNK = 50_000


def keys_and_queries(size: int, dimension: int, count: int, seed: int) -> tuple[Any, Any]:
    """Unit keys ``(size, dimension)`` and queries ``(count, dimension)``, float32, the same for the same arguments."""
    import numpy as np

    rng = np.random.default_rng(seed)

    def near(points: Any, spread: float) -> Any:
        noise = rng.standard_normal(points.shape, dtype=np.float32) * (spread / dimension**0.5)
        return (points + noise) / np.linalg.norm(points + noise, axis=1, keepdims=True)

    centers = near(np.zeros((max(1, size // CLUSTER), dimension), dtype=np.float32), 1.0)
    keys = np.empty((size, dimension), dtype=np.float32)
    for start in range(0, size, CHUNK):
        rows = keys[start : start + CHUNK]
        rows[:] = near(centers[rng.integers(0, len(centers), len(rows))], SPREAD)
    return keys, near(keys[rng.integers(0, size, count)], QUERY_SPREAD)


def factory(kind: str, size: int) -> str:
    """The kind as a string of faiss.index_factory; IVF gets 4 sqrt(size) lists, or as many as the keys can train."""
    if kind != "IVF":
        return kind
    return f"IVF{max(1, min(round(4 * size**0.5), size // 39))},Flat"


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least this share of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(1000 * share) * len(ordered) // 1000) - 1)]


def read_rate(matrix: Any) -> float:
    """Best rate at which one thread reads the matrix, in bytes a second: by sums and by products with a vector."""
    import numpy as np

    rows = matrix[: max(1, 2**30 // matrix[0].nbytes)]
    vector = np.ones(rows.shape[1], dtype=np.float32)
    works: tuple[Callable[[], Any], ...] = (lambda: rows.sum(), lambda: rows.max(), lambda: rows @ vector)
    best, repeats = float("inf"), 5 if rows.nbytes > 2**26 else 50
    for work in works:
        for _ in range(repeats):
            started = time.perf_counter()
            work()
            best = min(best, time.perf_counter() - started)
    return rows.nbytes / best


def measure(name: str, keys: Any, queries: Any, k: int, threads: int, truth: Any = None) -> tuple[dict[str, Any], Any]:
    """Build an index and time each query; returns the row and the ids found. Recall is against truth's ids."""
    import faiss
    import numpy as np

    from ttom.memory.index import VectorIndex

    faiss.omp_set_num_threads(threads)
    started = time.perf_counter()
    index = VectorIndex(keys.shape[1], name)
    index.add(np.arange(len(keys), dtype=np.int64), keys)
    build = time.perf_counter() - started
    faiss.omp_set_num_threads(1)
    found, times = [], []
    for i in range(-3, len(queries)):  # three to warm up
        started = time.perf_counter()
        ids = index.search(queries[i : i + 1] if i >= 0 else queries[:1], k)[1]
        if i >= 0:
            times.append(1e3 * (time.perf_counter() - started))
            found.append(ids[0])
    truth = found if truth is None else truth
    hits = [len(set(a.tolist()) & set(b.tolist())) / k for a, b in zip(found, truth, strict=True)]
    row = {
        "factory": name,
        "trained": index.trained,
        "build_seconds": round(build, 3),
        "search_ms": {"median": round(percentile(times, 0.5), 4), "p95": round(percentile(times, 0.95), 4)},
        f"recall_at_{k}": round(float(np.mean(hits)), 4),
        "bytes_per_key": round(index.nbytes() / len(keys), 1),
    }
    return row, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 100_000, 1_000_000])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="Flat always runs, as the truth")
    parser.add_argument("--dimension", type=int, default=768)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--k", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="cores and threads for building; searches take one")
    options = parser.parse_args()
    if min(options.sizes) < options.k:
        parser.error("every size must be at least k")
    use_cores(options.threads)
    import faiss

    from ttom.provenance import environment

    result: dict[str, Any] = {"dimension": options.dimension, "k": options.k, "search_threads": 1}
    result |= {"build_threads": options.threads, "load_before": os.getloadavg()[0], "sizes": {}}
    provenance = environment("cpu")
    provenance["versions"]["faiss"] = faiss.__version__
    result["provenance"] = provenance | {"arguments": {key: str(value) for key, value in vars(options).items()}}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    for size in options.sizes:
        keys, queries = keys_and_queries(size, options.dimension, options.queries, options.seed)
        rows = result["sizes"][str(size)] = {}
        truth = None
        for kind in sorted({"Flat", *options.kinds}, key=KINDS.index):
            row, found = measure(factory(kind, size), keys, queries, options.k, options.threads, truth)
            truth = found if truth is None else truth
            if kind == "Flat":
                rate = read_rate(keys)
                floor = 1e3 * keys.nbytes / rate
                ratio = round(row["search_ms"]["median"] / floor, 2)
                row["floor"] = {"bytes_per_second": round(rate), "ms": round(floor, 4), "ratio": ratio}
            rows[kind] = row
            options.out.write_text(json.dumps(result, indent=1) + "\n")
            print(f"{size} {row['factory']}: {json.dumps(row)}", flush=True)


if __name__ == "__main__":
    main()
