"""An HTTP client for untrusted servers: bounded bodies, no compression, no redirects.

Needs the package openai, so import it only where that one is used.
"""

from __future__ import annotations

from typing import Any

import httpx2
import openai

MAX_BODY = 2_000_000
"""Bytes of one response: ten times the longest answer that is read."""


class BodyRefused(openai.OpenAIError):  # this class, so that the openai client passes it on and does not try again
    """The response is longer than `MAX_BODY`, or compressed, so that its length says nothing about its size."""


class BoundedClient(openai.DefaultAsyncHttpxClient):
    """Reads every body, also that of an error, through the bound. Redirects would carry the prompt elsewhere; here they
    are an error status.
    """

    def __init__(self, timeout: float) -> None:
        super().__init__(timeout=timeout, follow_redirects=False, headers={"Accept-Encoding": "identity"})

    async def send(self, request: httpx2.Request, *, stream: bool = False, **options: Any) -> httpx2.Response:
        """Send the request and read the whole response.

        Raises:
            BodyRefused: the body is too long or compressed.
        """
        response = await super().send(request, stream=True, **options)
        try:
            encoding = response.headers.get("content-encoding", "identity")
            if encoding.lower() != "identity":
                raise BodyRefused(f"its answer is compressed ({encoding[:20]}), which was not asked for")
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_BODY:
                    raise BodyRefused(f"its answer has more than {MAX_BODY} bytes")
        finally:
            await response.aclose()
        return httpx2.Response(response.status_code, headers=response.headers, content=bytes(body), request=request)
