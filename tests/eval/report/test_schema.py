"""The comparison report as JSON, and its schema."""

from __future__ import annotations

from pathlib import Path

from eval.report.compare import compare
from eval.report.schema import Report, report_schema
from tests.eval.report.synthetic import runs_of


def test_the_report_survives_json_and_its_schema_names_every_field(tmp_path: Path) -> None:
    report = compare(runs_of(tmp_path))
    assert Report.model_validate_json(report.model_dump_json()) == report
    assert set(report_schema()["properties"]) == set(Report.model_fields)
