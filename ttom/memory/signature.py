"""Which model and settings an adapter belongs to: architecture, blocks, rank, scale and projections."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

_FAMILIES = {"WanTransformer3DModel": "wan", "CogVideoXTransformer3DModel": "cogvideox"}
_TEXT = re.compile(
    r"(?P<architecture>\w{1,100}) (?P<config>[0-9a-f]{12}), "
    r"blocks (?P<first>\d{1,4})-(?P<last>\d{1,4}) \((?P<layers>\d{1,5}) layers\), "
    r"rank (?P<rank>\d{1,5}), alpha (?P<alpha>[0-9.e+-]{1,30}), (?P<projections>[\w.]+(?: [\w.]+)*)",
    re.ASCII,
)


@dataclass(frozen=True)
class Signature:
    """Two adapters with equal signatures are interchangeable.

    `str` returns the text that memories store and compare. It is stable across versions of this package, and `parse`
    is its inverse.

    Attributes:
        architecture: Class name of the transformer.
        config: Start of the sha256 of the transformer's configuration (12 hex digits).
        first, last: First and last transformer block with a trained LoRA.
        layers: Number of linear layers with a trained LoRA.
        rank: Rank of the update.
        alpha: The update is scaled by alpha / rank.
        projections: Linear layers of the text-to-video attention that have a LoRA.
        shapes: ``{tensor: shape}`` if the model is available, else None; ignored in comparisons.
    """

    architecture: str
    config: str
    first: int
    last: int
    layers: int
    rank: int
    alpha: float
    projections: tuple[str, ...]
    shapes: Mapping[str, tuple[int, ...]] | None = field(default=None, compare=False, repr=False)

    @property
    def family(self) -> str:
        """Short name of the model family, "wan" or "cogvideox"; for other models the class name."""
        return _FAMILIES.get(self.architecture, self.architecture)

    @property
    def model(self) -> str:
        """The part of the text that identifies the model: class and configuration of the transformer."""
        return f"{self.architecture} {self.config}"

    def __str__(self) -> str:
        # Six digits where they are exact, as in version 1, so that old memories still match.
        short = f"{self.alpha:g}"
        alpha = short if float(short) == self.alpha else repr(self.alpha)
        return (
            f"{self.model}, blocks {self.first}-{self.last} ({self.layers} layers), rank {self.rank}, "
            f"alpha {alpha}, {' '.join(self.projections)}"
        )

    @classmethod
    def parse(cls, text: str) -> Signature:
        """Parse a text written by `str`. Raises ValueError for any other text."""
        found = _TEXT.fullmatch(text)
        if found is None:
            raise ValueError("this is not the signature of an adapter")
        made = cls(
            architecture=found["architecture"],
            config=found["config"],
            first=int(found["first"]),
            last=int(found["last"]),
            layers=int(found["layers"]),
            rank=int(found["rank"]),
            alpha=float(found["alpha"]),
            projections=tuple(found["projections"].split()),
        )
        if str(made) != text:  # for example rank 007
            raise ValueError("this is not the signature of an adapter")
        return made

    @classmethod
    def of(
        cls, transformer: Any, layers: Iterable[str], *, rank: int, alpha: float, projections: Iterable[str]
    ) -> Signature:
        """The signature of a LoRA on these linear layers of a transformer.

        Args:
            transformer: A diffusers transformer, with a ``config``.
            layers: Names of the trained layers, such as ``blocks.3.attn2.to_q``.
            rank, alpha, projections: See the attributes.
        """
        layers = list(layers)
        architecture, config = model_of(transformer).split()
        blocks = sorted({int(name.split(".")[1]) for name in layers})
        shapes: dict[str, tuple[int, ...]] = {}
        for name in layers:
            layer = transformer.get_submodule(name)
            shapes[f"{name}.lora_A.weight"] = (rank, layer.in_features)
            shapes[f"{name}.lora_B.weight"] = (layer.out_features, rank)
        return cls(
            architecture, config, blocks[0], blocks[-1], len(layers), rank, float(alpha), tuple(projections), shapes
        )


def model_of(transformer: Any) -> str:
    """Identify a transformer like `Signature.model`: its class and the start of its configuration's sha256."""
    known: Any = transformer.config
    config = {name: value for name, value in dict(known).items() if not name.startswith("_")}
    digest = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()
    return f"{type(transformer).__name__} {digest[:12]}"
