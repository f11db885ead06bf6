"""The documentation builds, asks for nothing on the network, and prints only commands and figures that hold."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tyro

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(path for path in (ROOT / "docs").rglob("*.md")) + [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
PROGRAMS = {"eval.replay", "eval.judge", "eval.score", "eval.report", "eval.study", "eval.toolkits", "probes.run"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs", reason="the documentation's packages are not installed")
    pytest.importorskip("mkdocstrings", reason="the documentation's packages are not installed")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_the_site_builds_strictly_and_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        text = page.read_text(encoding="utf-8")
        found = re.findall(
            r"<(?:script|img|link|iframe|source|video)\b[^>]*(?:src|href)=[\"']?(https?:[^\"'\s>]+)", text
        )
        assert not found, (page, found)
    for style in site.rglob("*.css"):
        assert not re.search(r"@import|url\(\s*[\"']?https?:", style.read_text(encoding="utf-8")), style


@pytest.mark.slow
def test_the_reference_shows_the_code(site: Path) -> None:
    assert "--memory.threshold" in (site / "reference/cli/ttom.html").read_text(encoding="utf-8")
    assert "ttom.pipeline.TTOM.generate" in (site / "reference/api/ttom.html").read_text(encoding="utf-8")
    assert "key_frames" in (site / "reference/layout.html").read_text(encoding="utf-8")
    assert "ScoreRow" in (site / "reference/runs.html").read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> Iterator[str]:
    for indent, text in re.findall(
        rf"^( *)```{language}\n(.*?)^\1```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE
    ):
        yield re.sub(rf"^{indent}", "", text, flags=re.MULTILINE)


def commands() -> Iterator[Any]:
    for page in PAGES:
        for block in blocks(page, "bash"):
            block = re.sub(r"<<'END'.*?^END$", "", block.replace("\\\n", " "), flags=re.DOTALL | re.MULTILINE)
            for line in block.splitlines():
                words = shlex.split(line, comments=True)
                if words and words[0] in ("ttom", ".venv/bin/ttom"):
                    yield pytest.param("ttom", words[1:], id=line[:80])
                for at, word in enumerate(words):
                    if word == "-m" and words[at + 1] in PROGRAMS:
                        yield pytest.param(words[at + 1], words[at + 2 :], id=line[:80])


class Parsed(BaseException):
    """The arguments are fine; nothing runs."""


@pytest.mark.parametrize("program, arguments", list(commands()))
def test_every_printed_command_is_one(program: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its options exist and take such values."""
    if program == "ttom":
        from ttom.cli.app import parse

        parse(arguments)
        return
    import importlib

    real = tyro.cli

    def parse_only(*args: Any, **kwargs: Any) -> None:
        real(*args, **kwargs)
        raise Parsed

    monkeypatch.setattr(tyro, "cli", parse_only)
    name = f"{program}.__main__" if (ROOT / program.replace(".", "/")).is_dir() else program
    with pytest.raises(Parsed):
        importlib.import_module(name).main(arguments)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_program_that_a_page_names_exists(page: Path) -> None:
    for module in re.findall(r"python -m ((?:experiments|eval|probes)[a-z_.]*[a-z])", page.read_text(encoding="utf-8")):
        place = ROOT / module.replace(".", "/")
        assert place.with_suffix(".py").exists() or (place / "__main__.py").exists(), module


def test_the_commands_were_found() -> None:
    assert len(list(commands())) > 40


@pytest.mark.parametrize("page", [page for page in PAGES if list(blocks(page, "json"))], ids=lambda page: page.name)
def test_layouts_that_the_pages_show_are_layouts(page: Path) -> None:
    from ttom.layout.model import Layout, check_layout

    for block in blocks(page, "json"):
        layout = Layout.model_validate(json.loads(block))
        check_layout(layout, layout.prompt)


def test_the_readme_can_be_read_in_a_minute() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_files_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\((?![a-z]+:|#)([^)#\s]+)", text):
        place = (page.parent / target).resolve()
        assert place.exists() or _generated(page, target), target


def _generated(page: Path, target: str) -> bool:
    """Pages that the site's hook makes."""
    path = (page.parent / target).resolve().relative_to(ROOT / "docs").as_posix()
    made = ("reference/cli/", "reference/api/", "reference/models.md", "tutorials/notebook.md", "images/probe-")
    return path.startswith(made) or path in ("contributing.md", "changelog.md", "log.md")


RESULTS = {
    "evaluate.json": "## `emojiworld-wan`",
    "evaluate-cogvideox.json": "## `emojiworld-cogvideox`",
    "rerun-evaluate.json": "## A second checkpoint",
}
ROWS = {
    "layout_miou": "IoU",
    "count": "correct counts",
    "direction": "correct direction",
    "relation": "correct relation",
}


@pytest.mark.parametrize("file, heading", RESULTS.items())
def test_the_tables_have_the_figures_of_their_files(file: str, heading: str) -> None:
    """Means, intervals and differences as in the JSON; a share of 1 has Wilson's interval, which the file lacks."""
    found = json.loads((ROOT / "experiments/emojiworld/results" / file).read_text())["all"]
    text = (ROOT / "docs/results/base-against-ttom.md").read_text(encoding="utf-8")
    section = text.split(heading)[1].split("\n## ")[0]
    for metric, name in ROWS.items():
        row = next(line for line in section.splitlines() if line.startswith("|") and name in line)
        base, ttom, difference = (re.findall(r"[+-]?\d*\.\d+", cell) for cell in row.split("|")[2:5])
        assert float(base[0]) == pytest.approx(found["base"][metric]["mean"], abs=6e-4)
        assert float(ttom[0]) == pytest.approx(found["ttom"][metric]["mean"], abs=6e-4)
        expected = found["ttom"][metric]["difference"]
        assert [float(x) for x in difference[:3]] == pytest.approx([expected["mean"], *expected["interval"]], abs=6e-4)
        if found["ttom"][metric]["mean"] == 1:
            assert "[.963, 1] (Wilson)" in row
