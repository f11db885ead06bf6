"""Settings of the planners."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from ttom.config.checks import (
    is_plain_address,
    is_positive,
    is_whole,
    require,
    require_choices,
    require_counts,
    require_names,
    require_switches,
)
from ttom.errors import UserError

PlannerKind = Literal["rules", "llm"]
PlannerStage = Literal["enrich", "metadata", "check-metadata", "layout", "check-layout", "one-call"]
VideoText = Literal["original", "enriched"]


@dataclass(frozen=True)
class PlannerConfig:
    """Who plans the layout: our rules, or a language model behind any OpenAI-compatible endpoint (section 3.1)."""

    kind: PlannerKind = "rules"
    """"rules" reads English and needs no network; "llm" asks a language model (needs the extra llm)."""
    seed: int = 0
    """Seed of the rules planner's small random choices; the same seed gives the same layout."""
    strict: bool = False
    """If the LLM planner fails, stop with an error instead of falling back to the rules planner with a warning."""
    offline: bool = False
    """Take LLM plans from the cache only; needs neither key nor network."""
    refresh: bool = False
    """Ask again even if the cache has a plan, and replace it."""
    model: str = "gpt-4o"
    """Name of the language model at the endpoint."""
    base_url: str | None = None
    """Address of the endpoint, such as http://localhost:8000/v1; by default OPENAI_BASE_URL, else OpenAI's own."""
    key_variable: str = "OPENAI_API_KEY"
    """Environment variable that holds the key; the key itself is never an option. Own endpoints may need none."""
    stages: tuple[PlannerStage, ...] = ("metadata", "check-metadata", "layout", "check-layout")
    """Questions to the model: "enrich" comes on top; "one-call" stands for the other four (cheaper, less careful)."""
    video_text: VideoText = "original"
    """With the stage enrich: whether the video is made from the original prompt or from the enriched one."""
    repair_rounds: int = 2
    """How many times the model may correct an answer before the plan counts as failed."""
    temperature: float | None = 0.2
    """Sampling temperature of the language model; None leaves it to the server."""
    timeout: float = 60.0
    """Seconds the server may stay silent during a request."""
    retries: int = 4
    """Retries after 429, 5xx or a broken connection; waits as long as the server asks."""
    concurrency: int = 4
    """Prompts planned at the same time."""
    cache_dir: str = "~/.cache/ttom/layouts"
    """Folder of finished LLM plans; several processes may share it."""
    min_size: float = 0.05
    """Minimum width and height of a box, as a share of the picture; smaller boxes from the model are enlarged."""
    max_speed: float = 2.5
    """Maximum speed of a box's center, in picture widths or heights per video; faster counts as a mistake."""
    input_price: float | None = None
    """US dollars per million tokens sent, for the cost in the report; None if unknown."""
    output_price: float | None = None
    """US dollars per million tokens received, for the cost in the report; None if unknown."""

    def __post_init__(self) -> None:
        require_choices(self, "planner", kind=PlannerKind, video_text=VideoText)
        require_switches(self, "planner", "strict", "offline", "refresh")
        expected = "metadata and layout, and if wanted enrich, check-metadata, check-layout; or one-call, and enrich"
        require(self, "planner", "stages", expected, _are_stages)
        require_names(self, "planner", "model", "cache_dir")
        self._check_address()
        for name in ("repair_rounds", "retries"):
            require(self, "planner", name, "a whole number of at least 0", lambda n: is_whole(n, 0))
        require_counts(self, "planner", "concurrency")
        for name in ("timeout", "max_speed"):
            require(self, "planner", name, "a finite number above 0", is_positive)
        require(self, "planner", "min_size", "a share from 0 to 0.5", lambda size: 0 <= size <= 0.5)
        for name in ("temperature", "input_price", "output_price"):
            require(self, "planner", name, "at least 0, or None", lambda n: n is None or n == 0 or is_positive(n))

    def _check_address(self) -> None:
        """Where a secret might stand, the message does not repeat the value, for settings go into reports."""
        name, url = self.key_variable, self.base_url
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise UserError(
                "`planner.key_variable` is not the name of an environment variable",
                expected="a name of letters, digits and _; never the key itself",
                remedy="export OPENAI_API_KEY=..., and leave `planner.key_variable` out",
            )
        if url is not None and not (isinstance(url, str) and is_plain_address(url)):
            raise UserError(
                "`planner.base_url` is not a plain http address",
                expected="http://HOST:PORT/v1 or https://..., without user name, password or query",
                remedy="put the key into the environment variable of `planner.key_variable`",
            )


def _are_stages(stages: Any) -> bool:
    one_call = "one-call" in stages
    planning = {"one-call"} if one_call else {"metadata", "layout"}
    extra = {"enrich"} if one_call else {"enrich", "check-metadata", "check-layout"}
    return len(stages) == len(set(stages)) and planning <= set(stages) <= planning | extra
