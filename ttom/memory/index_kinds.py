"""The kinds of FAISS index that a memory can use, and errors if FAISS or a GPU is missing."""

from __future__ import annotations

import re
from typing import Any

from ttom.errors import SetupError

KINDS = '"Flat", "HNSW32" (or another number of links) or "IVF256,Flat" (or another number of lists)'
_FACTORY = re.compile(r"Flat|HNSW(?P<links>[1-9]\d{0,2})(,Flat)?|IVF(?P<lists>[1-9]\d{0,6}),Flat", re.ASCII)
MIN_PROBES = 8
PROBED_SHARE = 1 / 16  # of the lists of an IVF index


def import_faiss() -> Any:
    """The module. Raises SetupError if it is not installed."""
    try:
        import faiss
    except ImportError as error:
        raise SetupError(
            f"FAISS cannot be imported: {error}", expected="the package faiss", remedy="pip install faiss-cpu"
        ) from error
    return faiss


def gpu_resources(faiss: Any) -> Any:
    """What FAISS needs to use the first GPU. Raises SetupError if it cannot."""
    if not hasattr(faiss, "StandardGpuResources"):
        problem = f"this build of FAISS ({faiss.__version__}) supports only the CPU"
    elif faiss.get_num_gpus() < 1:
        problem = "FAISS finds no GPU"
    else:
        return faiss.StandardGpuResources()
    raise SetupError(
        f"a GPU index was requested, but {problem}",
        expected="FAISS built for CUDA, and a CUDA device",
        remedy="pip uninstall faiss-cpu, then pip install faiss-gpu; or set `memory.index_gpu=false`",
    )


def build(faiss: Any, dimension: int, factory: str) -> Any:
    """The index of a factory string, empty. Raises UserError for a string that is none of KINDS."""
    found = _FACTORY.fullmatch(factory)
    if found is None:
        raise SetupError(
            f"the index {factory!r:.100} cannot be used",
            expected=KINDS,
            remedy='use "Flat" up to about 50,000 entries, where exact search is fast enough',
        )
    index = faiss.index_factory(dimension, factory, faiss.METRIC_INNER_PRODUCT)
    if isinstance(index, faiss.IndexIVF):
        index.nprobe = min(int(index.nlist), max(MIN_PROBES, round(index.nlist * PROBED_SHARE)))
    return index


def reason(error: Exception) -> str:
    """What a FAISS exception says, without the C++ signature before it."""
    return re.sub(r"^Error in .* at \S+:\d+: (Error: )?", "", " ".join(str(error).split()))[:200]
