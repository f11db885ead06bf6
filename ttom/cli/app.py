"""Read the arguments, run the command, turn errors into messages and exit codes.

Exit codes: 0 done, 1 a bug of ours (with its traceback), 2 bad input, 130 interrupted with Ctrl-C, SIGTERM or SIGHUP,
141 the reader of our output went away.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import tyro

import ttom
from ttom.checkpoints.probe_file import resolve_blocks
from ttom.cli.arguments import Generate, Plan, PlannerOptions, Stream, Studio
from ttom.cli.exits import BAD_INPUT, complain, exit_code
from ttom.cli.memory import MemoryCommand
from ttom.cli.models import Models
from ttom.cli.plugins import import_plugins
from ttom.config import PlannerConfig, Settings
from ttom.presets import DEFAULT_MODEL, find_preset, preset_for


@dataclass(frozen=True)
class Memory:
    """Look after a memory: show, check, repair, calibrate, merge, prune, export, delete and share its entries."""

    command: tyro.conf.OmitSubcommandPrefixes[MemoryCommand]


Command = Generate | Stream | Plan | Memory | Models | Studio
CLOSED_PIPE = 141
_PLACES = (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.EROFS, errno.ENOSPC)
"""What the system may say of a place that the user named, wherever we meet it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``ttom`` with these arguments (the process's own if None); returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments == ["--version"]:
        print(f"ttom {ttom.__version__}")
        return 0

    def work() -> int:
        _run(_resolved(parse(arguments)))
        return 0

    try:
        return exit_code("ttom", work, "no file was left half-written")
    except BrokenPipeError:
        # The reader (`| head`, a pager) has seen enough. Python would complain again when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED_PIPE
    except OSError as error:
        if error.errno not in _PLACES:
            raise
        where = f"cannot use {error.filename}" if error.filename is not None else "cannot write"
        complain("ttom", f"{where}: {error.strerror}\ntry: another file or folder")
        return BAD_INPUT


def _resolved(command: Command) -> Command:
    """With the probe's blocks for --tto.blocks auto."""
    if isinstance(command, Generate | Stream):
        return replace(command, settings=resolve_blocks(command.settings, command.model))
    return command


def _run(command: Command) -> None:
    # Imported late: --help and usage errors need neither torch nor diffusers.
    if isinstance(command, Generate | Stream | Studio):
        import_plugins(command.plugin)
    if isinstance(command, Memory):
        from ttom.cli.memory_commands import run

        run(command.command)
    elif isinstance(command, Models):
        from ttom.cli.models import models

        models(command)
    elif isinstance(command, Plan):
        from ttom.cli.plan import plan

        plan(command)
    elif isinstance(command, Studio):
        from ttom.cli.studio import studio

        studio(command)
    elif isinstance(command, Stream):
        from ttom.cli.stream import stream

        stream(command)
    else:
        from ttom.cli.commands import generate

        generate(command)


def parse(arguments: list[str]) -> Command:
    """The command with its settings; exits with code 2 on wrong usage, 0 after --help."""
    settings = default_settings(arguments)
    settings = replace(settings, planner=PlannerOptions.of(settings.planner))
    generate = tyro.conf.subcommand("generate", default=Generate(prompt=tyro.MISSING, settings=settings))
    stream = tyro.conf.subcommand("stream", default=Stream(prompts=tyro.MISSING, settings=settings))
    command: Command = tyro.cli(
        Annotated[Generate, generate]
        | Annotated[Stream, stream]
        | Annotated[Plan, tyro.conf.subcommand("plan")]
        | Annotated[Memory, tyro.conf.subcommand("memory")]
        | Annotated[Models, tyro.conf.subcommand("models")]
        | Annotated[Studio, tyro.conf.subcommand("studio")],
        prog="ttom",
        description="Text-to-video that follows a layout. `ttom --version` prints the version.",
        args=arguments,
    )
    if isinstance(command, Generate | Stream):
        return replace(command, settings=replace(command.settings, planner=_plain(command.settings.planner)))
    return replace(command, planner=_plain(command.planner)) if isinstance(command, Plan | Studio) else command


def _plain(planner: PlannerConfig) -> PlannerConfig:
    return planner.plain() if isinstance(planner, PlannerOptions) else planner


def default_settings(arguments: list[str]) -> Settings:
    """Settings of the preset that --preset or --model choose: the defaults of all other options, also in --help.

    Raises:
        UserError: There is no such preset.
    """
    scout = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    scout.add_argument("--preset", default=None)
    scout.add_argument("--model", default=DEFAULT_MODEL)
    try:
        found, _ = scout.parse_known_args(arguments)
    except (argparse.ArgumentError, SystemExit):  # an option without its value: tyro says so
        return find_preset(preset_for(DEFAULT_MODEL))()
    return find_preset(preset_for(found.model) if found.preset is None else found.preset)()
