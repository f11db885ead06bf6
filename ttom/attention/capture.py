"""Reads attention maps during a stock forward: blocks are substituted for its duration, and it ends early."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ttom.attention.bias import TokenBias

MapObserver = Callable[[int, Tensor], None]
"""Called with a block's index and its object maps ``(B, N, S)``."""


class StopForward(Exception):
    """Raised inside the last target block once its map is read: nothing after that contributes to the loss."""


class MapReader:
    """Base class of attention processors that read object maps ``(B, N, S)``.

    Args:
        tokens: Text positions of each of the N objects; empty to read nothing.
        stop: End the forward as soon as the maps are read.
        observer: Called with the maps; without one they are kept as ``maps`` until the next call.

    Attributes:
        bias: Added to the scores.
    """

    bias: TokenBias | None = None

    def __init__(
        self, tokens: list[list[int]], *, stop: bool, observer: Callable[[Tensor], None] | None = None
    ) -> None:
        self.tokens, self.stop, self.observer = tokens, stop, observer
        self.maps: Float[Tensor, "B N S"] | None = None

    def adopt_settings(self, original: Any) -> None:
        """Copy what has been set on the processor that this one replaces: the bias, and what the user may set."""
        self.bias = getattr(original, "bias", None)

    def read(self, maps: Float[Tensor, "B N S"]) -> None:
        """Deliver the maps; raises StopForward if nothing else is needed of this forward."""
        if self.observer is None:
            self.maps = maps
        else:
            self.observer(maps)
        if self.stop:
            raise StopForward


class Prefix:
    """Cache of what forwards at the same latents, timestep and text have in common, filled by the first of them.

    That is everything before block ``first``, and that block's self-attention if it comes before the text-to-video
    attention. Nothing in these parts may be trained.
    """

    def __init__(self, first: int) -> None:
        self.first = first
        self.inputs: tuple[tuple[Any, ...], dict[str, Any]] | None = None
        self.attended: Any = None


class _CachedInputs(nn.Module):
    """A block that gets the inputs of its first call in every call."""

    def __init__(self, block: nn.Module, prefix: Prefix) -> None:
        super().__init__()
        self.block, self.prefix = block, prefix

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        if self.prefix.inputs is None:
            self.prefix.inputs = args, kwargs
        args, kwargs = self.prefix.inputs
        return self.block(*args, **kwargs)


class _CachedAttention(nn.Module):
    """A self-attention that is computed in its first call and returns the same output in every call."""

    def __init__(self, attention: Any, prefix: Prefix) -> None:
        super().__init__()
        self.attention, self.prefix = attention, prefix

    @torch.compiler.disable  # or a compiled block would be compiled twice: for the first call, and for the others
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        if self.prefix.attended is None:
            self.prefix.attended = self.attention(*args, **kwargs)
        return self.prefix.attended


class _Substituted(nn.Module):
    """A block with one part replaced while it runs, including when gradient checkpointing runs it again."""

    def __init__(self, block: nn.Module, owner: Any, name: str, substitute: Any) -> None:
        super().__init__()
        self.block, self.owner, self.name, self.substitute = block, owner, name, substitute

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        original = getattr(self.owner, self.name)
        try:
            setattr(self.owner, self.name, self.substitute)
            return self.block(*args, **kwargs)
        finally:
            setattr(self.owner, self.name, original)


def captured_maps(
    transformer: nn.Module,
    name: str,
    reader: type[MapReader],
    blocks: tuple[int, ...],
    tokens: list[list[int]],
    *,
    prefix: Prefix | None = None,
    self_attention: str | None = None,
    observer: MapObserver | None = None,
) -> AbstractContextManager[dict[int, MapReader]]:
    """Within the context, a forward of the transformer reads the maps of ``blocks`` and ends after the last of them.

    With an ``observer`` the forward runs to its end, so its output is the stock one.

    Args:
        transformer: A diffusers model.
        name: Where a block's attention is, such as "blocks.{}.attn2".
        reader: The family's processor.
        blocks: Target blocks.
        tokens: Text positions of each of the N objects.
        prefix: A cache to use if an earlier forward has filled it, else to fill.
        self_attention: Name in a block of the attention before that at ``name``; None if there is no other.
        observer: Called with each block's index and maps.

    Returns:
        A context that gives the processor of each target block; after the forward its ``maps`` are ``(B, N, S)``,
        unless the observer took them. The original processors are back when it ends, however it ends.
    """
    readers = {}
    for b in blocks:
        stop = observer is None and b == max(blocks)
        readers[b] = reader(tokens, stop=stop, observer=partial(observer, b) if observer is not None else None)
        readers[b].adopt_settings(transformer.get_submodule(name.format(b)).processor)
    return _reading(transformer, name, readers, prefix, self_attention)


