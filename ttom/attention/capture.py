"""Reading maps during a stock forward: blocks exchanged for a while, and an end as soon as all are read."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn


class StopForward(Exception):
    """Raised inside the last target block once its map is read: nothing after it feeds the loss."""


class MapReader:
    """What attention processors that read object maps ``(B, N, S)`` share.

    Args:
        tokens: Text positions of each of the N objects.
        stop: End the forward as soon as the maps are read.
        see: Takes the maps; without it they are kept as ``maps`` until the next call.
    """

    def __init__(self, tokens: list[list[int]], *, stop: bool, see: Callable[[Tensor], None] | None = None) -> None:
        self.tokens, self.stop, self.see = tokens, stop, see
        self.maps: Tensor | None = None

    def stand_in_for(self, original: Any) -> None:
        """Take over what the user has set on the processor whose place this one takes."""

    def read(self, maps: Tensor) -> None:
        """Hand the maps over; raises StopForward if nothing else is wanted."""
        if self.see is None:
            self.maps = maps
        else:
            self.see(maps)
        if self.stop:
            raise StopForward


class Prefix:
    """What does not change between forwards at the same latents, timestep and text, kept from the first of them.

    That is all before block ``first``, and in this block the self-attention before its text-to-video attention, if the
    family has such. So nothing in them may be trained.
    """

    def __init__(self, first: int) -> None:
        self.first = first
        self.inputs: tuple[tuple[Any, ...], dict[str, Any]] | None = None
        self.attended: Any = None


class _Kept(nn.Module):
    """A block whose first inputs are those of every call."""

    def __init__(self, block: nn.Module, prefix: Prefix) -> None:
        super().__init__()
        self.block, self.prefix = block, prefix

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        if self.prefix.inputs is None:
            self.prefix.inputs = args, kwargs
        args, kwargs = self.prefix.inputs
        return self.block(*args, **kwargs)


class _Once(nn.Module):
    """A self-attention whose output is that of its first call."""

    def __init__(self, attention: Any, prefix: Prefix) -> None:
        super().__init__()
        self.attention, self.prefix = attention, prefix

    @torch.compiler.disable  # in a compiled block too: else that is compiled twice, for the first call and the others
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        if self.prefix.attended is None:
            self.prefix.attended = self.attention(*args, **kwargs)
        return self.prefix.attended


class _With(nn.Module):
    """A block in which one part has a stand-in while it runs, also when gradient checkpointing runs it again."""

    def __init__(self, block: nn.Module, owner: Any, name: str, stand_in: Any) -> None:
        super().__init__()
        self.block, self.owner, self.name, self.stand_in = block, owner, name, stand_in

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        original = getattr(self.owner, self.name)
        try:
            setattr(self.owner, self.name, self.stand_in)
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
    see: Callable[[int, Tensor], None] | None = None,
) -> AbstractContextManager[dict[int, MapReader]]:
    """Within the context a forward of the transformer reads the maps of ``blocks`` and ends after the last of them.

    With ``see`` it does not end there: each block's index and maps are handed over, and the output is the stock one.

    Args:
        transformer: A diffusers model.
        name: Where a block's attention is, such as "blocks.{}.attn2".
        reader: The family's processor.
        blocks: Target blocks.
        tokens: Text positions of each of the N objects.
        prefix: Use what it keeps if it has been filled by an earlier forward, else fill it.
        self_attention: Name in a block of the attention before that at ``name``; None if there is no other.
        see: Is shown each block's maps.

    Returns:
        A context that gives the processor of each target block; after the forward its ``maps`` are ``(B, N, S)``,
        unless ``see`` took them. The original processors are back when it ends, however it ends.
    """
    readers = {}
    for b in blocks:
        stop = see is None and b == max(blocks)
        readers[b] = reader(tokens, stop=stop, see=partial(see, b) if see is not None else None)
        readers[b].stand_in_for(transformer.get_submodule(name.format(b)).processor)
    return _reading(transformer, name, readers, prefix, self_attention)


@contextmanager
def _reading(
    transformer: Any,
    name: str,
    processors: dict[int, MapReader],
    prefix: Prefix | None,
    self_attention: str | None,
) -> Iterator[dict[int, MapReader]]:
    """Within the context chosen attentions have our processors; StopForward ends the context quietly.

    The forward is the stock one, ended by an exception that this context swallows: hooks (offloading, LoRA scale,
    gradient checkpointing) keep working and no copy of diffusers' code can fall behind it. Only the list of blocks is
    another one meanwhile. The backward may run after the context. With gradient checkpointing the last target block is
    not computed twice: its activations are needed first, so dropping them would save nothing. Without a processor that
    stops, the forward goes to its end.
    """
    stem, _, rest = name.partition(".{}.")
    originals, last = transformer.get_submodule(stem), max(processors)
    assert prefix is None or prefix.first <= min(processors), "a target block would be left out"
    blocks = list(originals[: last + 1] if processors[last].stop else originals)
    for b, processor in processors.items():
        blocks[b] = _With(originals[b], originals[b].get_submodule(rest), "processor", processor)
    if prefix is not None and self_attention is not None:
        first = originals[prefix.first]
        once = _Once(getattr(first, self_attention), prefix)
        blocks[prefix.first] = _With(blocks[prefix.first], first, self_attention, once)
    if prefix is not None and prefix.first > 0:
        blocks[prefix.first] = _Kept(blocks[prefix.first], prefix)
        blocks = blocks[prefix.first :] if prefix.inputs is not None else blocks
    again = transformer._gradient_checkpointing_func
    try:
        setattr(transformer, stem, nn.ModuleList(blocks))
        transformer._gradient_checkpointing_func = _all_but(blocks[-1], again)
        yield processors
    except StopForward as stop:
        # Its traceback holds the forward's frames, and these hold activations. Seen on a GPU to wait for the garbage
        # collector: 1.7 GiB of Wan 14B, twice that at times.
        traceback.clear_frames(stop.__traceback__)
    finally:
        setattr(transformer, stem, originals)
        transformer._gradient_checkpointing_func = again


def _all_but(last: nn.Module, checkpoint: Callable[..., Any]) -> Callable[..., Any]:
    """diffusers' way to run a block with gradient checkpointing, and the last block without."""
    return lambda block, *inputs: block(*inputs) if block is last else checkpoint(block, *inputs)
