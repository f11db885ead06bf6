"""The import direction of the house, and what a quick `ttom --help` must not import."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "ttom").rglob("*.py"))
ROOMS = (
    # The house from the ground up. A room imports from the floors below it, and from nobody on its own floor.
    {"errors"},
    {"types", "files", "statistics"},
    {"config"},
    {"checkpoints", "layout", "losses", "attention", "video", "parallel"},
    {"presets", "prompts", "provenance", "integrations", "backbones"},
    {"memory", "vision"},
    {"prepare", "emojiworld"},
    {"guidance", "identity", "check"},
    {"sampler"},
    {"report"},
    {"figure"},
    {"result"},
    {"run"},
    {"pipeline"},
    {"studio"},
    {"cli", "lmms_eval"},
    {"__main__"},
)
FLOOR = {f"ttom.{room}": floor for floor, rooms in enumerate(ROOMS) for room in rooms}
INSIDE_MEMORY = {"ttom.memory.signature", "ttom.memory.abstraction"}
"""All that rooms other than the pipeline and the command line may import of the memory."""


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


def test_every_room_has_a_floor() -> None:
    assert {room_of(module_name(path)) for path in FILES} == {"ttom", *FLOOR}


@pytest.mark.parametrize("path", [p for p in FILES if module_name(p) != "ttom"], ids=module_name)
def test_rooms_import_from_the_floors_below(path: Path) -> None:
    """Imports inside functions and for type checking count too."""
    module = module_name(path)
    room = room_of(module)
    for name in our_imports(path.read_text(), module, ("ttom",)):
        other = room_of(name)
        if other not in ("ttom", room):
            assert FLOOR[other] < FLOOR[room], f"{module} imports {name}"


def test_only_the_pipeline_and_the_command_line_use_the_memory() -> None:
    for path in FILES:
        module = module_name(path)
        if room_of(module) not in ("ttom.memory", "ttom.run", "ttom.pipeline", "ttom.studio", "ttom.cli"):
            used = {name for name in our_imports(path.read_text(), module, ("ttom",)) if room_of(name) == "ttom.memory"}
            assert used <= INSIDE_MEMORY, module


def imported_at_once(source: str) -> set[str]:
    """Our modules that are imported when the source is: outside of functions and of TYPE_CHECKING."""
    tree = ast.parse(source)

    def visible(node: ast.AST) -> bool:
        return not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))

    tree.body = [node for node in tree.body if visible(node) and not isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return our_imports(ast.unparse(tree), "", ("ttom",))


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {module_name(path): imported_at_once(path.read_text()) for path in FILES}
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, f"{' -> '.join((*way, module))}"
        if module not in done:
            for other in graph.get(module, ()):
                visit(other, (*way, module))
            done.add(module)

    for module in graph:
        visit(module, ())


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


def test_the_harness_imports_diffusers_only_to_make_videos() -> None:
    """Half of its commands make none, and a mistyped option is answered at once."""
    code = "import sys, eval.replay, eval.judge, eval.score, eval.study\nprint('diffusers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "False\n"
