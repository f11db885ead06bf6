"""What the tests of the studio share."""

from __future__ import annotations

import time
from typing import Any

from starlette.testclient import TestClient

URL = "http://127.0.0.1"
PROMPT = "A balloon moves from left to right above a house"
FINAL = ("done", "cancelled", "failed")
__test__ = False


def wait(client: TestClient, id_: str, seconds: float = 120) -> dict[str, Any]:
    """The run once it has ended."""
    return wait_until(client, id_, lambda run: run["state"] in FINAL, seconds)


def wait_until(client: Any, id_: str, ready: Any, seconds: float = 120) -> dict[str, Any]:
    """The run once it is as wanted."""
    end = time.monotonic() + seconds
    while True:
        run: dict[str, Any] = client.get(f"/api/runs/{id_}").json()
        if ready(run):
            return run
        assert time.monotonic() < end, run
        time.sleep(0.02)
