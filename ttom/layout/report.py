"""What a planner says of its work: typed, for report.json and the record of `ttom plan`."""

from __future__ import annotations

from typing import Any

from ttom.config import VideoText
from ttom.types import ReportPart


class PlannerReport(ReportPart):
    """How the layout was planned: by "rules", "llm", "import", "file" or a function's name.

    The fields after ``notes`` are those of a language model's plans, the last four also those of imported ones.

    Attributes:
        planner: Who planned.
        notes: What the planner assumed or left out.
        model: Name of the language model.
        stages: The questions it was asked.
        stage_texts: Version of their texts.
        enriched_prompt: The prompt as it enriched it.
        video_text: Which of the two texts the video is made from.
        answer_form: How its answers were asked for: as JSON by a schema, as JSON, or as text.
        requests, repairs, input_tokens, output_tokens: What was spent now; all 0 for a plan of the cache.
        cost_usd: In dollars; None where the prices are not known.
        seconds: From the first question to the plan.
        cached: Whether the plan is one of the cache.
        fallback: Why the rules planner planned instead.
        cache_error: Why the plan could not be kept.
        changes: What was changed of the plan, so that it passes the checks.
        boxes, boxes_out_of_bounds: In the plan as given.
    """

    planner: str
    notes: tuple[str, ...] = ()
    model: str | None = None
    stages: tuple[str, ...] = ()
    stage_texts: str | None = None
    enriched_prompt: str | None = None
    video_text: VideoText = "original"
    answer_form: str | None = None
    requests: int = 0
    repairs: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None
    seconds: float | None = None
    cached: bool = False
    fallback: str | None = None
    cache_error: str | None = None
    changes: tuple[str, ...] = ()
    boxes: int | None = None
    boxes_out_of_bounds: int | None = None

    def as_record(self) -> dict[str, Any]:
        """As JSON, with the fields that this planner has filled in."""
        return self.model_dump(mode="json", exclude_unset=True)
