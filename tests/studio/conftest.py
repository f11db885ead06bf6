"""A studio on the embedded model, which the tests of a session share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from tests.studio.helpers import PROMPT, URL
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
