"""`ttom studio` from the loaded model to the last request."""

from __future__ import annotations

import logging
import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from ttom import files
from ttom.errors import SetupError
from ttom.pipeline import TTOM
from ttom.studio.app import Routes, make_app
from ttom.studio.guard import TOKEN_VARIABLE, Access
from ttom.studio.studio import Studio

GRACE_SECONDS = 1.0
"""How long the end waits for answers that are under way, and for the running job."""


@dataclass(frozen=True)
class Address:
    """Where the server listens; port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: int = 7860

    def listen(self) -> socket.socket:
        """An open socket. Raises SetupError if the address cannot be had."""
        if not 0 <= self.port < 2**16:
            raise SetupError(f"`port` is {self.port}", expected="a number from 0 to 65535")
        try:
            kind = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0]
            made = socket.socket(kind[0], socket.SOCK_STREAM)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(kind[4])
            made.listen(128)
        except OSError as error:
            raise SetupError(
                f"cannot listen on {self.host}, port {self.port}: {error.strerror or error}", remedy="another `port`"
            ) from None
        return made


def serve(runner: TTOM, out: Path, address: Address, **options: Any) -> None:
    """Load the model and serve the page until interrupted.

    Args:
        runner: The model.
        out: The run folder, which no other studio may use at the same time.
        address: Where to listen.
        options: Those of `Studio`.

    Raises:
        UserError: For an unknown model, a folder that cannot be written, or an address that cannot be had.
        KeyboardInterrupt: On Ctrl-C.
    """
    files.check_folder(out)
    access = Access.to(address.host, os.environ.get(TOKEN_VARIABLE) or None)
    with address.listen() as listening, files.only_writer(out):
        print(f"loading {runner.model}", flush=True)
        studio = Studio(runner, out, **options)
        routes = Routes(studio)
        server = _Server(routes, make_app(routes, access))
        print(f"studio: {_url(listening, address.host, access)} (Ctrl-C to stop)", flush=True)
        ended = False
        try:
            server.run(sockets=[listening])
        finally:
            ended = studio.close(GRACE_SECONDS)
            if not ended:
                # The worker is inside a long step. Nothing that it may be writing has its final name yet.
                _leave(out)


def _url(listening: socket.socket, host: str, access: Access) -> str:
    name = f"[{host}]" if ":" in host else host
    given = f"${TOKEN_VARIABLE}" if os.environ.get(TOKEN_VARIABLE) else access.token  # a secret stays out of the log
    query = f"?token={given}" if given else ""
    return f"http://{name}:{listening.getsockname()[1]}/{query}"


def _leave(out: Path) -> None:
    """End the process without waiting for its threads."""
    print("ttom: interrupted; no file was left half-written", file=sys.stderr, flush=True)
    sys.stdout.flush()
    (out / files.LOCK).unlink(missing_ok=True)
    os._exit(130)


class _Server(uvicorn.Server):
    """uvicorn's server, which tells the event streams to end when it is to end itself."""

    def __init__(self, routes: Routes, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,
                lifespan="off",
                server_header=False,
                limit_concurrency=200,
                timeout_graceful_shutdown=GRACE_SECONDS,  # type: ignore[arg-type]
                proxy_headers=False,
            )
        )
        self._routes = routes

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._routes.ending = True
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # else it shows each answer that it cuts off
        super().handle_exit(sig, frame)
