"""`ttom studio`: the page in a browser."""

from __future__ import annotations

import importlib.util

from ttom.cli.arguments import Studio
from ttom.cli.commands import check_out, hush_libraries
from ttom.errors import SetupError
from ttom.pipeline import TTOM


def studio(command: Studio) -> None:
    """Run `ttom studio` until Ctrl-C.

    Raises:
        UserError: The extra is not installed, the model cannot be loaded, or the folder or the address cannot be had.
    """
    missing = [name for name in ("starlette", "uvicorn", "python_multipart") if importlib.util.find_spec(name) is None]
    if missing:
        raise SetupError(f"`ttom studio` needs {', '.join(missing)}", remedy='pip install "ttom[studio]"')
    check_out(command.out)
    hush_libraries()
    from ttom.studio.server import Address, serve

    runner = TTOM(command.model, device=command.device, dtype=command.dtype, runtime=command.runtime)
    options = {"memory": command.memory, "planner": command.planner, "check": command.check}
    serve(runner, command.out, Address(command.host, command.port), **options)
