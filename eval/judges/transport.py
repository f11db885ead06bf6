"""An OpenAI client for servers that nobody vouches for: bounded replies and time, no redirects, no compression."""

from __future__ import annotations

import time
from typing import Any

from eval.judges.options import VlmOptions
from ttom.config import PlannerConfig
from ttom.errors import SetupError, UserError, cut_short

MAX_BODY = 4_000_000
"""Bytes of one response."""
_SETUP = {
    401: "does not accept the key",
    403: "does not accept the key for this",
    404: "does not know the model, or the address",
    405: "does not speak chat completions",
}


def make_client(options: VlmOptions) -> Any:
    """The client. Raises SetupError: the package openai is missing, or the address or the key cannot be used."""
    try:
        import openai
    except ImportError:
        raise SetupError(
            "the judge vlm needs the package openai, which is not installed", remedy='pip install "ttom[eval]"'
        ) from None
    address, key = _endpoint(options)
    # Its own timeout restarts with every byte; the deadline does not.
    http = _bounded(openai)(timeout=options.timeout)
    return openai.OpenAI(
        api_key=key or "none",
        base_url=address,
        timeout=options.timeout,
        max_retries=options.retries,
        http_client=http,
    )


def reason_of(error: Exception, options: VlmOptions) -> str:
    """Why a request failed, in a few words that can be counted.

    Raises:
        SetupError: No other request would fare better.
    """
    import openai

    address, _ = _endpoint(options)
    if isinstance(error, openai.APIStatusError):
        message = _redacted(str(getattr(error, "message", error)), options)
        if error.status_code in _SETUP:
            raise SetupError(
                f"the endpoint {address} {_SETUP[error.status_code]} ({error.status_code}: {message})",
                expected=f"a key in {options.key_variable}, a model that is served there, an address that ends in /v1",
            ) from None
        if error.status_code in (400, 422) and any(word in message for word in ("temperature", "seed", "max_tokens")):
            raise SetupError(
                f"the model {options.model} refuses a parameter: {message}",
                remedy="`vlm.plain`, which sends neither temperature nor seed",
            ) from None
        return f"the server answers {error.status_code}"
    if isinstance(error, openai.APITimeoutError):
        return f"no reply within {options.timeout:g} s"
    if isinstance(error, openai.APIConnectionError):
        if type(error.__cause__).__name__ == "ConnectError":
            raise SetupError(
                f"nothing answers at {address}", expected="a server that speaks OpenAI's chat completions"
            ) from None
        return "the connection breaks"
    return _redacted(str(error), options)


def _endpoint(options: VlmOptions) -> tuple[str, str | None]:
    from ttom.layout.llm.chat import endpoint

    config = PlannerConfig(base_url=options.base_url, key_variable=options.key_variable)
    try:
        return endpoint(config)
    except UserError as error:
        raise SetupError(error.problem, expected="an address that ends in /v1, and the key it wants") from None


def _redacted(text: str, options: VlmOptions) -> str:
    """One short line without the key."""
    _, key = _endpoint(options)
    return cut_short(" ".join((text.replace(key, "[key]") if key else text).split()), 160)


def _bounded(openai: Any) -> Any:
    """The class of the HTTP client; made late, since its base is that of an optional package."""

    class Refused(openai.OpenAIError):  # this base, so that the client passes it on and does not try again
        """A response that is too long, too slow or compressed."""

    class Bounded(openai.DefaultHttpxClient):
        def __init__(self, timeout: float) -> None:
            super().__init__(timeout=timeout, follow_redirects=False, headers={"Accept-Encoding": "identity"})
            self._longest = timeout

        def send(self, request: Any, *, stream: bool = False, **rest: Any) -> Any:
            deadline = time.monotonic() + self._longest
            response = super().send(request, stream=True, **rest)
            try:
                if response.headers.get("content-encoding", "identity").lower() != "identity":
                    raise Refused("a compressed reply")
                body = bytearray()
                for chunk in response.iter_raw():
                    body += chunk
                    if len(body) > MAX_BODY:
                        raise Refused("a reply that is too long")
                    if time.monotonic() > deadline:
                        raise Refused(f"no reply within {self._longest:g} s")
            finally:
                response.close()
            kind = type(response)
            return kind(response.status_code, headers=response.headers, content=bytes(body), request=request)

    return Bounded
