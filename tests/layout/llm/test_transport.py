"""The HTTP client for untrusted servers, without the chat on top."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from tests.chat_server import ChatServer, Reply
from ttom.layout.llm.transport import MAX_BODY, BodyRefused, BoundedClient


def post(server: ChatServer) -> httpx2.Response:
    async def send() -> httpx2.Response:
        async with BoundedClient(5.0) as client:
            return await client.post(f"{server.url}/chat/completions", json={"messages": []})

    return asyncio.run(send())


@pytest.mark.parametrize("size", [0, 1, MAX_BODY])
def test_bodies_up_to_the_bound(server: ChatServer, size: int) -> None:
    server.behave = lambda request, number: Reply(b"x" * size)
    response = post(server)
    assert (response.status_code, len(response.content)) == (200, size)
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize("status", [200, 404, 503])
def test_one_byte_more_is_refused(server: ChatServer, status: int) -> None:
    server.behave = lambda request, number: Reply(b"x" * (MAX_BODY + 1), status)
    with pytest.raises(BodyRefused, match="more than"):
        post(server)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, identity"])
def test_compression_is_refused(server: ChatServer, encoding: str) -> None:
    server.behave = lambda request, number: Reply(b"x", headers={"Content-Encoding": encoding})
    with pytest.raises(BodyRefused, match="compressed"):
        post(server)
    assert server.requests[0].headers["accept-encoding"] == "identity"


def test_redirects_come_back_as_they_are(server: ChatServer) -> None:
    server.behave = lambda request, number: Reply({}, 307, {"Location": "http://127.0.0.1:9/"})
    assert post(server).status_code == 307
