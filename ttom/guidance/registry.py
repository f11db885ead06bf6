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
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ttom.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from ttom.config import Settings
    from ttom.guidance.protocol import Part
    from ttom.prepare import Prepared


@dataclass(frozen=True)
class Inputs:
    """What a method may use.

    Attributes:
        prepared: The prompt made ready: model, settings, seed, layout, text, tokens, masks, noise.
        adapter: Values that a memory holds for such a prompt; only for methods that use a memory.
        logger: A Lightning logger for losses.
        beside: Names of all methods of the run, where several act together.
    """

    prepared: Prepared
    adapter: dict[str, Tensor] | None = None
    logger: Any = None
    beside: tuple[str, ...] = ()


@dataclass(frozen=True)
class Method:
    """A way to make a layout act on a run.

    Attributes:
        name: What users call it; "+" joins names of methods that act together.
        parts: Makes the parts of one run, in the order in which they act.
        needs_layout: A prompt without a layout is refused; otherwise it runs without tokens and masks.
        learns: Its parts start from an adapter and leave one, which a memory may keep and others may export.
        loads: Its parts use an adapter that a memory holds, as it is.
        check: Raises UserError for settings that its parts cannot work with, whatever the model.
    """

    name: str
    parts: Callable[[Inputs], Sequence[Part]]
    needs_layout: bool = True
    learns: bool = False
    loads: bool = False
    check: Callable[[Settings], None] = lambda settings: None

    @property
    def uses_memory(self) -> bool:
        """Whether a memory is asked for the prompt."""
        return self.learns or self.loads

    def settings(self, settings: Settings) -> Settings:
        """The settings as this method follows them: an adapter that it cannot train further is loaded as it is.

        Raises:
            UserError: They name a memory, and the method would ignore it.
        """
        memory = settings.memory
        if memory.active and self.needs_layout and not self.uses_memory:
            raise UserError(
                f"the method {self.name} uses no memory, but `memory.path` is {memory.path}",
                expected="a memory with a method that trains an adapter or loads one",
                remedy="leave `memory.path` out, or `method=ttom`",
            )
        if self.loads and not self.learns and memory.active:
            return replace(settings, memory=replace(memory, use="load"))
        return settings


def _base(inputs: Inputs) -> Sequence[Part]:
    from ttom.guidance.base import InitialMaps

    return [InitialMaps(inputs.prepared)] if inputs.prepared.tokens else []


def _ttom(inputs: Inputs) -> Sequence[Part]:
    """Optimize, from the memory's values if there are any; or take these as they are, if the settings say so.

    With ``bias.strength`` set, under a bias, which comes first: the optimization then reads the biased model.
    """
    from ttom.guidance.bias import Bias
    from ttom.guidance.tto.parts import LoadedAdapter, TestTimeOptimization

    prepared = inputs.prepared
    bias = [Bias(prepared)] if prepared.settings.bias.strength and "bias" not in inputs.beside else []
    if inputs.adapter is not None and prepared.settings.memory.use == "load":
        return [*bias, LoadedAdapter(prepared, inputs.adapter)]
    return [*bias, TestTimeOptimization(prepared, inputs.adapter, inputs.logger)]


def _bias(inputs: Inputs) -> Sequence[Part]:
    """The bias, and the memory's adapter as it is, if there is one."""
    from ttom.guidance.bias import Bias
    from ttom.guidance.tto.parts import LoadedAdapter

    loaded = [LoadedAdapter(inputs.prepared, inputs.adapter)] if inputs.adapter is not None else []
    return [Bias(inputs.prepared), *loaded]


def _check_ttom(settings: Settings) -> None:
    from ttom.guidance.bias import check_settings
    from ttom.losses import find_loss

    find_loss(settings.tto.loss)
    if settings.bias.strength:
        check_settings(settings)


def _check_bias(settings: Settings) -> None:
    from ttom.guidance.bias import check_settings
    from ttom.losses import find_loss

    check_settings(settings)
    if settings.memory.active:  # its adapter is measured by the loss
        find_loss(settings.tto.loss)


def _lvd(inputs: Inputs) -> Sequence[Part]:
    from ttom.guidance.lvd import LatentOptimization

    return [LatentOptimization(inputs.prepared)]


DEFAULT_METHOD = "ttom"

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("base", _base, needs_layout=False),
        Method("bias", _bias, loads=True, check=_check_bias),
        Method("lvd", _lvd),
        Method("ttom", _ttom, learns=True, check=_check_ttom),
    )
}
"""All methods by name; use `register_method` to add one."""


def import_parts() -> None:
    """Import what the parts need (Lightning, peft), which takes seconds; so that loading a model counts it."""
    import ttom.guidance.bias
    import ttom.guidance.lvd
    import ttom.guidance.tto.parts  # noqa: F401


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
    learns, together = any(each.learns for each in found), tuple(each.name for each in found)

    def parts(inputs: Inputs) -> list[Part]:
        made: list[Part] = []
        inputs = replace(inputs, beside=together)
        for each in found:  # one LoRA a run: that of the methods that learn, if there are any
            made += each.parts(inputs if each.learns or not learns else replace(inputs, adapter=None))
        return made

    def check(settings: Settings) -> None:
        for each in found:
            each.check(settings)

    return Method(
        "+".join(together),
        parts,
        needs_layout=any(each.needs_layout for each in found),
        learns=learns,
        loads=any(each.loads for each in found),
        check=check,
    )
