"""What a memory is asked: a prompt with its layout, and which entries are of the same composition."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from pydantic import ValidationError

from ttom.errors import UserError
from ttom.layout.model import Layout
from ttom.memory.abstraction import abstract
from ttom.memory.descriptor import describe
from ttom.memory.entries import Entry

SAME = 0.95
"""Minimum inner product of two descriptors of one composition: boxes may differ by a few hundredths of the picture."""


@dataclass(frozen=True)
class Query:
    """A prompt and its layout."""

    prompt: str
    layout: Layout

    @cached_property
    def key(self) -> str:
        """The abstracted prompt."""
        return abstract(self.prompt, self.layout)

    @cached_property
    def descriptor(self) -> np.ndarray:
        """See `describe`."""
        return describe(self.prompt, self.layout)

    def likeness(self, entry: Entry) -> float:
        """Inner product of the descriptors; -1 for an entry without a layout that can be read."""
        found = descriptor_of(entry.prompt, entry.layout)
        return float(self.descriptor @ found) if found is not None else -1.0

    def same_composition(self, entries: Iterable[Entry]) -> Entry | None:
        """The most similar of the entries with the same abstracted prompt and, but for small shifts, the same layout.

        The newest of equally similar ones; None if there is none.
        """
        alike = [(self.likeness(entry), entry.id, entry) for entry in entries if entry.key == self.key]
        likeness, _, entry = max(alike, key=lambda found: found[:2], default=(-1.0, 0, None))
        return entry if likeness >= SAME else None


def descriptor_of(prompt: str, layout: object) -> np.ndarray | None:
    """The descriptor of a stored layout; None without one, or if it is not a layout of the prompt."""
    try:
        return describe(prompt, Layout.model_validate(layout)) if layout is not None else None
    except (ValidationError, UserError):
        return None
