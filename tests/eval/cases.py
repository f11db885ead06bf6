"""Headers, cases and rows for tests of the harness."""

from __future__ import annotations

from typing import Any

from eval.types import Case, ManifestRow, RunHeader


def header(**changes: Any) -> RunHeader:
    fields: dict[str, Any] = {
        "label": "ttom", "suite": "toy", "suite_revision": "1", "model": "tiny", "model_digest": "d", "method": "ttom",
        "settings": {"tto": {"lr": 0.1}}, "settings_hash": "h", "identity": "i",
    }  # fmt: skip
    return RunHeader(**{**fields, **changes})


def case(number: int, **changes: Any) -> Case:
    fields: dict[str, Any] = {"id": f"c-{number:04d}", "suite": "toy", "category": "ab"[number % 2], "seed": number}
    return Case(**{**fields, "prompt": f"A cat number {number}", "video": f"toy/{number:04d}.mp4", **changes})


def made(of: Case, video: bytes, **changes: Any) -> ManifestRow:
    fields: dict[str, Any] = {"identity": f"row of {of.id}", "case": of, "status": "made", "video": of.video}
    return ManifestRow(**{**fields, "bytes": len(video), **changes})
