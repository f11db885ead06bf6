"""What pyproject.toml promises and constraints.txt pins fit together."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
UNTESTED = {"ttom", "faiss-gpu", "sentence-transformers"}  # extras that need what the test machines lack
EXTRAS = [text for texts in PROJECT["optional-dependencies"].values() for text in texts]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {
        canonicalize_name(name): version
        for name, version in (line.split("==") for line in lines if line and not line.startswith("#"))
    }


@pytest.mark.parametrize("text", PROJECT["dependencies"] + EXTRAS)
def test_every_dependency_is_pinned_within_its_range(text: str) -> None:
    requirement = Requirement(text)
    if requirement.name in UNTESTED:
        pytest.skip("not among the tested packages")
    assert requirement.specifier.contains(pins()[canonicalize_name(requirement.name)])


def test_pins_name_public_versions_only() -> None:
    # "+cpu", a path or an index address would tie the pins to one machine.
    for name, version in pins().items():
        assert re.fullmatch(r"\d[\w.]*", version), name


def test_everything_that_ttom_imports_is_declared() -> None:
    declared = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"] + EXTRAS}
    declared |= {"tokenizers", "lmms-eval"}  # the one comes with transformers, the other is what imports ttom
    distributions = {"PIL": "pillow", "faiss": "faiss-cpu"}
    imported: set[str] = set()
    for path in (ROOT / "ttom").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(str(node.module).split(".")[0])
    ours = imported - set(sys.stdlib_module_names) - {"ttom"}
    assert ours
    assert {canonicalize_name(distributions.get(name, name)) for name in ours} <= declared
