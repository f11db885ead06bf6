"""VBench's list of prompts, written to a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from eval.suites import Options, Suite, load_suite

ENTRIES = [
    {"prompt_en": "In a still frame, a stop sign", "dimension": ["temporal_flickering"]},
    {"prompt_en": "A fantasy landscape", "dimension": ["overall_consistency", "aesthetic_quality"]},
    {"prompt_en": "a fantasy landscape", "dimension": ["overall_consistency"]},
    {"prompt_en": "a red bus", "dimension": ["color"], "auxiliary_info": {"color": {"color": "red"}}},
    {"prompt_en": "a red bus", "dimension": ["object_class"], "auxiliary_info": {"object_class": {"object": "bus"}}},
]


def vbench(folder: Path, entries: object = ENTRIES, **options: Any) -> Suite:
    (folder / "VBench_full_info.json").write_text(entries if isinstance(entries, str) else json.dumps(entries))
    return load_suite("vbench", Options(data=folder, **options))
