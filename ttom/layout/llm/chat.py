"""Chat completions of any OpenAI-compatible endpoint, with failures sorted into two kinds of error."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from ttom.config import PlannerConfig, is_plain_address
from ttom.errors import SetupError, cut_short
from ttom.layout.llm.answers import response_schema
from ttom.layout.report import PlannerReport

if TYPE_CHECKING:
    import openai

OPENAI_URL = "https://api.openai.com/v1"
MODES = ("json_schema", "json_object", "text")
"""Ways to ask for JSON, best first; a server that refuses one is asked in the next, also in later requests."""
MAX_OUTPUT_TOKENS = 16_384
"""Bound of an answer: 48 objects in six frames with room for reasoning. Halved where a server's context is smaller."""
_LEAST_OUTPUT_TOKENS = 1_024
_BOUNDS = ("max_completion_tokens", "max_tokens")  # of the bound; older servers know the second name only
_BOUND_TOO_LARGE = ("too large", "too long", "context", "at most", "less than", "exceed")
_MODE_REFUSED = (400, 415, 422, 501)  # what servers answer to a response_format that they do not know
_MODE_WORDS = ("response_format", "json_schema", "json_object", "grammar")
_SETUP_STATUS = {
    **dict.fromkeys((301, 302, 303, 307, 308), "sends the prompt on to another address, which is not followed"),
    401: "does not accept the key",
    403: "does not accept the key for this",
    404: "does not know the model, or the address",
    405: "does not speak chat completions",
}
Message = dict[str, str]


