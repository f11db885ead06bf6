"""The import direction of the house, and what a quick `ttom --help` must not import."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "ttom").rglob("*.py"))
WORDS = {"ttom.types", "ttom.errors", "ttom.config", "ttom.files"}
ALLOWED = {  # what a room may import of ours, besides itself
    "ttom.types": WORDS,
    "ttom.errors": WORDS,
    "ttom.config": WORDS,
    "ttom.losses": {"ttom.types", "ttom.errors", "ttom.config"},
    "ttom.layout": WORDS,
    "ttom.checkpoints": {"ttom.errors", "ttom.config"},
}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def our_imports(source: str, module: str, packages: tuple[str, ...]) -> set[str]:
    """Modules of the packages that the source imports anywhere, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            # `from ttom import checkpoints` imports a module; `from ttom.types import TokenGrid` a name of one.
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {name for name in inside if (ROOT / name.replace(".", "/")).exists()}
            modules |= {name for name in inside if (ROOT / f"{name.replace('.', '/')}.py").exists()}
            found |= modules or {str(node.module)}
    return {name for name in found if name.split(".")[0] in packages}


def room_of(module: str) -> str:
    return ".".join(module.split(".")[:2])


def test_the_reader_of_imports_sees_them() -> None:
    source = "import probes.x\ndef f():\n    from ttom import checkpoints\n    from ttom.types import TokenGrid\n"
    assert our_imports(source, "m", ("ttom", "probes")) == {"probes.x", "ttom.checkpoints", "ttom.types"}


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_ttom_never_imports_the_outer_packages(path: Path) -> None:
    outer = our_imports(path.read_text(), module_name(path), ("probes", "eval", "experiments", "tests"))
    assert not outer


@pytest.mark.parametrize("path", [p for p in FILES if room_of(module_name(p)) in ALLOWED], ids=module_name)
def test_inner_rooms_import_only_what_they_may(path: Path) -> None:
    module = module_name(path)
    room = room_of(module)
    others = {name for name in our_imports(path.read_text(), module, ("ttom",)) if room_of(name) != room}
    assert {room_of(name) for name in others} <= ALLOWED[room]


def test_only_the_command_line_and_the_package_import_the_pipeline() -> None:
    for path in FILES:
        module = module_name(path)
        if room_of(module) not in ("ttom.cli", "ttom.pipeline", "ttom", "ttom.result"):
            assert "ttom.pipeline" not in our_imports(path.read_text(), module, ("ttom",)), module


@pytest.mark.parametrize("package", ["probes", "eval"])
def test_probes_and_eval_never_import_each_other_nor_experiments(package: str) -> None:
    others = tuple({"probes", "eval", "experiments", "tests"} - {package})
    for path in (ROOT / package).rglob("*.py"):
        assert not our_imports(path.read_text(), str(path), others), path


def test_help_imports_neither_torch_nor_diffusers() -> None:
    code = (
        "import sys\nfrom ttom.cli import main\n"
        "try:\n    main(['generate', '--help'])\nexcept SystemExit:\n    pass\n"
        "late = ('torch', 'diffusers', 'transformers', 'lightning', 'matplotlib', 'openai')\n"
        "print([m for m in late if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