@contextmanager
def _reading(
    transformer: Any,
    name: str,
    readers: dict[int, MapReader],
    prefix: Prefix | None,
    self_attention: str | None,
) -> Iterator[dict[int, MapReader]]:
    """Within the context, the target blocks' attentions have our processors; StopForward ends it quietly.

    The forward is the stock one, ended by an exception that this context catches. So hooks (offloading, LoRA scale,
    gradient checkpointing) keep working, and there is no copy of diffusers' code that could become outdated. Only the
    list of blocks is substituted. The backward may run after the context. Gradient checkpointing does not recompute
    the last target block: its activations are needed first, so dropping them would save nothing. Without a processor
    that stops, the forward runs to its end.
    """
    stem, _, rest = name.partition(".{}.")
    originals, last = transformer.get_submodule(stem), max(readers)
    assert prefix is None or prefix.first <= min(readers), "the prefix would skip a target block"
    blocks = list(originals[: last + 1] if readers[last].stop else originals)
    for b, block in enumerate(blocks):
        attention = block.get_submodule(rest)
        processor = readers.get(b, attention.processor)
        if isinstance(processor, MapReader):  # also one with a bias, which may be gone when the block is run again
            blocks[b] = _Substituted(block, attention, "processor", processor)
    if prefix is not None and self_attention is not None:
        first = originals[prefix.first]
        cached = _CachedAttention(getattr(first, self_attention), prefix)
        blocks[prefix.first] = _Substituted(blocks[prefix.first], first, self_attention, cached)
    if prefix is not None and prefix.first > 0:
        blocks[prefix.first] = _CachedInputs(blocks[prefix.first], prefix)
        blocks = blocks[prefix.first :] if prefix.inputs is not None else blocks
    recompute = transformer._gradient_checkpointing_func
    try:
        setattr(transformer, stem, nn.ModuleList(blocks))
        if recompute is not None:
            transformer._gradient_checkpointing_func = _all_but(blocks[-1], recompute)
        yield readers
    except StopForward as stop:
        # The traceback keeps the forward's frames alive, and these its activations: until the garbage collector ran,
        # 1.7 GiB of Wan 14B on a GPU, at times twice that.
        traceback.clear_frames(stop.__traceback__)
    finally:
        setattr(transformer, stem, originals)
        transformer._gradient_checkpointing_func = recompute


def _all_but(last: nn.Module, checkpoint: Callable[..., Any]) -> Callable[..., Any]:
    """diffusers' function that runs a block with gradient checkpointing, except for the last block."""
    return lambda block, *inputs: block(*inputs) if block is last else checkpoint(block, *inputs)


@contextmanager
def biased(
    transformer: nn.Module, name: str, biaser: type[MapReader], bias: TokenBias, blocks: tuple[int, ...]
) -> Iterator[None]:
    """Within the context, forwards of the transformer have the bias in these blocks.

    Maps that are read within it have the bias too, unless it says otherwise; their backward may run later. That of
    another forward with gradient checkpointing must run within the context.

    Args:
        transformer: A diffusers model.
        name: Where a block's text-to-video attention is, such as "blocks.{}.attn2".
        biaser: The family's processor, which torch may compile.
        bias: On the transformer's device.
        blocks: Blocks that get the bias.
    """
    modules: list[Any] = [transformer.get_submodule(name.format(b)) for b in blocks]
    originals = [module.processor for module in modules]
    try:
        for module, original in zip(modules, originals, strict=True):
            processor = biaser([], stop=False)
            processor.adopt_settings(original)
            processor.bias = bias
            module.processor = processor
        yield
    finally:
        for module, original in zip(modules, originals, strict=True):
            module.processor = original
