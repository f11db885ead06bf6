"""Studios on the embedded model, which the tests of a session share: one in this process, and one for the browser."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.studio.helpers import PROMPT, URL
from tests.studio.visit import ROOT, Visit
from ttom.config import MemoryConfig
from ttom.layout.model import Layout
from ttom.pipeline import TTOM
from ttom.studio.app import Routes, make_app
from ttom.studio.guard import Access
from ttom.studio.studio import Studio


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    folder = tmp_path_factory.mktemp("studio")
    memory = replace(MemoryConfig(), path=str(folder / "memory"))
    made = Studio(TTOM("emojiworld-wan", device="cpu"), folder / "runs", memory=memory)
    yield made
    assert made.close(60)


@pytest.fixture(scope="session")
def client(studio: Studio) -> TestClient:
    return TestClient(make_app(Routes(studio), Access()), base_url=URL)


@pytest.fixture(scope="session")
def layout(client: TestClient) -> Layout:
    answer = client.post("/api/plan", json={"prompt": PROMPT})
    return Layout.model_validate(answer.json()["layout"])


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`ttom studio` on a free port."""
    folder = tmp_path_factory.mktemp("studio")
    command = [sys.executable, "-m", "ttom", "studio", "--port", "0", "--out", str(folder / "runs")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [*command, "--memory.path", str(folder / "memory")],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "http://" in line:
                break
        else:
            raise AssertionError("".join(lines))
        threading.Thread(target=process.stdout.read, daemon=True).start()  # a full pipe would stop the server
        yield "http://" + lines[-1].split("http://")[1].split()[0]
        process.send_signal(signal.SIGINT)
        process.wait(20)


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Visit]:
    visit = Visit(browser, address)
    yield visit
    visit.context.close()
    assert visit.troubles == []
