"""Methods by name. A method is a value: a name, and a function that makes its parts.

Another method needs no change of this package:

>>> from ttom.guidance import Inputs, Method, Part, register_method
>>> class Nudge(Part):
...     def before(self, step):
...         return step.latents + 0.01  # a better idea goes here: step.index, inputs.prepared.masks, ...
>>> register_method(Method("nudge", lambda inputs: [Nudge()]))
>>> TTOM.from_pretrained().generate(prompt, method="nudge")        # alone
>>> TTOM.from_pretrained().generate(prompt, method="ttom+nudge")   # together with ours
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ttom.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from ttom.guidance.protocol import Part
    from ttom.prepare import Prepared


@dataclass(frozen=True)
class Inputs:
    """What a method may use.

    Attributes:
        prepared: The prompt made ready: model, settings, seed, layout, text, tokens, masks, noise.
        adapter: Values that a memory holds for such a prompt; only for methods that learn one.
        logger: A Lightning logger for losses.
    """

    prepared: Prepared
    adapter: dict[str, Tensor] | None = None
    logger: Any = None


@dataclass(frozen=True)
class Method:
    """A way to make a layout act on a run.

    Attributes:
        name: What users call it; "+" joins names of methods that act together.
        parts: Makes the parts of one run, in the order in which they act.
        needs_layout: A prompt without a layout is refused; otherwise it runs without tokens and masks.
        learns: Its parts start from an adapter and leave one, which a memory may keep and others may export.
    """

    name: str
    parts: Callable[[Inputs], Sequence[Part]]
    needs_layout: bool = True
    learns: bool = False


def _base(inputs: Inputs) -> Sequence[Part]:
    from ttom.guidance.base import InitialMaps

    return [InitialMaps(inputs.prepared)] if inputs.prepared.tokens else []


def _ttom(inputs: Inputs) -> Sequence[Part]:
    """Optimize, from the memory's values if there are any; or take these as they are, if the settings say so."""
    from ttom.guidance.tto.parts import LoadedAdapter, TestTimeOptimization

    if inputs.adapter is not None and inputs.prepared.settings.memory.use == "load":
        return [LoadedAdapter(inputs.prepared, inputs.adapter)]
    return [TestTimeOptimization(inputs.prepared, inputs.adapter, inputs.logger)]


METHODS: dict[str, Method] = {
    method.name: method for method in (Method("base", _base, needs_layout=False), Method("ttom", _ttom, learns=True))
}
"""All methods by name; use `register_method` to add one."""


def import_parts() -> None:
    """Import what the parts need (Lightning, peft), which takes seconds; so that loading a model counts it."""
    import ttom.guidance.tto.parts
    import ttom.sampler  # noqa: F401


def register_method(method: Method) -> None:
    """Make a method known by its name, here and on the command line of the same process.

    Raises:
        ValueError: If the name is taken or contains "+".
    """
    if method.name in METHODS or "+" in method.name or not method.name:
        raise ValueError(f"a method cannot be called {method.name!r}: the name is taken, or not usable")
    METHODS[method.name] = method


def find_method(method: str | Method) -> Method:
    """The method of a name, or of several names joined by "+".

    Raises:
        UserError: There is no such method.
    """
    if isinstance(method, Method):
        return method
    names = method.split("+")
    for name in names:
        if name not in METHODS:
            raise UserError(
                f"there is no method {name!r}", expected=f"one of {', '.join(METHODS)}, or several joined by +"
            )
    found = [METHODS[name] for name in dict.fromkeys(names)]
    if len(found) == 1:
        return found[0]
    return Method(
        "+".join(part.name for part in found),
        lambda inputs: [part for each in found for part in each.parts(inputs)],
        needs_layout=any(each.needs_layout for each in found),
        learns=any(each.learns for each in found),
    )
