"""Settings of the memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ttom.config.checks import is_name, require, require_choices, require_counts, require_names, require_switches

MemoryMode = Literal["off", "read", "readwrite"]
MemoryUse = Literal["init", "load"]
Fusion = Literal["average", "similarity", "svd", "ties", "dare"]
Update = Literal["replace", "merge"]
KeyKind = Literal["text", "layout", "both"]
KeyChoice = Literal["auto", "text", "layout", "both"]
ValueDtype = Literal["bfloat16", "float32"]


@dataclass(frozen=True)
class MemoryConfig:
    """The parametric memory (section 3.3): optimized adapters of past prompts, keyed by abstracted prompts."""

    path: str | None = None
    """Folder of the memory; no memory if not set."""
    mode: MemoryMode = "readwrite"
    """"read" leaves every byte of the folder as it is; "readwrite" also inserts and updates; "off" ignores it."""
    use: MemoryUse = "init"
    """After a match: "init" continues optimizing from it, "load" uses it as it is."""
    threshold: float | None = None
    """Minimum similarity for a match, from -1 to 1; if unset, as measured by `ttom memory calibrate`, or a default."""
    top_k: int = 1
    """Maximum number of entries read."""
    fusion: Fusion = "svd"
    """How several entries are fused: their "average", weighted by "similarity", by the "svd" of the mean update,
    or as PEFT's "ties" (larger half, one sign each) or "dare" (random half, twice as large)."""
    update: Update = "replace"
    """What happens to matched entries after further optimization: "replace" their values, or "merge" old and new."""
    namespace: str = "default"
    """Whose memory is read and written."""
    shared_namespace: str | None = None
    """Namespace that is read if the own one has no match; never written."""
    max_items: int | None = None
    """Maximum number of entries in the namespace; least-used entries are evicted first."""
    max_bytes: int | None = None
    """Maximum bytes of values in the namespace."""
    embedder: str = "backbone"
    """What embeds the keys: "backbone" (its text encoder), "clip", or a Hub id or folder."""
    key: KeyChoice = "auto"
    """What entries are found by: "text" of the abstracted prompt as in the paper, "layout", or "both" in one vector;
    "auto" is the memory's own kind, and "both" for a new memory."""
    layout_share: float | None = None
    """Share of the layout in the similarity if the key is "both", from 0 to 1; if unset, the memory's own, or 0.5."""
    index: str = "Flat"
    """FAISS index: "Flat" is exact; "HNSW32" or "IVF1024,Flat" for very many entries."""
    index_gpu: bool = False
    """Keep the index on a GPU (needs faiss-gpu)."""
    dtype: ValueDtype = "bfloat16"
    """Number format of the stored values."""

    def __post_init__(self) -> None:
        require_choices(self, "memory", mode=MemoryMode, use=MemoryUse, fusion=Fusion, update=Update, dtype=ValueDtype)
        require_choices(self, "memory", key=KeyChoice)
        in_range = "a similarity from -1 to 1"
        require(self, "memory", "threshold", in_range, lambda t: t is None or (math.isfinite(t) and -1 <= t <= 1))
        between = "a share between 0 and 1, both excluded"
        require(self, "memory", "layout_share", between, lambda share: share is None or 1e-6 <= share <= 1 - 1e-6)
        require_counts(self, "memory", "top_k")
        require_counts(self, "memory", "max_items", "max_bytes", or_none=True)
        require_switches(self, "memory", "index_gpu")
        require_names(self, "memory", "namespace", "embedder", "index")
        other = "another name, or None"
        require(
            self,
            "memory",
            "shared_namespace",
            other,
            lambda name: name is None or (is_name(name) and name != self.namespace),
        )

    @property
    def active(self) -> bool:
        """Whether there is a memory to use."""
        return self.path is not None and self.mode != "off"
