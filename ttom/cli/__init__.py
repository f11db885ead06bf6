"""The command line: `ttom generate`, `stream`, `plan`, `memory`, `models`, `studio`."""

from ttom.cli.app import main

__all__ = ["main"]
