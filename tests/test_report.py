"""The typed report: written, read again, and refused where it is not one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ttom.config import RuntimeConfig
from ttom.errors import UserError
from ttom.identity import settings_hash
from ttom.presets import emojiworld, paper
from ttom.provenance import describe_settings, environment
from ttom.report import MemoryMatch, MemoryReport, Provenance, Report, Seconds, TTOReport, report_schema


@pytest.fixture
def report() -> Report:
    settings = emojiworld()
    origin = environment("cpu") | {
        "dtype": "float32",
        "runtime": RuntimeConfig(),
        "settings": describe_settings(settings, "paper", paper()),
    }
    return Report(
        prompt="A cat", video_prompt="A cat", model="m", model_digest=None, method="ttom", seed=1, identity="0",
        layout_source="rules", layout_digest="0", planner=None, sampler=settings.sampler,
        tto=TTOReport.of((5,), [[0.5, 0.25], [0.125]]),
        memory=MemoryReport(mode="read", key="k", hit=True, used="init", similarity=0.98,
                            matches=(MemoryMatch(id=1, key="k", similarity=0.98),)),
        seconds=Seconds(total=1.5), peak_bytes=None, settings_hash=settings_hash(settings),
        provenance=Provenance.model_validate(origin),
    )  # fmt: skip


def test_a_report_survives_the_disk(report: Report, tmp_path: Path) -> None:
    report.save(tmp_path / "report.json")
    again = Report.load(tmp_path / "report.json")
    assert again == report
    assert again.provenance.settings.resolved == emojiworld()
    assert again.tto is not None and (again.tto.loss_first, again.tto.loss_last) == (0.5, 0.125)
    data = json.loads((tmp_path / "report.json").read_text())
    assert set(data) == set(report_schema()["properties"])
    assert data["version"] == 1


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"version": 2}, "has version 2"),
        ({"version": None}, "has version None"),
        ({"seed": "one"}, "seed"),
        ({"extra": 1}, "extra"),
    ],
)
def test_what_is_no_report_is_refused(report: Report, tmp_path: Path, change: dict, problem: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report.model_dump(mode="json") | change))
    with pytest.raises(UserError, match=problem):
        Report.load(path)


def test_broken_and_missing_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    with pytest.raises(UserError, match="there is no report"):
        Report.load(path)
    for text in ("", "{", "[]", "[" * 100_000):
        path.write_text(text)
        with pytest.raises(UserError, match=r"report\.json"):
            Report.load(path)


def test_nothing_optimized_is_no_tto_report() -> None:
    assert TTOReport.of((5,), []) is None
