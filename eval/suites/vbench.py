"""VBench's prompts, with the file names that its package expects: ``{prompt}-{sample}.mp4`` in one folder.

The list is VBench_full_info.json, from a folder, out of the installed package `vbench`, which is not imported, or else
fetched from the official repository. By default each prompt gets 5 samples; for temporal_flickering VBench asks for 25,
which a second call into the same run adds: ``--category temporal_flickering --samples 25``.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from pathlib import Path
from typing import Any

from eval.suites import Options, Suite, case_seed, suite
from eval.suites.datafiles import Upstream, read_text
from eval.types import Case
from ttom.errors import UserError

INFO = "VBench_full_info.json"
UPSTREAM = Upstream("Vchitect/VBench", "master")
SAMPLES = 5
FOLDER = "vbench"


@suite("vbench")
def build(options: Options) -> Suite:
    """A case for each prompt and sample; entries that share a prompt are one, with all their dimensions."""
    return load("vbench", options)


def load(name: str, options: Options) -> Suite:
    """The cases under a suite's name."""
    path, source = _info_file(options.data)
    entries = merged(_entries(path))
    cases = []
    for prompt, facts in entries.items():
        stem = f"{_slug(prompt)}-{hashlib.sha256(prompt.encode()).hexdigest()[:8]}"
        for sample in range(options.samples or SAMPLES):
            case_id = f"{stem}-{sample}"
            cases.append(
                Case(
                    id=case_id,
                    suite=name,
                    category=facts["dimension"][0],
                    prompt=prompt,
                    seed=case_seed(case_id),
                    video=f"{FOLDER}/{_file_name(path, prompt, sample)}",
                    facts=facts | {"sample": sample},
                )
            )
    revision = hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()[:16]
    return Suite(name, revision, tuple(cases), source=source)


def merged(entries: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """{prompt: {"dimension": [...], "auxiliary_info": {...}}}, in the list's order."""
    found: dict[str, dict[str, Any]] = {}
    for entry in entries:
        facts = found.setdefault(entry["prompt_en"], {"dimension": [], "auxiliary_info": {}})
        facts["dimension"] += [name for name in entry["dimension"] if name not in facts["dimension"]]
        facts["auxiliary_info"] |= entry.get("auxiliary_info") or {}
    return found


def _info_file(data: Path | None) -> tuple[Path, str]:
    """The list and where it came from."""
    if data is not None:
        return data / INFO if data.is_dir() else data, data.name
    package = importlib.util.find_spec("vbench")
    if package is not None and package.origin is not None:
        return Path(package.origin).with_name(INFO), "the package vbench"
    folder, source = UPSTREAM.fetch([f"vbench/{INFO}"])
    return folder / "vbench" / INFO, source


def _entries(path: Path) -> list[dict[str, Any]]:
    try:
        data = json.loads(read_text(path))
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}", expected=f"VBench's {INFO}") from None
    if not isinstance(data, list) or not data:
        raise UserError(f"{path} is not a list of prompts", expected=f"VBench's {INFO}")
    for number, entry in enumerate(data):
        named = isinstance(entry, dict) and isinstance(entry.get("prompt_en"), str) and entry["prompt_en"].strip()
        dimensions = entry.get("dimension") if named else None
        if not dimensions or not isinstance(dimensions, list) or not all(isinstance(d, str) for d in dimensions):
            raise UserError(
                f"entry {number} of {path} has no prompt with dimensions",
                expected='{"prompt_en": "...", "dimension": ["..."]}',
            )
        if not isinstance(entry.get("auxiliary_info") or {}, dict):
            raise UserError(f"entry {number} of {path} has an auxiliary_info that is not an object")
    return data


def _file_name(path: Path, prompt: str, sample: int) -> str:
    """The name that VBench looks for; it cannot be changed, so a prompt that is no file name is an error."""
    name = f"{prompt}-{sample}.mp4"
    if "/" in prompt or "\\" in prompt or "\0" in prompt or prompt.startswith(".") or len(name.encode()) > 255:
        raise UserError(f"{path} has the prompt {prompt[:80]!r}", expected="prompts that can be file names")
    return name


def _slug(prompt: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", prompt.lower()).strip("-")[:40].strip("-") or "prompt"
