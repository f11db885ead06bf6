"""What MkDocs builds from the code and from files beside docs/: the reference, the notebook, the project's own pages.

Nothing here is written by hand twice, so none of it can become stale: help texts come from the commands, settings and
API from the source, schemas from the models.
"""

from __future__ import annotations

import base64
import contextlib
import importlib
import io
import json
import os
import posixpath
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

COMMANDS = {
    "ttom": "ttom.cli",
    "python -m probes.run": "probes.run",
    "python -m eval.replay": "eval.replay",
    "python -m eval.judge": "eval.judge",
    "python -m eval.score": "eval.score",
    "python -m eval.report": "eval.report.__main__",
    "python -m eval.study": "eval.study",
    "python -m eval.toolkits": "eval.toolkits.__main__",
}
"""Commands and the modules whose `main` takes their arguments."""
PACKAGES = ("ttom", "eval", "probes")
LEFT_OUT = {"ttom.__main__", "ttom.cli", "eval.report.__main__", "eval.toolkits.vbench_worker"}
"""Modules without an interface for Python callers."""
PROJECT_PAGES = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md", "log.md": "experiments/LOG.md"}
NOTEBOOKS = {"tutorials/notebook.md": "docs/notebooks/first-steps.ipynb"}
IMAGES = {
    f"images/probe-{name}.png": f"probes/results/{name}/probe.png"
    for name in ("emojiworld-wan", "emojiworld-cogvideox")
}
_SHIM = "https://unpkg.com/iframe-worker/shim"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the generated reference pages into the navigation."""
    reference = next(part["Reference"] for part in config.nav or [] if "Reference" in part)
    commands = [{name.removeprefix("python -m "): f"reference/cli/{_slug(name)}.md"} for name in _commands()]
    api = [{name: f"reference/api/{name}.md"} for name in _rooms()]
    reference[1:1] = [{"Command line": commands}, {"Models": "reference/models.md"}]
    if (ROOT / "docs/memory.md").exists():
        reference.append({"Memory": "memory.md"})
    reference.append({"Python API": api})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add every generated page."""
    os.environ["COLUMNS"], os.environ["NO_COLOR"] = "82", "1"
    for name, module in _commands().items():
        _add(files, config, f"reference/cli/{_slug(name)}.md", "\n".join(_command_page(name, module)))
    for room, modules in _rooms().items():
        _add(files, config, f"reference/api/{room}.md", _api_page(room, modules))
    _add(files, config, "reference/models.md", _models_page())
    for target, source in PROJECT_PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        _add(files, config, target, _relink(text, posixpath.dirname(source)))
    for target, source in NOTEBOOKS.items():
        _add(files, config, target, "\n".join(_notebook_page(json.loads((ROOT / source).read_text(encoding="utf-8")))))
    for target, source in IMAGES.items():
        files.append(File.generated(config, target, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill in schemas, and turn links to files outside docs/ into their paths, since the site does not hold them."""
    filled = re.sub(r"<!-- schema: (\S+) -->", lambda match: _schema(match[1]), markdown)
    return _without_outside_links(filled, posixpath.dirname(page.file.src_uri))


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """The theme would fetch its search shim for file:// from a CDN; ours is a file of the site."""
    return output.replace(_SHIM, f"{'../' * page.url.count('/')}javascripts/worker.js")


def on_post_template(output: str, template_name: str, config: MkDocsConfig) -> str:
    """The same for pages that are no document, such as 404.html."""
    return output.replace(_SHIM, "javascripts/worker.js")


# Commands


def _commands() -> dict[str, str]:
    return {name: module for name, module in COMMANDS.items() if _exists(module)}


def _exists(module: str) -> bool:
    place = ROOT / module.replace(".", "/")
    return place.with_suffix(".py").exists() or (place / "__init__.py").exists()


def _command_page(name: str, module: str) -> Iterator[str]:
    main = importlib.import_module(module).main
    yield f"# `{name}`\n\nGenerated from `{name} --help`.\n"
    yield from _help(main, name, [], 2)


def _help(main: Callable[[list[str]], int], name: str, arguments: list[str], level: int) -> Iterator[str]:
    text = _help_text(main, arguments)
    if arguments:
        yield f"{'#' * level} `{' '.join([name, *arguments])}`\n"
        level += 1
    yield f"```text\n{text}\n```\n"
    for sub in _subcommands(text):
        yield from _help(main, name, [*arguments, sub], level)


def _help_text(main: Callable[[list[str]], int], arguments: list[str]) -> str:
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.suppress(SystemExit):
        main([*arguments, "--help"])
    return re.sub(r"\x1b\[[0-9;]*m", "", told.getvalue()).strip()


def _subcommands(text: str) -> list[str]:
    _, _, listed = text.partition(" subcommands")
    return re.findall(r"^│?\s+• (\S+)", listed, re.MULTILINE)


def _slug(name: str) -> str:
    return name.removeprefix("python -m ").replace(".", "-")


# Python API


def _rooms() -> dict[str, list[str]]:
    """Modules by room: "ttom.layout" has those of the package, "ttom" those that lie beside the packages."""
    rooms: dict[str, list[str]] = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            if parts[-1] in ("__main__", "arguments") or any(f"{module}.".startswith(f"{left}.") for left in LEFT_OUT):
                continue
            if any(part.startswith("_") for part in module.split(".")):
                continue
            inside = (ROOT / package / parts[1]).is_dir()
            rooms.setdefault(".".join(parts[:2]) if inside else package, []).append(module)
    return rooms


def _api_page(room: str, modules: list[str]) -> str:
    parts = [f"# `{room}`\n"]
    for module in modules:
        # A package's own page would show all that it re-exports once more.
        members = (
            "\n    options:\n      members: false"
            if (ROOT / module.replace(".", "/")).is_dir() and module != "ttom"
            else ""
        )
        parts.append(f"::: {module}{members}\n")
    return "\n".join(parts)


# Models


def _models_page() -> str:
    from ttom.emojiworld.nouns import NOUNS
    from ttom.presets import PRESETS

    nouns = ", ".join(sorted(noun.name for noun in NOUNS))
    presets = [
        f"## Preset `{name}`\n\n{(make.__doc__ or '').strip()}\n\n```json\n{_settings(make())}\n```"
        for name, make in PRESETS.items()
    ]
    return "\n\n".join(
        [
            "# Models and presets\n\nGenerated from the code. `ttom models` prints:",
            f"```text\n{_printed(['models'])}\n```",
            "## What the embedded models can draw",
            f"`emojiworld-wan` and `emojiworld-cogvideox` know {len(NOUNS)} nouns: {nouns}.",
            "Another noun is refused, with suggestions.",
            *presets,
        ]
    )


def _printed(arguments: list[str]) -> str:
    """What a command of ttom prints."""
    from ttom.cli import main

    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        main(arguments)
    return "\n".join(line.rstrip() for line in told.getvalue().splitlines()).strip("\n")


def _settings(settings: Any) -> str:
    from dataclasses import asdict

    return json.dumps(asdict(settings), indent=2, default=str)


# Schemas


def _schema(name: str) -> str:
    module, _, function = name.rpartition(".")
    found = getattr(importlib.import_module(module), function)
    schema = found.model_json_schema() if hasattr(found, "model_json_schema") else found()
    return f'??? note "JSON schema"\n\n    ```json\n{_indent(json.dumps(schema, indent=2))}\n    ```\n'


def _indent(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


# Pages from outside docs/


def _relink(text: str, folder: str) -> str:
    """Links of a file elsewhere in the repository, as from the top of docs/."""

    def link(match: re.Match[str]) -> str:
        target, anchor = match[2], match[3] or ""
        path = posixpath.normpath(posixpath.join(folder, target))
        inside = path.removeprefix("docs/") if path.startswith("docs/") else f"../{path}"
        swapped = {f"../{source}": page for page, source in PROJECT_PAGES.items()} | {"../README.md": "index.md"}
        return f"{match[1]}({swapped.get(inside, inside)}{anchor})"

    return re.sub(r"(\[[^\]]*\])\((?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?\)", link, text)


def _without_outside_links(markdown: str, folder: str) -> str:
    def told(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join("docs", folder, match[2]))
        if path.startswith("docs/"):
            return match[0]
        label, code = match[1], f"`{path}`"
        return code if label.strip("`") in path else f"{label} ({code})"

    return re.sub(r"(?<!!)\[([^\]]+)\]\((?![a-z]+:|#)([^)#\s]+)(?:#[^)\s]*)?\)", told, markdown)


def _notebook_page(notebook: dict[str, Any]) -> Iterator[str]:
    yield "<!-- made from the notebook -->"
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            yield f"{source}\n"
        elif source.strip():
            yield f"```python\n{source}\n```\n"
            for output in cell["outputs"]:
                yield from _output(output)


def _output(output: dict[str, Any]) -> Iterator[str]:
    data = output.get("data", {})
    if "image/png" in data:
        picture = base64.b64encode(base64.b64decode("".join(data["image/png"]))).decode()
        yield f'<img alt="Output of the cell above" src="data:image/png;base64,{picture}">\n'
        return
    text = "".join(output.get("text") or data.get("text/plain") or "").rstrip()
    if text and output.get("name") != "stderr":
        yield f"```text\n{text}\n```\n"


def _add(files: Files, config: MkDocsConfig, uri: str, text: str) -> None:
    files.append(File.generated(config, uri, content=text))
