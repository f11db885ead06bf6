"""A prompt made ready for the denoising loop: its plan, its tokens, its masks and its noise.

What can be refused without the model's weights is refused before they are loaded: `Request.refuse_mistakes`, `plan` and
`check_model` need none.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ttom.backbones.vocabulary import Vocabulary, load_vocabulary
from ttom.checkpoints import EMBEDDED
from ttom.checkpoints.card import read_card
from ttom.config import PlannerConfig, Settings, is_whole
from ttom.errors import SetupError, UserError
from ttom.layout.english import find_phrase
from ttom.layout.limits import check_prompt
from ttom.layout.model import Layout, ObjectGroup, check_layout
from ttom.layout.planning import Outcome, Planned, plan_prompts
from ttom.layout.report import PlannerReport
from ttom.layout.rules.words import KNOWN_NOUNS
from ttom.types import ObjectMasks, TextEmbeddings, VideoSize

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from ttom.attention.capture import Prefix
    from ttom.backbones.protocol import Backbone

MAX_TRIES = 1000

LayoutPlanner = Callable[[str, float], Layout]
"""A planner of one's own: a prompt and the picture's width / height -> a layout. May raise UserError."""


@dataclass(frozen=True)
class Request:
    """What one call asks for: a case, with its own seed.

    Attributes:
        prompt: What the video shows.
        seed: Of the noise and of the adapter's start.
        method: Name of the guidance method.
        layout: Where the objects are; None to plan it from the prompt.
        settings: As resolved.
        tries: How many videos are made, with this seed and the next ones, of which one is kept.
        check: Who compares them with the layout, and so decides which one is kept.
    """

    prompt: str
    seed: int
    method: str
    layout: Layout | None
    settings: Settings
    tries: int = 1
    check: str = "auto"

    def refuse_mistakes(self) -> None:
        """Raise UserError for a prompt, a layout, a seed or a number of tries that cannot work with any model."""
        check_prompt(self.prompt)
        if self.layout is not None and not isinstance(self.layout, Layout):
            raise UserError(
                f"the layout is of type {type(self.layout).__name__}",
                expected="a Layout",
                remedy="ttom.layout.model.load_layout(PATH) for a file, Layout.model_validate(DATA) for its data",
            )
        if not is_whole(self.tries, 1) or self.tries > MAX_TRIES:
            raise UserError(f"`tries` is {self.tries}", expected=f"a whole number from 1 to {MAX_TRIES}")
        check_seed(self.seed)
        check_seed(self.seed + self.tries - 1)

    @property
    def aspect(self) -> float:
        """Picture width / height."""
        return self.settings.sampler.aspect

    @property
    def size(self) -> VideoSize:
        return self.settings.sampler.size


@dataclass(frozen=True)
class Plan:
    """What a video shows where.

    Attributes:
        text: What the video is made from: the prompt, or what the planner enriched it to.
        layout: None if there is nothing to lay out and the method needs no layout.
        report: What the planner says of its work; None where the layout was given.
    """

    text: str
    layout: Layout | None
    report: PlannerReport | None

    @property
    def left_out(self) -> tuple[str, ...]:
        """Parts of the prompt that the planned layout does not show; nothing where the layout was given."""
        return self.layout.left_out if self.layout is not None and self.report is not None else ()


class Plans:
    """Plans by prompt, picture and planner; those made ahead are kept.

    Args:
        planner: Plans in place of the planner that the settings name.
    """

    def __init__(self, planner: LayoutPlanner | None = None) -> None:
        self._planner = planner
        self._known: dict[tuple[str, float, PlannerConfig], Outcome] = {}

    def ahead(
        self, prompts: Sequence[str], aspect: float, config: PlannerConfig, done: Callable[[], None] = lambda: None
    ) -> None:
        """Plan now what `of` will be asked for, with the LLM planner several at a time."""
        if self._planner is None:
            outcomes = plan_prompts(prompts, aspect, config, done)
            self._known |= {(p, aspect, config): outcome for p, outcome in zip(prompts, outcomes, strict=True)}

    def of(self, prompt: str, aspect: float, config: PlannerConfig) -> Planned:
        """The plan of a prompt, made ahead or now. Raises UserError if it holds nothing to lay out."""
        if self._planner is not None:
            name = getattr(self._planner, "__name__", type(self._planner).__name__)
            return Planned(self._planner(prompt, aspect), PlannerReport(planner=name))
        key = (prompt, aspect, config)
        outcome = self._known[key] if key in self._known else plan_prompts([prompt], aspect, config)[0]
        if isinstance(outcome, UserError):
            raise outcome
        return outcome


def plan(request: Request, plans: Plans, *, needs_layout: bool) -> Plan:
    """The given layout, checked against the prompt, or a planned one.

    Without a layout only for a method that needs none, and never where the planner was to enrich the text: methods
    are compared on the same words.

    Raises:
        UserError: The layout does not fit the prompt, or the prompt cannot be planned.
    """
    if request.layout is not None:
        check_layout(request.layout, request.prompt)
        return Plan(request.prompt, request.layout, None)
    config = request.settings.planner
    try:
        planned = plans.of(request.prompt, request.aspect, config)
    except UserError as error:
        own_text = config.kind == "rules" or config.video_text == "original"
        if needs_layout or isinstance(error, SetupError) or not own_text:
            raise
        return Plan(request.prompt, None, None)
    enriched = planned.report.video_text == "enriched"
    return Plan(planned.layout.prompt if enriched else request.prompt, planned.layout, planned.report)


def check_model(model: str, request: Request, layout: Layout | None) -> None:
    """Raise UserError where a model's files alone tell that the request cannot work; its weights are not read."""
    card, size = read_card(model), request.size
    if card is not None:
        card.check_size(size.frames, size.height, size.width)
    vocabulary = load_vocabulary(model) if layout is not None else None
    if vocabulary is not None and layout is not None:
        check_words(model, vocabulary, layout)


