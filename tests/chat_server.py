"""A real HTTP server on loopback that speaks chat completions, good answers by default and whatever a test wants."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ttom.layout.llm.planner import stage_text

STAGES = ("enrich", "metadata", "check-metadata", "layout", "check-layout", "one-call")
Objects = list[tuple[str, str]]
"""(phrase, noun) of each object."""


@dataclass
class Reply:
    """What the server sends: a status, a body (JSON unless a string or bytes), headers; or it hangs, sends a byte now
    and then, sends the body over and over, or resets.
    """

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hang: float = 0.0
    drip: float = 0.0
    reset: bool = False
    endless: bool = False


@dataclass(frozen=True)
class Request:
    """One request as the server saw it."""

    body: dict[str, Any]
    headers: dict[str, str]

    @property
    def stage(self) -> str:
        system = self.body["messages"][0]["content"]
        return next(stage for stage in STAGES if system.startswith(stage_text(stage)))

    @property
    def data(self) -> dict[str, Any]:
        """The JSON of the first user message."""
        return json.loads(self.body["messages"][1]["content"])

    @property
    def repair(self) -> int:
        """How many times an earlier answer was sent back."""
        return sum(message["role"] == "assistant" for message in self.body["messages"])

    @property
    def form(self) -> str | None:
        return self.body.get("response_format", {}).get("type")


Behavior = Callable[[Request, int], "Reply | str | dict[str, Any] | None"]


def completion(content: str | None, *, finish: str = "stop", refusal: str | None = None) -> dict[str, Any]:
    """The body of a chat completion with this text."""
    message = {"role": "assistant", "content": content, "refusal": refusal}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "served",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
    }


def metadata(objects: Objects) -> dict[str, Any]:
    return {"objects": [{"id": str(i), "phrase": p, "noun": n} for i, (p, n) in enumerate(objects, start=1)]}


def frames(ids: list[str], canvas: dict[str, int]) -> dict[str, Any]:
    """Each object in a row of its own, moving to the right."""
    width, height = canvas["width"], canvas["height"]
    boxes = [
        [
            {"id": name, "x": 0.1 * width * k, "y": height * row / len(ids), "width": 0.3 * width,
             "height": 0.8 * height / len(ids)}
            for row, name in enumerate(ids)
        ]
        for k in range(6)
    ]  # fmt: skip
    return {"object_motion": "To the right.", "camera_motion": "Still.", "frames": [{"boxes": row} for row in boxes]}


def good_answer(request: Request, objects: Objects) -> dict[str, Any]:
    """What a perfect model would say."""
    data, stage = request.data, request.stage
    if stage == "enrich":
        return {"prompt": f"{data['prompt']}, in the golden light of a calm evening."}
    if stage in ("metadata", "check-metadata"):
        return metadata(objects)
    if stage == "check-layout":
        return data["layout"]
    listed = data.get("objects") or metadata(objects)["objects"]
    answer = frames([item["id"] for item in listed], data["canvas"])
    return answer | metadata(objects) if stage == "one-call" else answer


CANVAS = {"width": 720, "height": 480}
GOOD = {"object_motion": "", "camera_motion": "", **metadata([("red balloon", "balloon")])}


def one_call(**changes: Any) -> dict[str, Any]:
    return {**GOOD, **frames(["1"], CANVAS), **changes}


def moved(box: dict[str, float], first: int = 0, last: int = 5) -> list[dict[str, Any]]:
    """Frames with another box in some of them."""
    rows = frames(["1"], CANVAS)["frames"]
    return [{"boxes": [{**row["boxes"][0], **box}]} if first <= k <= last else row for k, row in enumerate(rows)]


class ChatServer:
    """The server: what it was asked, and how it answers.

    Attributes:
        url: Address to use as base_url.
        requests: All requests so far.
        sent: Bytes of endless bodies so far.
        objects: What the default answers find in any prompt.
        behave: Called with a request and its number from 0; None gives the default answer.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.sent = 0
        self.objects: Objects = [("red balloon", "balloon")]
        self.behave: Behavior = lambda request, number: None
        self.running = self.most_running = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                server._answer(self)

            def do_GET(self) -> None:
                server._send(self, Reply("<html>hello</html>", headers={"Content-Type": "text/html"}))

            def log_message(self, *arguments: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._stop.set()
        self._http.shutdown()
        self._http.server_close()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers["Content-Length"])
        request = Request(
            json.loads(handler.rfile.read(length)), {name.lower(): value for name, value in handler.headers.items()}
        )
        with self._lock:
            number = len(self.requests)
            self.requests.append(request)
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        try:
            if not handler.path.endswith("/v1/chat/completions"):
                reply: Any = Reply({"error": {"message": "no such path"}}, 404)
            else:
                reply = self.behave(request, number)
            if reply is None:
                reply = good_answer(request, self.objects)
            if not isinstance(reply, Reply):
                reply = Reply(completion(reply if isinstance(reply, str) else json.dumps(reply)))
            self._send(handler, reply)
        finally:
            with self._lock:
                self.running -= 1

    def _send(self, handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        if reply.hang:
            self._stop.wait(reply.hang)
        if reply.reset:  # closed without a word: the client sees a broken connection
            handler.close_connection = True
            return
        body = reply.body if isinstance(reply.body, str | bytes) else json.dumps(reply.body)
        body = body.encode() if isinstance(body, str) else body
        try:
            handler.send_response(reply.status)
            for name, value in ({"Content-Type": "application/json"} | reply.headers).items():
                handler.send_header(name, value)
            if not reply.endless:
                handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            if reply.drip:
                while body and not self._stop.wait(reply.drip):
                    handler.wfile.write(body[:1])
                    body = body[1:]
            while reply.endless and not self._stop.is_set():
                handler.wfile.write(body)
                self.sent += len(body)
            handler.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):  # the client has given up
            pass


@contextmanager
def serving() -> Iterator[ChatServer]:
    server = ChatServer()
    try:
        yield server
    finally:
        server.close()
