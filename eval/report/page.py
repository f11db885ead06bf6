"""One HTML page of a report, which needs no server and no network.

Everything that tables and filters need lies in one JSON object in the page; videos, pictures and reports of the cases
are embedded as base64 until the budget is spent, and linked to copies beside the page after that.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from eval.report.compare import NOT_MADE
from eval.report.groups import groups_of
from eval.report.media import Media
from eval.report.runs import Column, ReportRun
from eval.report.schema import Report
from eval.report.tables import PROXY_NOTE
from eval.types import Case, ManifestRow
from ttom.errors import UserError
from ttom.layout.model import Layout, load_layout

_ASSETS = Path(__file__).with_name("page")
_SCRIPTS = ("dom.js", "tables.js", "clock.js", "player.js", "cases.js")
JSON_LIMIT = 2 << 20
"""Largest layout or report of a case that is read, in bytes."""


def write_page(file: TextIO, report: Report, runs: Sequence[ReportRun], media: Media) -> None:
    """Write the page. ``media`` says what is embedded and where the rest is copied to."""
    data = page_data(report, runs, media)
    template = (_ASSETS / "template.html").read_text(encoding="utf-8")
    head, rest = template.split("<!--style-->")
    before, after = rest.split("<!--data-->")
    file.write(head.replace("<!--title-->", _html(f"{report.suite}: {len(runs)} run{'s' * (len(runs) != 1)} compared")))
    file.write(f"<style>\n{(_ASSETS / 'style.css').read_text(encoding='utf-8')}</style>")
    file.write(before)
    file.write(f'<script type="application/json" id="data">{script_json(data)}</script>\n')
    for number, text in media.embedded():
        file.write(f'<script type="text/plain" id="file-{number}">{text}</script>\n')
    scripts = "\n".join((_ASSETS / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    file.write(f'<script>\n"use strict";\n(() => {{\n{scripts}}})();\n</script>\n')
    file.write(after)


def page_data(report: Report, runs: Sequence[ReportRun], media: Media) -> dict[str, Any]:
    """The page's JSON: the report without settings, and every case with its scores, layout and files."""
    layouts = Layouts()
    columns = [Column(column.metric, column.proxy) for column in report.columns]
    cases: dict[str, Case] = {}
    for run in runs:
        for row in run.rows.values():
            cases.setdefault(row.case.id, row.case)
    told = report.model_dump(mode="json")
    listed = [_case(case, runs, columns, layouts, media) for case in cases.values()]
    # After the cases, whose files may have added problems.
    for run, summary in zip(runs, told["runs"], strict=True):
        summary["problems"] = [vars(problem) for problem in run.problems.values()]
    return {"report": told, "proxy_note": PROXY_NOTE, "cases": listed, "layouts": layouts.listed}


class Layouts:
    """Layouts in the page's short form, each kept once."""

    def __init__(self) -> None:
        self.listed: list[list[dict[str, Any]]] = []
        self._numbers: dict[str, int] = {}

    def number(self, layout: Layout) -> int:
        short = [
            {
                "phrase": item.phrase,
                "visible": [round(time, 4) for time in item.visible],
                "frames": [
                    [round(x, 4) for x in (key.time, key.box.x0, key.box.y0, key.box.x1, key.box.y1)]
                    for key in item.key_frames
                ],
            }
            for item in layout.objects
        ]
        text = json.dumps(short)
        if text not in self._numbers:
            self._numbers[text] = len(self.listed)
            self.listed.append(short)
        return self._numbers[text]


def _case(
    case: Case, runs: Sequence[ReportRun], columns: Sequence[Column], layouts: Layouts, media: Media
) -> dict[str, Any]:
    files = {run.label: dict(_files(run, run.rows[case.id])) for run in runs if case.id in run.rows}
    sizes = [path.stat().st_size for found in files.values() for path in found.values()]
    embed = media.fits(sizes)
    groups: dict[str, list[str]] = {}
    for kind, name in groups_of(case):
        groups.setdefault(kind, []).append(name)
    made = [_run_of_case(case, run, columns, layouts, media, files.get(run.label, {}), embed) for run in runs]
    return {
        "id": case.id,
        "category": case.category,
        "prompt": case.prompt,
        "seed": case.seed,
        "groups": groups,
        "runs": made,
    }


def _run_of_case(
    case: Case,
    run: ReportRun,
    columns: Sequence[Column],
    layouts: Layouts,
    media: Media,
    files: dict[str, Path],
    embed: bool,
) -> dict[str, Any]:
    row = run.rows.get(case.id)
    if row is None:
        return {"status": NOT_MADE, "scores": [None] * len(columns)}
    found: dict[str, Any] = {"status": row.status, "scores": [], "seconds": row.seconds.get("total")}
    for column in columns:
        score = run.scores.get(column, {}).get(case.id)
        found["scores"].append(score.value if score is not None and score.excluded is None else None)
    if row.error:
        found["error"] = row.error[:2000]
    if row.frames and row.fps:
        found |= {"frames": row.frames, "fps": row.fps}
    if row.width and row.height:
        found["size"] = [row.width, row.height]
    if (layout := _layout(case, run)) is not None:
        found["layout"] = layouts.number(layout)
    for kind, path in files.items():
        reference = media.add(run, path, embed, row.sha256 if kind == "video" else None)
        if reference is not None:
            found[kind] = reference
    return found


def _files(run: ReportRun, row: ManifestRow) -> Iterator[tuple[str, Path]]:
    case = row.case.id
    if row.status == "made" and row.video:
        path = run.video(row)
        if path is None:
            run.note("videos that are not there", row.video)
        else:
            yield "video", path
    for kind, name in (("attention", "attention.png"), ("told", "report.json")):
        if (path := run.case_file(case, name)) is not None:
            yield kind, path


def _layout(case: Case, run: ReportRun) -> Layout | None:
    path = run.case_file(case.id, "layout.json")
    if path is None:
        return case.layout
    try:
        if path.stat().st_size > JSON_LIMIT:
            raise UserError(f"layout file {path} is larger than {JSON_LIMIT >> 20} MiB")
        return load_layout(path)
    except UserError as error:
        run.note("layouts that cannot be read", f"{case.id}: {error.problem}")
        return case.layout


def script_json(value: Any) -> str:
    """JSON that cannot end the script element that it lies in."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _html(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def budget_of(embed: str) -> int | None:
    """Bytes to embed for "all" (None), "none" (0) or a number of megabytes.

    Raises:
        UserError: It is none of these.
    """
    if embed in ("all", "none"):
        return None if embed == "all" else 0
    if not embed.isdecimal():
        raise UserError(f"cannot embed {embed!r}", expected='"all", "none" or a number of megabytes')
    return int(embed) * 1_000_000