@dataclass(frozen=True)
class Prepared:
    """A prompt ready to denoise, as the methods see it.

    Attributes:
        backbone: The model.
        settings: As resolved.
        seed: Of the noise.
        prompt: The text of the video.
        layout: The layout; None for methods that need none.
        latents: Noise, as the stock pipeline draws it.
        text: Embeddings of the prompt and the negative prompt.
        tokens: Text positions of each of the N object groups; empty without a layout.
        masks: Their masks on the token grid, reduced by ``tto.downsample``; None without a layout.
    """

    backbone: Backbone
    settings: Settings
    seed: int
    prompt: str
    layout: Layout | None
    latents: Float[Tensor, "1 _ _ H W"]
    text: TextEmbeddings
    tokens: list[list[int]]
    masks: ObjectMasks | None

    @property
    def noise_levels(self) -> list[float]:
        """One per denoising step, from 1 down (see `Solver.noise_levels`)."""
        sampler = self.settings.sampler
        return self.backbone.solver(sampler.steps, self.seed, sampler.flow_shift).noise_levels

    def with_seed(self, seed: int) -> Prepared:
        """The same with other noise, and another start of an adapter."""
        return replace(self, seed=seed, latents=self.backbone.initial_latents(self.settings.sampler.size, seed))

    def object_maps(
        self, latents: Float[Tensor, "1 _ _ H W"], timestep: Tensor, prefix: Prefix | None = None
    ) -> Float[Tensor, "K N F h w"]:
        """Attention maps of the object groups in the target blocks, on the token grid of the masks."""
        tto, backbone = self.settings.tto, self.backbone
        small = backbone.reduced(latents, tto.downsample)
        return backbone.object_maps(small, timestep, self.text.positive, self.tokens, tto.targets, prefix=prefix)


def prepare(request: Request, plan: Plan, backbone: Backbone) -> Prepared:
    """Check the request against the loaded model, encode the text, find tokens, make masks and draw the noise.

    Raises:
        UserError: For words, sizes, blocks or text lengths that the model does not take.
    """
    settings, sampler, size = request.settings, request.settings.sampler, request.size
    backbone.check_size(size)
    backbone.check_blocks(settings.tto.targets)
    if plan.layout is not None:
        check_words(backbone.name, backbone.vocabulary, plan.layout)
    text = backbone.encode_prompt(
        plan.text,
        sampler.negative_prompt,
        guidance=sampler.guidance_scale > 1,
        max_sequence_length=sampler.max_sequence_length,
    )
    tokens, masks = _tokens_and_masks(plan, size, settings, backbone)
    latents = backbone.initial_latents(size, request.seed)
    return Prepared(backbone, settings, request.seed, plan.text, plan.layout, latents, text, tokens, masks)


def _tokens_and_masks(
    plan: Plan, size: VideoSize, settings: Settings, backbone: Backbone
) -> tuple[list[list[int]], ObjectMasks | None]:
    from ttom.layout.raster import rasterize

    if plan.layout is None:
        return [], None
    length = settings.sampler.max_sequence_length
    tokens = [backbone.vocabulary.phrase_tokens(plan.text, group.phrase, length) for group in plan.layout.groups()]
    grid = backbone.token_grid(size).reduced(settings.tto.downsample)
    compression = backbone.temporal_compression
    shape: dict[str, Any] = {"sigma": settings.tto.sigma, "mask": settings.tto.mask}
    return tokens, rasterize(plan.layout, grid, frames=size.frames, temporal_compression=compression, **shape)


def check_seed(seed: int) -> None:
    """Raise UserError for a seed that torch's generators do not take."""
    if not is_whole(seed, 0) or seed >= 2**63:
        raise UserError(f"`seed` is {seed}", expected="a whole number from 0 to 2^63 - 1", remedy="`seed=0`")


def check_words(model: str, vocabulary: Vocabulary, layout: Layout) -> None:
    """Raise UserError, with suggestions, if the model has no token for an object's noun.

    Other words of its phrase ("red") may be unknown: its maps are then those of the words that are known.
    """
    unknown = list(dict.fromkeys(word for group in layout.groups() for word in _unknown(vocabulary, group)))
    if not unknown:
        return
    known = vocabulary.known_words()
    nouns = [word for word in known if word in KNOWN_NOUNS]
    near = {word: difflib.get_close_matches(word.lower(), nouns, n=3, cutoff=0.7) for word in unknown}
    hints = [f"{' or '.join(words)} for {word}" for word, words in near.items() if words]
    raise UserError(
        f"the model {model} does not know {', '.join(map(repr, unknown))}",
        expected=f"objects named by words of its vocabulary ({len(known)} words)",
        remedy=", or ".join([*hints, f"another noun{_where_listed(model)}", "another `model`"]),
    )


def _where_listed(model: str) -> str:
    """The command that lists a model's nouns, where there is a list."""
    if model in EMBEDDED:
        return " that `ttom models --nouns` lists"
    card = read_card(model)
    return f" that `ttom models {shlex.quote(model)}` lists" if card is not None and card.nouns else ""


def _unknown(vocabulary: Vocabulary, group: ObjectGroup) -> list[str]:
    """Unknown words of the noun as the phrase spells it; where the layout calls the object otherwise, of a phrase
    without any known word.
    """
    spans = find_phrase(group.phrase, group.noun)
    if spans:
        return vocabulary.unknown_words(group.phrase[slice(*spans[-1])])
    unknown = vocabulary.unknown_words(group.phrase)
    return unknown if len(unknown) >= len(set(group.phrase.split())) else []
