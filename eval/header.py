"""What all videos of a run share: its settings as resolved, and the header that identifies the run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from eval.arguments import Replay
from eval.planned import digest
from eval.run_memory import memory_digest
from eval.suites import Suite
from eval.types import RunHeader
from ttom import provenance
from ttom.checkpoints.probe_file import resolve_blocks
from ttom.config import Settings
from ttom.errors import SetupError, first_line
from ttom.guidance.registry import find_method
from ttom.identity import settings_hash


def run_settings(command: Replay) -> Settings:
    """The command's settings with the probe's blocks, and with a memory that is only read unless the run streams.

    Raises:
        SetupError: They do not go together.
    """
    settings = resolve_blocks(command.settings, command.model)
    memory = settings.memory
    method = find_method(command.method)
    if command.streaming and not (memory.active and method.learns):
        raise SetupError(
            "`streaming` needs a memory",
            expected="a method that optimizes, with the folder of its memory",
            remedy="`memory.path=DIR`",
        )
    if command.window is not None and (not command.streaming or command.window < 1):
        raise SetupError(f"`window` is {command.window}", expected="with `streaming`, a whole number of at least 1")
    if not method.uses_memory:
        memory = replace(memory, path=None)  # such a method has no use for one
    elif memory.active:
        memory = replace(memory, mode="readwrite" if command.streaming else "read")
    return method.settings(replace(settings, memory=memory))


def make_header(command: Replay, settings: Settings, suite: Suite, arguments: Sequence[str]) -> RunHeader:
    """What all videos of the run share.

    Raises:
        UserError: The model cannot be had, or the memory cannot be read.
    """
    model_digest = _model_digest(command.model)
    memory, window = None, None
    if settings.memory.active:
        memory = memory_digest(memory_folder(settings))
        if memory is None and not command.streaming:
            raise SetupError(
                f"there is no memory in {settings.memory.path}",
                expected="a memory to read",
                remedy="fill one first, or replay with `streaming` to fill it on the way",
            )
    if command.streaming:
        workers = command.devices if isinstance(command.devices, int) else 1
        window = command.window or workers * command.per_device
    runtime = asdict(command.runtime)
    # A streaming run changes its memory, so that going on with it finds another digest.
    state = {"window": window} if command.streaming else {"memory": memory}
    decides = [suite.name, suite.revision, model_digest or command.model, command.method]
    if command.tries > 1:
        decides += [str(command.tries), command.check]
    identity = digest([*decides, settings_hash(settings), command.dtype, runtime, state])
    label = command.method + (" + memory" if settings.memory.active else "")
    label += f", best of {command.tries}" if command.tries > 1 else ""
    return RunHeader(
        label=command.label or label,
        suite=suite.name,
        suite_revision=suite.revision,
        model=command.model,
        model_digest=model_digest,
        method=command.method,
        settings=asdict(settings),
        settings_hash=settings_hash(settings),
        identity=identity,
        memory_digest=memory,
        streaming=command.streaming,
        source=suite.source,
        dtype=command.dtype,
        runtime=runtime,
        window=window,
        dropped=tuple(asdict(dropped) for dropped in suite.dropped),
        provenance=_provenance(arguments),
    )


def memory_folder(settings: Settings) -> Path:
    """The folder of an active memory."""
    assert settings.memory.path is not None
    return Path(os.path.expanduser(settings.memory.path))


def _model_digest(model: str) -> str:
    """Of the weights of a model that `check_loadable` accepts; downloads them first: once, not by every worker."""
    found = provenance.model_digest(model)
    if found is not None:
        return found
    from diffusers import DiffusionPipeline

    try:
        DiffusionPipeline.download(model, use_safetensors=True)
    except Exception as error:  # the Hub client raises its HTTP library's errors too
        raise SetupError(
            f"the model {model!r} cannot be downloaded: {first_line(error)}",
            expected="a diffusers pipeline that exists and can be reached",
            remedy="check the name and the network, or download it and pass the folder",
        ) from error
    return provenance.model_digest(model) or ""


def _provenance(arguments: Sequence[str]) -> dict[str, Any]:
    # The workers compute: each row of the manifest names the device it was made on.
    return {**provenance.environment(), "command": " ".join(["python -m eval.replay", *arguments])}
