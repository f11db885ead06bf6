"""Which model and settings an adapter belongs to: architecture, blocks, rank, scale and projections."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

_FAMILIES = {"WanTransformer3DModel": "wan", "CogVideoXTransformer3DModel": "cogvideox"}
MAX_JSON = 4096
"""Maximum length of a signature as JSON."""
_TEXT = re.compile(
    r"(?P<architecture>\w{1,100}) (?P<config>[0-9a-f]{12}), "
    r"blocks (?P<first>\d{1,4})-(?P<last>\d{1,4}) \((?P<layers>\d{1,5}) layers\), "
    r"rank (?P<rank>\d{1,5}), alpha (?P<alpha>[0-9.e+-]{1,30}), (?P<projections>[\w.]+(?: [\w.]+)*)",
    re.ASCII,
)


@dataclass(frozen=True)
class Signature:
    """Two adapters with equal signatures are interchangeable.

    Memories store its fields as JSON (`to_json`); versions 1 and 2 of their databases stored the text that `str`
    returns, which people read.

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

    architecture: Annotated[str, Field(pattern="^[A-Za-z0-9_]{1,100}$")]
    config: Annotated[str, Field(pattern="^[0-9a-f]{12}$")]
    first: Annotated[int, Field(ge=0, lt=10**4, strict=True)]
    last: Annotated[int, Field(ge=0, lt=10**4, strict=True)]
    layers: Annotated[int, Field(ge=0, lt=10**5, strict=True)]
    rank: Annotated[int, Field(ge=0, lt=10**5, strict=True)]
    alpha: Annotated[float, Field(allow_inf_nan=False, strict=True)]
    projections: Annotated[tuple[Annotated[str, Field(pattern="^[A-Za-z0-9_.]{1,100}$")], ...], Field(min_length=1)]
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

    def as_fields(self) -> dict[str, Any]:
        """The fields that take part in comparisons, as JSON types."""
        found = {f.name: getattr(self, f.name) for f in fields(self) if f.compare}
        return found | {"projections": list(self.projections)}

    def to_json(self) -> str:
        """The fields as JSON; equal signatures give equal texts."""
        return json.dumps(self.as_fields(), sort_keys=True)

    @classmethod
    def from_fields(cls, found: Any) -> Signature:
        """Validate fields. Raises ValueError unless all are there, of the right type, and none besides."""
        if not isinstance(found, dict) or found.keys() != {f.name for f in fields(cls) if f.compare}:
            raise ValueError("these are not the fields of a signature")
        return _ADAPTER.validate_python(found)

    @classmethod
    def from_json(cls, text: str) -> Signature:
        """Read what `to_json` wrote. Raises ValueError for anything else."""
        if len(text) > MAX_JSON:
            raise ValueError("the signature is too long")
        try:
            return cls.from_fields(json.loads(text))
        except RecursionError:
            raise ValueError("the signature has too many levels") from None

    @classmethod
    def from_text(cls, text: str) -> Signature:
        """Read the text of versions 1 and 2. Raises ValueError for any other text."""
        found = _TEXT.fullmatch(text)
        if found is None:
            raise ValueError("this is not the signature of an adapter")
        numbers = {name: int(found[name]) for name in ("first", "last", "layers", "rank")}
        made = cls.from_fields(
            {
                "architecture": found["architecture"],
                "config": found["config"],
                "alpha": float(found["alpha"]),
                "projections": found["projections"].split(),
            }
            | numbers
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


_ADAPTER = TypeAdapter(Signature)


def model_of(transformer: Any) -> str:
    """Identify a transformer like `Signature.model`: its class and the start of its configuration's sha256."""
    known: Any = transformer.config
    config = {name: value for name, value in dict(known).items() if not name.startswith("_")}
    digest = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()
    return f"{type(transformer).__name__} {digest[:12]}"
