"""T2V-CompBench V2: 7 categories of 200 prompts, with the official metadata and file names.

Data comes from a folder with the official repository's ``prompts/`` and ``meta_data/``, or from that repository at run
time, into the user's cache; it has no license that would allow to pass it on. Videos are ``FOLDER/0001.mp4`` ..., one a
prompt, in the order of the prompt files.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.suites import Options, Suite, case_seed, suite
from eval.suites.datafiles import Upstream, read_text, tolerant_json
from eval.types import Case
from ttom.errors import UserError

UPSTREAM = Upstream("KaiyueSun98/T2V-CompBench", "V2")
_ALIKE = 0.9
"""Least similarity of a prompt line and its metadata's prompt: upstream's differ in a dot or a word's form."""


@dataclass(frozen=True)
class Category:
    """One category: its files' names, and the fields of its metadata."""

    folder: str
    prompts: str
    metadata: str
    fields: tuple[str, ...]


CATEGORIES = (
    Category("consistent_attr", "1_consistent_attr", "consistent_attribute_binding", ("phrases",)),
    Category("dynamic_attr", "2_dynamic_attr", "dynamic_attribute_binding", ("state 0", "state 1")),
    Category(
        "spatial_relationships",
        "3_spatial_relationship",
        "spatial_relationships",
        ("spatial", "object_1", "object_2"),
    ),
    Category("motion_binding", "4_motion_binding", "motion_binding", ("object_1", "d_1", "object_2", "d_2")),
    Category("action_binding", "5_action_binding", "action_binding", ("phrase_0", "phrase_1")),
    Category("interaction", "6_interaction", "object_interactions", ()),
    Category("generative_numeracy", "7_numeracy", "generative_numeracy", ("objects", "numbers")),
)


@suite("compbench")
def build(options: Options) -> Suite:
    """All seven categories."""
    return load("compbench", options, CATEGORIES)


def load(name: str, options: Options, categories: Sequence[Category]) -> Suite:
    """The cases of some categories, under a suite's name; category by category in the official order."""
    folder, source = options.data, options.data.name if options.data is not None else ""
    if folder is None:
        folder, source = UPSTREAM.fetch([name for category in CATEGORIES for name in _files(category)])
    cases, repaired = [], []
    for category in categories:
        found, was_repaired = _read(folder, category)
        repaired += [category.metadata] * was_repaired
        for number, (prompt, facts) in enumerate(found, start=1):
            case_id = f"{category.folder}-{number:04d}"
            cases.append(
                Case(
                    id=case_id,
                    suite=name,
                    category=category.folder,
                    prompt=prompt,
                    seed=case_seed(case_id),
                    video=f"{category.folder}/{number:04d}.mp4",
                    facts=facts,
                )
            )
    content = json.dumps([[case.id, case.prompt, case.facts] for case in cases], sort_keys=True)
    if repaired:
        source += f"; repaired: {', '.join(repaired)}"
    return Suite(name, hashlib.sha256(content.encode()).hexdigest()[:16], tuple(cases), source=source)


def _read(folder: Path, category: Category) -> tuple[list[tuple[str, dict[str, Any]]], bool]:
    """Prompts with their facts, and whether the metadata had to be repaired."""
    prompts_file, metadata_file = (folder / name for name in _files(category))
    lines = [line.strip() for line in read_text(prompts_file).strip().splitlines()]
    items, repaired = tolerant_json(read_text(metadata_file), str(metadata_file))
    if not isinstance(items, list) or len(items) != len(lines) or not all(lines):
        count = len(items) if isinstance(items, list) else "no"
        raise UserError(
            f"{metadata_file} has {count} entries, {prompts_file} {len(lines)} lines",
            expected="one entry for each line, and no empty line",
        )
    found = []
    for number, (line, item) in enumerate(zip(lines, items, strict=True), start=1):
        where = f"{metadata_file}, entry {number}"
        if not isinstance(item, dict) or any(name not in item for name in category.fields):
            raise UserError(f"{where} is incomplete", expected=f"the fields {', '.join(('prompt', *category.fields))}")
        if not _alike(line, str(item.get("prompt", ""))):
            raise UserError(
                f"{where} describes {str(item.get('prompt'))[:80]!r}, but line {number} of {prompts_file.name} is "
                f"{line[:80]!r}",
                expected="metadata in the order of the prompts",
                remedy="take prompts and metadata of one revision",
            )
        found.append((line, {name: value for name, value in item.items() if name != "prompt"}))
    return found, repaired


def _files(category: Category) -> tuple[str, str]:
    return f"prompts/{category.prompts}.txt", f"meta_data/{category.metadata}.json"


def _alike(line: str, described: str) -> bool:
    one, other = (" ".join(re.findall(r"\w+", text.lower())) for text in (line, described))
    return one == other or difflib.SequenceMatcher(None, one, other, autojunk=False).ratio() >= _ALIKE
