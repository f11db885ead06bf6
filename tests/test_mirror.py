"""Tests lie where the code lies: ttom/layout/draw.py is tested by tests/layout/test_draw.py."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("ttom", "probes", "eval", "experiments")
SHORT = 40  # lines; shorter modules are tested where they are used
SHARE = 0.8  # of the longer ones have a file of their own, over all packages
LEAST = 2 / 3  # of those of each package


def defines_something(path: Path) -> bool:
    """Whether a module has code of its own, which the face of a package, that only names what is inside, has not."""
    own = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return any(isinstance(node, own) for node in ast.parse(path.read_text(encoding="utf-8")).body)


def long_modules(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    return [path for path in found if len(path.read_text().splitlines()) > SHORT and defines_something(path)]


def test_file(module: Path) -> Path:
    """Where the tests of a module belong. Those of a package's __init__ have the package's name."""
    place = module.relative_to(ROOT)
    place = place.relative_to("ttom") if place.parts[0] == "ttom" else place
    name = {"__init__": module.parent.name, "__main__": "main"}.get(module.stem, module.stem)
    return ROOT / "tests" / place.parent / f"test_{name}.py"


test_file.__test__ = False  # type: ignore[attr-defined]


def mirrored(packages: tuple[str, ...]) -> tuple[float, list[str]]:
    """The share of the longer modules that have their test file, and the others."""
    modules = [module for package in packages for module in long_modules(package)]
    missing = [module for module in modules if not test_file(module).exists()]
    return 1 - len(missing) / len(modules), [str(module.relative_to(ROOT)) for module in missing]


def test_where_tests_belong() -> None:
    places = {
        "ttom/layout/draw.py": "tests/layout/test_draw.py",
        "ttom/losses/__init__.py": "tests/losses/test_losses.py",
        "eval/report/__main__.py": "tests/eval/report/test_main.py",
    }
    assert {str(test_file(ROOT / module).relative_to(ROOT)) for module in places} == set(places.values())
    assert not defines_something(ROOT / "ttom" / "config" / "__init__.py")


def test_four_of_five_longer_modules_have_a_test_file_of_their_own() -> None:
    share, missing = mirrored(PACKAGES)
    assert share >= SHARE, f"{share:.1%}; without a test file: {', '.join(missing)}"


@pytest.mark.parametrize("package", PACKAGES)
def test_no_package_is_left_behind(package: str) -> None:
    share, missing = mirrored((package,))
    assert share >= LEAST, f"{share:.1%}; without a test file: {', '.join(missing)}"


def test_each_of_these_files_tests_something() -> None:
    """A file of the right name counts only if it has tests."""
    for module in (module for package in PACKAGES for module in long_modules(package)):
        path = test_file(module)
        if path.exists():
            text = path.read_text(encoding="utf-8")
            names = [node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
            assert any(name.startswith("test_") for name in names), path
