"""Records of the harness: the same after the disk, of known fields and versions alone."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from eval.types import Answer, Case, ManifestRow, Question, Record, RunHeader, ScoreRow
from tests.eval.cases import case, header
from ttom.layout.rules.planner import plan

RECORDS: list[Record] = [
    case(1),
    case(2).model_copy(update={"layout": plan("A cat moves left", aspect=1.5, seed=0)}),
    header(),
    ManifestRow(identity="i", case=case(1), status="refused", error="no layout"),
    Question(kind="detect", text="cat", options={"frames": 16}),
    Answer(
        video_sha256="0", judge="toy", judge_version="1", question=Question(kind="detect"), value=[None, {"a": 0.5}]
    ),
    ScoreRow(run="r", case_id="c", suite="s", category="k", metric="m", value=None, excluded="not judged"),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_records_survive_the_disk(record: Record) -> None:
    again = type(record).model_validate_json(record.model_dump_json())
    assert again == record and again is not record


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_unknown_fields_are_errors_and_records_are_frozen(record: Record) -> None:
    with pytest.raises(ValidationError, match="extra"):
        type(record).model_validate(record.model_dump() | {"unknown": 1})
    with pytest.raises(ValidationError, match="frozen"):
        setattr(record, next(iter(type(record).model_fields)), None)


@pytest.mark.parametrize(
    ("made", "change"),
    [(header(), {"version": 2}), (RECORDS[3], {"status": "lost"}), (case(1), {"seed": "many"})],
)
def test_other_versions_and_values_are_refused(made: Record, change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        type(made).model_validate(made.model_dump() | change)


def test_equal_questions_are_one_record_and_defaults_are_not_shared() -> None:
    assert Question(kind="detect", options={"a": 1, "b": 2}) == Question(kind="detect", options={"b": 2, "a": 1})
    fields = {"id": "a", "suite": "s", "category": "k", "prompt": "p", "seed": 0, "video": "v.mp4"}
    first, second = Case(**fields), Case(**fields)  # type: ignore[arg-type]
    assert first.facts == {} and first.facts is not second.facts
    assert RunHeader.model_fields["version"].default == 1
