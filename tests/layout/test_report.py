"""What a planner's report takes and what its record shows; how the parts of the code fill it in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tests.chat_server import ChatServer
from tests.layout.asking import Settings, plan
from ttom.layout.report import PlannerReport
from ttom.report import report_schema


@pytest.mark.parametrize(
    "values", [{}, {"planner": 3}, {"planner": "llm", "cost_usd": float("inf")}, {"planner": "llm", "price": 1.0}]
)
def test_what_is_no_report(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PlannerReport(**values)


def test_a_record_has_what_the_planner_filled_in() -> None:
    report = PlannerReport(planner="llm", cost_usd=None, stages=("layout",))
    assert report.as_record() == {"planner": "llm", "cost_usd": None, "stages": ["layout"]}
    assert report.model_copy(update={"fallback": "no"}).as_record()["fallback"] == "no"


def test_the_schema_of_reports_has_its_form() -> None:
    fields = report_schema()["$defs"]["PlannerReport"]
    assert set(fields["properties"]) == set(PlannerReport.model_fields) and not fields["additionalProperties"]


@pytest.mark.parametrize("change", [{"cost_usd": "much"}, {"unknown": 1}, {"stages": "layout"}])
def test_a_cached_report_of_another_form_is_planned_again(
    server: ChatServer, settings: Settings, tmp_path: Path, change: dict[str, Any]
) -> None:
    """Except for what a cached plan costs, which is nothing whatever the entry says."""
    plan(settings())
    (path,) = (tmp_path / "cache").rglob("*.json")
    entry = json.loads(path.read_text())
    path.write_text(json.dumps(entry | {"report": entry["report"] | change}))
    report = plan(settings()).report
    assert report.cached is ("cost_usd" in change)