class PlanFailure(Exception):
    """One prompt's plan failed for a reason that need not meet the next prompt. Never leaves the planner.

    Attributes:
        report: What was spent until then.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.report = PlannerReport(planner="llm")


@dataclass
class Usage:
    """Requests (the client's further tries of one are not counted) and tokens; 0 tokens where servers do not say."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def cost(self, config: PlannerConfig) -> float | None:
        """US dollars; None without prices."""
        if config.input_price is None or config.output_price is None:
            return None
        return (self.input_tokens * config.input_price + self.output_tokens * config.output_price) / 1e6


class Chat:
    """A connection; use as an async context manager.

    Raises SetupError when made: no package openai, no key, or no usable address.
    """

    def __init__(self, config: PlannerConfig) -> None:
        try:
            import openai
        except ImportError:
            raise SetupError(
                "the LLM planner needs the package openai, which is not installed",
                expected="the extra llm",
                remedy='pip install "ttom[llm]", or `planner.kind=rules`',
            ) from None
        from ttom.layout.llm.transport import BodyRefused, BoundedClient

        self._refused = BodyRefused
        self._openai, self._config = openai, config
        self.url, self._key = endpoint(config)
        self.mode = 0
        self._temperature = config.temperature
        self._bound, self._max_tokens = 0, MAX_OUTPUT_TOKENS
        self._answered = False  # by a server at this address, in whatever way
        self._dead = ""  # why nothing answers there; other prompts then need not wait for the same
        self._client = openai.AsyncOpenAI(
            api_key=self._key or "none",
            base_url=self.url,
            timeout=config.timeout,
            max_retries=config.retries,
            http_client=BoundedClient(config.timeout),
        )

    async def __aenter__(self) -> Chat:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._client.close()

    @property
    def mode_name(self) -> str:
        return MODES[self.mode]

    async def ask(self, messages: list[Message], answer: type[BaseModel], usage: Usage) -> str:
        """The text of the answer. The client itself waits and asks again after 429, 5xx and broken connections.

        Raises:
            SetupError: a key, model or address that cannot work, whatever the prompt.
            PlanFailure: no server is there, or it went on failing, refused, or sent too much.
        """
        while True:
            if self._dead:
                raise PlanFailure(self._dead)
            request = self._request(messages, answer)
            mode = self.mode
            try:
                usage.requests += 1
                reply = await self._client.chat.completions.create(**request)
            except self._openai.APIStatusError as error:
                self._answered = True
                if not self._step_down(error, mode, request):
                    raise self._status_error(error) from None
            except self._openai.APIConnectionError as error:
                raise self._connection_error(error) from None
            except self._refused as error:
                raise PlanFailure(f"the server went too far: {error}") from None
            # ValueError, RecursionError: a body that is not JSON, or is too deep for any reader
            except (self._openai.OpenAIError, ValueError, RecursionError) as error:
                raise self._no_chat(str(error)) from None
            else:
                self._answered = True
                return self._text(reply, usage)

    def _request(self, messages: list[Message], answer: type[BaseModel]) -> dict[str, Any]:
        if self.mode_name != "json_schema":  # the server does not see to the form, so the model must
            schema = json.dumps(answer.model_json_schema())
            system = f"{messages[0]['content']}\n\nThe answer's JSON schema: {schema}"
            messages = [{**messages[0], "content": system}, *messages[1:]]
        request: dict[str, Any] = {"model": self._config.model, "messages": messages, "stream": False}
        request[_BOUNDS[self._bound]] = self._max_tokens
        if self._temperature is not None:
            request["temperature"] = self._temperature
        if self.mode_name == "json_schema":
            request["response_format"] = response_schema(answer)
        elif self.mode_name == "json_object":
            request["response_format"] = {"type": "json_object"}
        return request

    def _step_down(self, error: openai.APIStatusError, mode: int, request: dict[str, Any]) -> bool:
        """Whether asking in a plainer way may help: another name of the bound or a lower one, without the temperature,
        or in the next mode.

        Another prompt's request may have stepped down meanwhile; then it is enough to ask again.
        """
        message = str(error).lower()
        if error.status_code in _MODE_REFUSED:
            if any(name in message for name in _BOUNDS) and self._step_down_bound(message, request):
                return True
            if "temperature" in message and "temperature" in request:
                self._temperature = None
                return True
        named = any(word in message for word in _MODE_WORDS)
        if mode == len(MODES) - 1 or not (error.status_code in _MODE_REFUSED or named):
            return False
        self.mode = max(self.mode, mode + 1)
        return True

    def _step_down_bound(self, message: str, request: dict[str, Any]) -> bool:
        """Whether the server may take a lower bound, or the bound under its old name."""
        name = next(name for name in _BOUNDS if name in request)
        if any(words in message for words in _BOUND_TOO_LARGE):
            lower = request[name] // 2
            self._max_tokens = min(self._max_tokens, max(lower, _LEAST_OUTPUT_TOKENS))
            return lower >= _LEAST_OUTPUT_TOKENS
        self._bound = len(_BOUNDS) - 1
        return name != _BOUNDS[-1]

    def _text(self, reply: Any, usage: Usage) -> str:
        """The answer's text; the client checks no types, so this does."""
        for name, field in (("input_tokens", "prompt_tokens"), ("output_tokens", "completion_tokens")):
            tokens = getattr(getattr(reply, "usage", None), field, None)
            if isinstance(tokens, int):
                setattr(usage, name, getattr(usage, name) + tokens)
        choices = getattr(reply, "choices", None)
        choice = choices[0] if isinstance(choices, list) and choices else None
        message = getattr(choice, "message", None)
        text = getattr(message, "content", None) or ""
        refusal = getattr(message, "refusal", None)
        if message is None or not isinstance(text, str):
            raise self._no_chat(f"its answer has no message of text: {str(reply)[:80]!r}")
        if refusal or getattr(choice, "finish_reason", None) == "content_filter":
            raise PlanFailure(f"the model refused: {self.redact(str(refusal or 'content filter'))}")
        return text.encode("utf-8", "replace").decode()  # JSON can spell half a character, which could not be sent back

    def _status_error(self, error: openai.APIStatusError) -> Exception:
        status, message = error.status_code, self.redact(_server_words(error))
        what = _SETUP_STATUS.get(status)
        if status == 429 and getattr(error, "code", None) == "insufficient_quota":
            what = "has no credit left for this key"
        if what is None:
            return PlanFailure(f"the server answered {status}: {message}")
        return SetupError(
            f"the endpoint {self.url} {what} ({status}: {message})",
            expected=f"a key in {self._config.key_variable}, a model that is served there, an address that ends in /v1",
            remedy="`planner.model=NAME`, `planner.base_url=URL`, or `planner.kind=rules`",
        )

    def _connection_error(self, error: openai.APIConnectionError) -> Exception:
        cause = self.redact(str(error.__cause__ or error)) or type(error.__cause__ or error).__name__
        never_connected = type(error.__cause__).__name__ in ("ConnectError", "ConnectTimeout")
        if never_connected and not self._answered:
            self._dead = f"nothing answers at {self.url} ({cause})"
            return PlanFailure(self._dead)
        if isinstance(error, self._openai.APITimeoutError):
            return PlanFailure(f"the server kept silent for {self._config.timeout:g} s")
        return PlanFailure(f"the connection broke: {cause}")

    def _no_chat(self, problem: str) -> SetupError:
        return SetupError(
            f"the endpoint {self.url} does not speak chat completions ({self.redact(problem)})",
            expected="an OpenAI-compatible address, which usually ends in /v1",
            remedy="`planner.base_url=URL`, or `planner.kind=rules`",
        )

    def redact(self, text: str) -> str:
        """The text on one line, cut short, without the key and without what a terminal would obey."""
        if self._key:
            text = text.replace(self._key, "[key]")
        printable = "".join(character if character.isprintable() else " " for character in text[:10_000])
        return cut_short(" ".join(printable.split()), 200)


def endpoint(config: PlannerConfig) -> tuple[str, str | None]:
    """(address, key) of the settings and the environment.

    Raises:
        SetupError: OpenAI's own address without a key, a key that no HTTP header can hold, or OPENAI_BASE_URL that is
            no plain address.
    """
    url = (config.base_url or os.environ.get("OPENAI_BASE_URL", "").strip() or OPENAI_URL).rstrip("/")
    key = os.environ.get(config.key_variable, "").strip() or None
    if not is_plain_address(url):
        raise SetupError(
            "OPENAI_BASE_URL is not a plain http address",
            expected="http://HOST:PORT/v1 or https://..., without user name, password or query",
            remedy="`planner.base_url=URL`",
        )
    if key is None and url == OPENAI_URL:
        raise SetupError(
            f"there is no key for {url}: the environment variable {config.key_variable} is not set",
            expected=f"the key in {config.key_variable}, or an endpoint of your own, which may need none",
            remedy=f"export {config.key_variable}=..., or `planner.base_url=URL`, or `planner.kind=rules`",
        )
    if key is not None and not (key.isascii() and key.isprintable()):
        raise SetupError(
            f"the key in {config.key_variable} has characters that no key has",
            expected="printable ASCII characters",
            remedy=f"export {config.key_variable} again",
        )
    return url, key


def _server_words(error: openai.APIStatusError) -> str:
    """What the server said, without the client's wrapping."""
    body = error.body
    if isinstance(body, dict):
        return str(body.get("message") or body.get("detail") or body)
    return str(body or error.message)
