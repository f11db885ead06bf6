"""A vision language model behind any OpenAI-compatible endpoint (vLLM, SGLang, Ollama, OpenAI ...) plays dialogues.

Pictures travel as PNG in data URLs. Requests, replies, tries, time and cost are bounded; a request that fails leaves
its question open for another time, while a refusal is an answer.
"""

from __future__ import annotations

import base64
import io
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
from PIL import Image

from eval.judges.options import JudgeOptions, VlmOptions
from eval.judges.protocol import Reply, Video, refused, version_of
from eval.judges.transport import make_client, reason_of
from eval.judges.video import VideoError
from eval.metrics.dialogues import Choice, Turn, find_dialogue, read_option, with_options
from eval.types import Question
from ttom.errors import SetupError, UserError

Message = dict[str, Any]
_COLUMNS = 2
_MAX_TURNS = 64
"""Of one dialogue; a longer one never ends."""
_FAILURES_IN_A_ROW = 10
"""After so many videos without any reply, the server is at fault."""


class _ModelRefuses(Exception):
    """The model will not answer, or a filter stops it."""


@dataclass
class _Conversation:
    """A dialogue that is being played: what the model has seen, its replies, and what they cost."""

    messages: list[Message] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    cost: float | None = None


class VlmJudge:
    """See `Judge`.

    Raises:
        SetupError: No model was named, or the endpoint cannot be used.
    """

    kinds = frozenset({"dialogue"})

    def __init__(self, options: VlmOptions) -> None:
        if not options.model:
            raise SetupError(
                "no vision language model was named",
                expected="the name of a model at the endpoint",
                remedy="`vlm.model=NAME`",
            )
        if options.budget is not None and None in (options.input_price, options.output_price):
            raise SetupError("`vlm.budget` needs the prices `vlm.input_price` and `vlm.output_price`")
        if options.concurrency < 1:
            raise SetupError(f"`vlm.concurrency` is {options.concurrency}", expected="at least 1")
        self.name, self.workers = f"vlm-{options.model}", options.concurrency
        self.version = version_of(options.model, options.plain, options.max_tokens, options.max_side, 1)
        self._options = options
        self._client = make_client(options)
        self._lock = threading.Lock()
        self._spent, self._failures = 0.0, 0

    def answer(self, video: Video, questions: Sequence[Question]) -> Iterator[Reply]:
        for question in questions:
            started, conversation = time.monotonic(), _Conversation()
            try:
                value = self._play(question, video.pictures, conversation)
            except _ModelRefuses as error:
                value = refused(f"the model refuses: {error}")
            yield Reply(question, value, time.monotonic() - started, conversation.cost)

    def _play(self, question: Question, pictures: np.ndarray, conversation: _Conversation) -> Any:
        dialogue = find_dialogue(question.text)
        if dialogue is None:
            return refused(f"unknown dialogue {question.text}")
        turns = dialogue(question.options["facts"], len(pictures))
        choice: Choice = None
        try:
            turn = next(turns)
            for _ in range(_MAX_TURNS):
                choice = self._take(turn, question, pictures, conversation)
                turn = turns.send(choice)
        except StopIteration as end:
            return {"choices": end.value, "replies": conversation.replies}
        raise RuntimeError(f"the dialogue {question.text} does not end")

    def _take(self, turn: Turn, question: Question, pictures: np.ndarray, conversation: _Conversation) -> Choice:
        """Ask one turn; returns what was read off the reply."""
        if turn.show:
            conversation.messages = []
        text = with_options(turn.text, turn.options) if turn.options else turn.text
        content: list[Message] = [{"type": "text", "text": text}]
        if turn.show:
            shown = [pictures[i] for i in turn.show]
            content += [self._picture(picture) for picture in ([_grid(shown)] if turn.as_grid else shown)]
        message = {"role": "user", "content": content}
        reply = self._ask([*conversation.messages, message], question, conversation)
        conversation.replies.append(reply)
        if turn.keep:
            conversation.messages += [message, {"role": "assistant", "content": reply}]
        return read_option(reply, turn.options) if turn.options else None

    def _ask(self, messages: list[Message], question: Question, conversation: _Conversation) -> str:
        import openai

        options = self._options
        with self._lock:
            if options.budget is not None and self._spent >= options.budget:
                raise UserError(
                    f"the budget of {options.budget:g} US dollars is spent",
                    remedy="run it again with a larger budget; the answers so far are kept",
                )
        request: dict[str, Any] = {"model": options.model, "messages": messages, "stream": False}
        if options.plain:
            request["max_completion_tokens"] = options.max_tokens
        else:
            request |= {"max_tokens": options.max_tokens, "temperature": question.options["temperature"]}
            request["seed"] = question.options["seed"]
        try:
            completion = self._client.chat.completions.create(**request)
        except openai.OpenAIError as error:
            self._failed(reason_of(error, options))
        except (ValueError, RecursionError):  # a body that is not JSON, or is too deep for any reader
            self._failed("the server's answer is not JSON")
        self._pay(completion, conversation)
        text = self._text(completion)
        with self._lock:
            self._failures = 0
        return text

    def _failed(self, reason: str) -> NoReturn:
        with self._lock:
            self._failures += 1
            if self._failures >= _FAILURES_IN_A_ROW:
                raise SetupError(
                    f"{self._failures} requests in a row have failed: {reason}",
                    remedy="run it again when the server works; the answers so far are kept",
                )
        raise VideoError(reason)

    def _pay(self, completion: Any, conversation: _Conversation) -> None:
        options = self._options
        if options.input_price is None or options.output_price is None:
            return
        tokens = [
            count if isinstance(count := getattr(getattr(completion, "usage", None), name, None), int) else 0
            for name in ("prompt_tokens", "completion_tokens")
        ]
        cost = (tokens[0] * options.input_price + tokens[1] * options.output_price) / 1e6
        conversation.cost = (conversation.cost or 0.0) + cost
        with self._lock:
            self._spent += cost

    def _text(self, completion: Any) -> str:
        choices = getattr(completion, "choices", None)
        choice = choices[0] if isinstance(choices, list) and choices else None
        message = getattr(choice, "message", None)
        if message is None:
            self._failed("the server's answer is not a chat completion")
        if getattr(message, "refusal", None) or getattr(choice, "finish_reason", None) == "content_filter":
            raise _ModelRefuses("refusal or content filter")
        text = getattr(message, "content", None)
        # JSON can spell half a character, which could not be sent back.
        return text.encode("utf-8", "replace").decode() if isinstance(text, str) else ""

    def _picture(self, picture: np.ndarray) -> Message:
        image = Image.fromarray(picture)
        image.thumbnail((self._options.max_side, self._options.max_side))
        file = io.BytesIO()
        image.save(file, "PNG")
        address = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
        return {"type": "image_url", "image_url": {"url": address}}


def make(options: JudgeOptions) -> VlmJudge:
    return VlmJudge(options.vlm)


def _grid(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures in rows of two."""
    rows = [np.concatenate(pictures[i : i + _COLUMNS], axis=1) for i in range(0, len(pictures), _COLUMNS)]
    return np.concatenate([row for row in rows if row.shape == rows[0].shape], axis=0)
