"""The vectors that entries are found by: the text of the abstracted prompt, the layout, or both in one vector."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ttom.config import KeyKind, MemoryConfig
from ttom.errors import SetupError
from ttom.memory.descriptor import DIMENSION, VERSION
from ttom.memory.query import Query, descriptor_of
from ttom.memory.transactions import UNFINISHED

if TYPE_CHECKING:
    from ttom.memory.embedders import TextEmbedder

LAYOUT_SHARE = 0.5
"""Default share of the layout in the similarity of two keys of the kind "both"."""
_LAYOUT = re.compile(r"layout:(\d+)")
_BOTH = re.compile(r"both:(\d+):(0\.\d{1,6}):(.+)")


@dataclass(frozen=True)
class KeyTerms:
    """What a memory's keys are made of, as its description names it.

    Attributes:
        kind: "text" is the paper's; all memories before format 4 have it.
        layout_share: Of the layout in the similarity, for the kind "both"; the default for the others.
        embedder: Identity of the text embedder; None for the kind "layout".
    """

    kind: KeyKind
    layout_share: float
    embedder: str | None

    @classmethod
    def of(cls, identity: str) -> KeyTerms:
        """Read the identity of a memory's keys."""
        if _LAYOUT.fullmatch(identity):
            return cls("layout", LAYOUT_SHARE, None)
        if found := _BOTH.fullmatch(identity):
            return cls("both", float(found[2]), found[3])
        return cls("text", LAYOUT_SHARE, identity)


class KeyMaker:
    """Makes keys of one kind, unit vectors of one dimension for any number of objects.

    The key of the kind "both" is the text embedding and the layout's descriptor side by side, scaled so that the inner
    product of two keys is (1 - layout_share) times that of the texts plus layout_share times that of the layouts.

    Args:
        embedder: Of the abstracted prompts; not used by the kind "layout".
        kind: See `KeyTerms`.
        layout_share: Between 0 and 1.
    """

    def __init__(self, embedder: TextEmbedder, kind: KeyKind, layout_share: float = LAYOUT_SHARE) -> None:
        self.embedder, self.kind, self.layout_share = embedder, kind, layout_share

    @property
    def identity(self) -> str:
        """Kind, version of the descriptor, share and text embedder. Keys of other identities must not be compared."""
        if self.kind == "text":
            return self.embedder.identity
        if self.kind == "layout":
            return f"layout:{VERSION}"
        share = f"{self.layout_share:.6f}".rstrip("0")  # str() would write small ones as 1e-05
        return f"both:{VERSION}:{share}:{self.embedder.identity}"

    @property
    def dimension(self) -> int:
        texts = self.embedder.dimension if self.kind != "layout" else 0
        return texts + (DIMENSION if self.kind != "text" else 0)

    def of(self, query: Query) -> np.ndarray:
        """The key of a prompt with its layout, ``(dimension,)`` float32 of unit length."""
        return self._joined(query.key, query.descriptor if self.kind != "text" else None)

    def of_entry(self, key: str, prompt: str, layout: Any) -> np.ndarray:
        """The key of a stored entry. Raises SetupError if its layout is needed and it has none."""
        descriptor = descriptor_of(prompt, layout) if self.kind != "text" else None
        if descriptor is None and self.kind != "text":
            raise SetupError(
                f"an entry has no layout: {key[:100]}",
                expected="a layout for every entry",
                remedy="ttom memory reindex with text keys",
            )
        return self._joined(key, descriptor)

    def _joined(self, key: str, descriptor: np.ndarray | None) -> np.ndarray:
        text = self.embedder.embed([key])[0] if self.kind != "layout" else None
        if descriptor is None or text is None:
            found = text if descriptor is None else descriptor
            assert found is not None
            return found
        share = round(self.layout_share, 6)
        return np.concatenate([np.sqrt(1 - share) * text, np.sqrt(share) * descriptor]).astype(np.float32)


def keys_for(embedder: TextEmbedder, config: MemoryConfig, terms: KeyTerms) -> KeyMaker:
    """Keys as the settings ask for them, and as `terms` where they do not say."""
    kind = terms.kind if config.key == "auto" else config.key
    return KeyMaker(embedder, kind, config.layout_share if config.layout_share is not None else terms.layout_share)


def check_terms(folder: Path, identity: str, keys: KeyMaker) -> None:
    """Raise SetupError unless a memory's keys are of the kind, share and embedder in use.

    Args:
        folder: The memory.
        identity: Of its keys.
        keys: In use.
    """
    if identity == keys.identity:
        return
    theirs = KeyTerms.of(identity)
    if theirs.kind != keys.kind and not identity.startswith(UNFINISHED):
        raise SetupError(
            f"the memory {folder} has keys of the kind {theirs.kind}",
            expected=f"keys of the kind {keys.kind}, as `memory.key` asks for",
            remedy=f"`memory.key={theirs.kind}`, or ttom memory reindex {folder}",
        )
    raise SetupError(
        f"the memory {folder} has keys of the embedder {identity}",
        expected=f"the embedder in use, {keys.identity}",
        remedy=f"ttom memory reindex {folder}, or the `memory.embedder` and `memory.layout_share` it was made with",
    )
