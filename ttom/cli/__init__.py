"""The command line: `ttom generate`, `ttom plan`, `ttom --version`."""

from ttom.cli.app import main

__all__ = ["main"]
