"""Entries of the memory: the record stored in a value's file, and the row stored in the database.

Both are validated wherever they are read, since a file or database may be damaged or come from somebody else: lengths
are bounded, numbers are finite, texts are valid Unicode, and a sha256 must be 64 hexadecimal digits before it is used
in a path.
"""

from __future__ import annotations

import base64
import json
import re
import time
from typing import Annotated, Any

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
)

from ttom.errors import UserError
from ttom.memory.signature import Signature

MAX_NAME = 1024
"""Maximum length of a namespace, an origin or the name of an embedder."""
MAX_TEXT = 65_536
"""Maximum length of a prompt or key."""
MAX_LAYOUT = 2**23
"""Maximum length of a layout as JSON."""
MAX_DIMENSION = 65_536
"""Maximum dimension of an embedding."""
MAX_VALUE_BYTES = 2**31
"""Maximum size of a value's file; Wan2.1-14B with rank 32 in every block takes about 105 million bytes."""
MAX_COUNT = 2**62

SHA256 = re.compile(r"[0-9a-f]{64}")


class CorruptValue(Exception):
    """A value's file is missing, damaged, or does not match its row."""


class BadRow(Exception):
    """A row with invalid fields."""


def _sha256(text: str) -> str:
    if not SHA256.fullmatch(text):
        raise ValueError("not a sha256 in 64 hexadecimal digits")
    return text


def _clean(text: str) -> str:
    """Reject NUL and lone surrogates, which databases and files cannot store."""
    if "\x00" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("the text has a NUL or a lone surrogate in it")
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("empty")
    return text


def _layout(value: Any) -> Any:
    """Parse a layout from JSON text, as stored in the database, or take it as an object."""
    if value is None:
        return None
    try:
        text = value if isinstance(value, str) else json.dumps(value)
        if len(text) > MAX_LAYOUT:
            raise ValueError(f"a layout of {len(text)} characters; the limit is {MAX_LAYOUT}")
        found = json.loads(text) if isinstance(value, str) else value
    except RecursionError:
        raise ValueError("a layout with too many levels") from None
    if not isinstance(found, dict):
        raise ValueError("a layout that is not an object")
    return found


def _vector(value: Any) -> np.ndarray:
    """Convert bytes, base64 text or an array to a ``(D,)`` float32 vector of unit length."""
    if isinstance(value, str):
        if len(value) > 6 * MAX_DIMENSION:
            raise ValueError("the embedding is too long")
        value = base64.b64decode(value, validate=True)
    if isinstance(value, bytes):
        if len(value) % 4:
            raise ValueError(f"an embedding of {len(value)} bytes")
        value = np.frombuffer(value, np.float32)
    if not isinstance(value, np.ndarray):
        raise ValueError("the embedding is not an array")
    vector = np.ascontiguousarray(value, np.float32)
    if vector.ndim != 1 or not 0 < len(vector) <= MAX_DIMENSION:
        raise ValueError(f"an embedding of shape {vector.shape}")
    if not is_unit(vector[None])[0]:
        raise ValueError("the embedding is not a finite vector of unit length")
    return vector


def is_unit(vectors: np.ndarray) -> np.ndarray:
    """Which rows of ``(n, D)`` are finite and of unit length; a much longer one would match every query."""
    with np.errstate(all="ignore"):
        squares = np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64)
    return np.abs(squares - 1) < 0.02  # false for NaN


def _signature(value: Any) -> Signature:
    """Validate a signature: JSON text, as stored in the database, its fields, or one without its shapes."""
    if isinstance(value, str):
        return Signature.from_json(value)
    return Signature.from_fields(value.as_fields() if isinstance(value, Signature) else value)


Name = Annotated[str, Field(max_length=MAX_NAME, strict=True), AfterValidator(_clean), AfterValidator(_not_blank)]
Text = Annotated[str, Field(max_length=MAX_TEXT, strict=True), AfterValidator(_clean)]
Sha256 = Annotated[str, Field(strict=True), AfterValidator(_sha256)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=MAX_COUNT, strict=True)]


