"""The memory of a run, which belongs to the driver: workers get adapters and give them back, and share no files.

Keys are embedded by workers, since the embedder may be the model's own text encoder; all of a run are known as soon as
its layouts are planned.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from eval.worker import MemoryTerms
from ttom.config import MemoryConfig
from ttom.errors import UserError
from ttom.layout.model import Layout
from ttom.memory.abstraction import abstract
from ttom.memory.memory import Lookup, Memory
from ttom.memory.store import Store
from ttom.parallel import Lost, Workers

_KEYS_AT_ONCE = 32


class RunMemory:
    """An open memory with the embeddings of a run's keys.

    Args:
        config: In mode "read" nothing in the folder changes.
        workers: They embed the keys.
        prompts: Prompts with layouts that will be looked up.

    Raises:
        SetupError: The memory belongs to another embedder, model or adapter.
        UserError: It cannot be read or written.
    """

    def __init__(self, config: MemoryConfig, workers: Workers, prompts: Sequence[tuple[str, Layout]]) -> None:
        terms: MemoryTerms = workers.call("memory_terms")
        self.embedder = _KnownKeys(terms, lambda keys: workers.call("embed", keys))
        self.memory = Memory.open(config, self.embedder, terms.signature)
        try:
            self.embedder.learn(workers, [abstract(prompt, layout) for prompt, layout in prompts])
        except BaseException:
            self.memory.close()
            raise

    def look_up(self, prompt: str, layout: Layout, origin: str | None = None) -> Lookup:
        """What the memory holds for a prompt now.

        Args:
            origin: Identity of the case that asks: what it inserted before it was interrupted is no match for it.
        """
        return self.memory.look_up(prompt, layout, origin=origin, exclude_origin=origin)

    def __enter__(self) -> RunMemory:
        return self

    def __exit__(self, *_: object) -> None:
        self.memory.close()


class _KnownKeys:
    """A `TextEmbedder` for keys that were embedded elsewhere; one that is new is embedded when it is asked for."""

    def __init__(self, terms: MemoryTerms, embed: Callable[[Sequence[str]], np.ndarray]) -> None:
        self.identity, self.dimension = terms.embedder, terms.dimension
        self._embed = embed
        self._known: dict[str, np.ndarray] = {}

    def learn(self, workers: Workers, keys: Sequence[str]) -> None:
        """Embed keys ahead, spread over the workers."""
        new = [key for key in dict.fromkeys(keys) if key not in self._known]
        parts = (new[i : i + _KEYS_AT_ONCE] for i in range(0, len(new), _KEYS_AT_ONCE))
        for part, vectors in workers.each("embed", parts):
            if not isinstance(vectors, Lost):
                self._known |= dict(zip(part, vectors, strict=True))

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        missing = [text for text in dict.fromkeys(texts) if text not in self._known]
        if missing:
            self._known |= dict(zip(missing, self._embed(missing), strict=True))
        return np.stack([self._known[text] for text in texts])


def memory_digest(folder: Path) -> str | None:
    """16 hex digits for what a memory holds: every row, with the digest of its value. None if there is no memory.

    Raises:
        UserError: The folder holds something else, or cannot be read.
    """
    if not (folder / "memory.json").exists():
        if folder.exists() and any(folder.iterdir()):
            raise UserError(f"{folder} is not a memory", expected="a folder with a memory.json")
        return None
    total = hashlib.sha256()
    with Store(folder, read_only=True) as store:
        total.update(json.dumps([store.embedder, store.dimension]).encode())
        for entry in store.entries():
            total.update(json.dumps(entry.model_dump(mode="json"), sort_keys=True).encode())
    return total.hexdigest()[:16]
