"""What a guidance method is made of: parts that act on a run, before its steps, inside them, or both.

A method is a list of parts; two methods together are the parts of both. The denoising loop (ttom/sampler.py) knows
nothing else of a method. Dimension letters: see ttom/types.py.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from types import TracebackType

from torch import Tensor

from ttom.types import Progress, Stage


@dataclass(frozen=True)
class Step:
    """A denoising step that is about to be taken.

    Attributes:
        index: Which one, from 0.
        timestep: As the transformer takes it.
        latents: Before the step.
        progress: Call it with the stage "optimize" to show what a part is doing.
    """

    index: int
    timestep: Tensor
    latents: Tensor
    progress: Progress


@dataclass(frozen=True)
class Outcome:
    """What a part leaves behind.

    Attributes:
        losses: For each guided step the loss of each iteration, before its update.
        maps_before: Attention maps ``(N, F, H, W)`` of the object groups without the part, mean over blocks.
        maps_after: The same with it.
        adapter: Trained tensors by name, on the CPU: what a memory keeps.
    """

    losses: list[list[float]] = field(default_factory=list)
    maps_before: Tensor | None = None
    maps_after: Tensor | None = None
    adapter: dict[str, Tensor] | None = None

    def __or__(self, other: Outcome) -> Outcome:
        """Of two parts together: the first one's values, and the other's where the first has none.

        Only ``maps_after`` are the other's where it has some: with both parts.
        """
        return Outcome(
            losses=self.losses or other.losses,
            maps_before=self.maps_before if self.maps_before is not None else other.maps_before,
            maps_after=other.maps_after if other.maps_after is not None else self.maps_after,
            adapter=self.adapter if self.adapter is not None else other.adapter,
        )


class Part:
    """One way to act on a run; a subclass overrides the methods it needs.

    The loop enters the part, calls `before` and `inside` for every step in order, and leaves it, also after an error:
    what a part does to the model it undoes in ``__exit__``.

    Attributes:
        steps: The part acts in the first so many steps. Caches of the sampler are off until then.
        stage: Which stage of the run these steps count as, in progress and in seconds.
    """

    steps: int = 0
    stage: Stage = "sample"

    def __enter__(self) -> Part:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        return None

    def before(self, step: Step) -> Tensor:
        """Act before a step, on weights or latents; returns the latents that the step starts from.

        Called within what the parts before this one put around a forward, so that the model is read as they change it.
        """
        return step.latents

    def inside(self, step: Step) -> AbstractContextManager[object]:
        """A context around the forward that reads the prompt, and around what later parts do before the step.

        Where guidance is batched that is one forward for both prompts, the negative one first.
        """
        return nullcontext()

    def emphasis(self, step: Step) -> float:
        """Weight of guidance by the part itself: of the difference that its `inside` makes to the prompt's prediction.

        Above 0 it costs a further forward, without the part, in the step.
        """
        return 0.0

    def outcome(self) -> Outcome:
        """What the part leaves behind; asked for after the last step, within the part."""
        return Outcome()