class Record(BaseModel):
    """Everything stored about one optimization besides the tensors. Immutable, like the tensors themselves.

    Every value's file contains its record, so that the database can be rebuilt from the values alone.

    Attributes:
        namespace: The namespace it belongs to.
        key: The abstracted prompt.
        prompt: The original prompt.
        layout: The layout as its JSON object, or None.
        embedding: Of the key, ``(D,)`` float32 of unit length.
        signature: Of the model and the adapter; only adapters with equal signatures may be loaded.
        loss_before, loss_after: Alignment loss at the first and after the last iteration.
        created: Seconds since 1970.
        origin: Identity of the job that inserted it, so that a repeated job does not match its own entry; or None.
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    namespace: Name
    key: Text
    prompt: Text
    layout: Annotated[dict[str, Any] | None, BeforeValidator(_layout)] = None
    embedding: Annotated[
        np.ndarray,
        BeforeValidator(_vector),
        PlainSerializer(lambda vector: base64.b64encode(vector.tobytes()).decode()),
    ]
    signature: Annotated[Signature, BeforeValidator(_signature), PlainSerializer(Signature.as_fields)]
    loss_before: Number | None = None
    loss_after: Number | None = None
    created: Number
    origin: Name | None = None

    def differs(self, other: Record, *, embedding: bool = True) -> str | None:
        """Name of the first field in which two records differ, or None."""
        for name in Record.model_fields:
            mine, theirs = getattr(self, name), getattr(other, name)
            if name == "embedding":
                if embedding and not np.array_equal(mine, theirs):
                    return name
            elif mine != theirs:
                return name
        return None


class Entry(Record):
    """A row of the database: a record, the file with its tensors, and usage counters.

    Attributes:
        id: Unique over the lifetime of the memory, unless its database was lost and rebuilt.
        uses: Number of times it was read.
        last_used: Seconds since 1970; only for display, since clocks may go back.
        turn: Logical time of the last use: a counter of all uses and insertions in the memory.
        sha256, bytes: Digest and size of the value's file.
    """

    id: Annotated[int, Field(ge=1, le=MAX_COUNT, strict=True)]
    uses: Count = 0
    last_used: Number
    turn: Count = 0
    sha256: Sha256
    bytes: Annotated[int, Field(ge=0, le=MAX_VALUE_BYTES, strict=True)]


COLUMNS = (
    "id", "namespace", "key", "prompt", "embedding", "layout", "uses", "last_used", "created", "loss_before",
    "loss_after", "signature", "sha256", "bytes", "origin", "turn",
)  # fmt: skip
"""Columns of the table of entries, in order."""


def as_entry(row: tuple[Any, ...]) -> Entry:
    """Validate a row of COLUMNS. Raises BadRow."""
    try:
        return Entry.model_validate(dict(zip(COLUMNS, row, strict=True)))
    except ValidationError as error:
        raise BadRow(first_problem(error)) from None


def as_row(record: Record, **counters: Any) -> dict[str, Any]:
    """The columns of a record as stored in the database, with the given counters."""
    row = {name: getattr(record, name) for name in COLUMNS if name in type(record).model_fields} | counters
    row["embedding"] = record.embedding.tobytes()
    row["layout"] = json.dumps(record.layout) if record.layout is not None else None
    row["signature"] = record.signature.to_json()
    return row


def new_record(**fields: Any) -> Record:
    """Validate the record of a new entry; by default it is created now, in the namespace "default".

    Args:
        fields: Those of `Record`.

    Raises:
        UserError: A field is missing, too long or invalid.
    """
    try:
        return Record.model_validate({"namespace": "default", "created": time.time()} | fields)
    except ValidationError as error:
        raise UserError(f"cannot store this entry: {first_problem(error)}") from None


def first_problem(error: ValidationError) -> str:
    """The first validation error in one line, without the value, which may be long or private."""
    found = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in found["loc"][:2])
    return f"{where}: {found['msg'].removeprefix('Value error, ')[:150]}"
