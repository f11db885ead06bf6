"""The routes. Reading a request is here; what it means is in studio.py."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from ttom.errors import UserError
from ttom.layout.limits import parse_json
from ttom.layout.model import Layout, layout_of
from ttom.studio import record
from ttom.studio.errors import Refused, as_json, not_found, status_of
from ttom.studio.exchange import Upload, read_canvas
from ttom.studio.guard import Access, Guard
from ttom.studio.record import FINAL, Order
from ttom.studio.studio import Studio

STATIC = Path(__file__).parent / "static"
_TYPES = {
    ".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".png": "image/png",
    ".json": "application/json", ".ico": "image/x-icon", ".txt": "text/plain", ".woff2": "font/woff2",
}  # fmt: skip
_POLL_SECONDS = 0.1
_HEARTBEAT_SECONDS = 15.0


class Routes:
    """The handlers, around one studio."""

    def __init__(self, studio: Studio) -> None:
        self.studio, self.ending = studio, False

    def all(self) -> list[Route]:
        get, post, delete = ["GET"], ["POST"], ["DELETE"]
        run = "/api/runs/{id}"
        return [
            Route("/", self.page, methods=get),
            Route("/static/{name:path}", self.static, methods=get),
            Route("/api/info", self.info, methods=get),
            Route("/api/plan", self.plan, methods=post),
            Route("/api/check", self.check, methods=post),
            Route("/api/import", self.import_, methods=post),
            Route("/api/export", self.export, methods=post),
            Route("/api/runs", self.submit, methods=post),
            Route("/api/runs", self.runs, methods=get),
            Route(run, self.run, methods=get),
            Route(run, self.remove, methods=delete),
            Route(f"{run}/events", self.events, methods=get),
            Route(f"{run}/cancel", self.cancel, methods=post),
            Route(f"{run}/files/{{name}}", self.file, methods=get),
            Route(f"{run}/attention", self.attention, methods=get),
            Route(f"{run}/lora.zip", self.lora, methods=get),
            Route("/api/memory", self.memory, methods=get),
            Route("/api/memory/lookup", self.look_up, methods=post),
            Route("/api/memory/{id}", self.forget, methods=delete),
        ]

    # -- the page -----------------------------------------------------------------------------------------------------

    async def page(self, request: Request) -> Response:
        return _static("index.html")

    async def static(self, request: Request) -> Response:
        return _static(request.path_params["name"])

    async def info(self, request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(self.studio.info))

    # -- layouts ------------------------------------------------------------------------------------------------------

    async def plan(self, request: Request) -> Response:
        body = await _body(request)
        prompt, planner = _text(body, "prompt"), body.get("planner") or "rules"
        return JSONResponse(await run_in_threadpool(self.studio.plan, prompt, str(planner)))

    async def check(self, request: Request) -> Response:
        layout = layout_of((await _body(request)).get("layout"), "the layout")
        return JSONResponse({"problems": await run_in_threadpool(self.studio.problems, layout)})

    async def import_(self, request: Request) -> Response:
        async with request.form(max_files=1, max_fields=10, max_part_size=2**18) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise UserError("the request has no file", expected="a form with the fields file, format and prompt")
            data = await file.read()
            words = {name: str(form.get(name) or "") for name in ("format", "prompt", "canvas")}
        upload = Upload(data, words["format"] or "auto", words["prompt"], read_canvas(words["canvas"]))
        found = await run_in_threadpool(self.studio.import_layout, upload)
        return JSONResponse({"layout": found.layout.model_dump(mode="json"), "notes": list(found.notes)})

    async def export(self, request: Request) -> Response:
        body = await _body(request)
        layout, format_ = layout_of(body.get("layout"), "the layout"), _text(body, "format")
        data, name, kind = await run_in_threadpool(self.studio.export_layout, layout, format_)
        return Response(data, media_type=kind, headers={"content-disposition": f'attachment; filename="{name}"'})

    # -- runs ---------------------------------------------------------------------------------------------------------

    async def submit(self, request: Request) -> Response:
        body = await _body(request)
        layout = _layout(body)
        order = {name: value for name, value in body.items() if name != "layout"}
        try:
            found = Order.model_validate(order)
        except ValidationError as error:
            raise _invalid(error) from None
        id_ = await run_in_threadpool(self.studio.submit, found, layout)
        return JSONResponse({"id": id_}, 202)

    async def runs(self, request: Request) -> Response:
        return JSONResponse({"runs": await run_in_threadpool(self.studio.jobs.views)})

    async def run(self, request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(self.studio.jobs.view, request.path_params["id"]))

    async def remove(self, request: Request) -> Response:
        await run_in_threadpool(self.studio.jobs.remove, request.path_params["id"])
        return JSONResponse({})

    async def cancel(self, request: Request) -> Response:
        id_ = request.path_params["id"]
        await run_in_threadpool(self.studio.jobs.cancel, id_)
        return JSONResponse(await run_in_threadpool(self.studio.jobs.view, id_))

    async def events(self, request: Request) -> Response:
        id_ = request.path_params["id"]
        await run_in_threadpool(self.studio.jobs.view, id_)  # refused before the stream begins
        headers = {"x-accel-buffering": "no"}
        return StreamingResponse(self._news(id_), media_type="text/event-stream", headers=headers)

    async def _news(self, id_: str) -> AsyncIterator[str]:
        """One event for each change, the last one with a final state."""
        seen, told = -1, 0.0
        while not self.ending:
            now = self.studio.jobs.changes(id_)
            if now != seen:
                seen, told = now, time.monotonic()
                view = await run_in_threadpool(self.studio.jobs.view, id_)
                yield f"data: {json.dumps(view)}\n\n"
                if view["state"] in FINAL:
                    return
            elif time.monotonic() - told > _HEARTBEAT_SECONDS:
                told = time.monotonic()
                yield ": still here\n\n"
            await asyncio.sleep(_POLL_SECONDS)

    async def file(self, request: Request) -> Response:
        path = record.file_of(self.studio.out, request.path_params["id"], request.path_params["name"])
        return FileResponse(path)

    async def attention(self, request: Request) -> Response:
        id_ = request.path_params["id"]
        record.folder_of(self.studio.out, id_)
        try:
            path = record.file_of(self.studio.out, id_, "attention.json")
        except Refused:
            raise not_found("attention map of this run", "a finished run with a layout") from None
        return FileResponse(path)

    async def lora(self, request: Request) -> Response:
        id_ = request.path_params["id"]
        data = await run_in_threadpool(self.studio.lora, id_)
        headers = {"content-disposition": f'attachment; filename="ttom-lora-{id_}.zip"'}
        return Response(data, media_type="application/zip", headers=headers)

    # -- the memory ---------------------------------------------------------------------------------------------------

    async def memory(self, request: Request) -> Response:
        view = self.studio.recall
        return JSONResponse({"entries": await run_in_threadpool(view.entries) if view is not None else []})

    async def look_up(self, request: Request) -> Response:
        body = await _body(request)
        prompt, layout = _text(body, "prompt"), layout_of(body.get("layout"), "the layout")
        return JSONResponse(await run_in_threadpool(self.studio.look_up, prompt, layout))

    async def forget(self, request: Request) -> Response:
        confirmed = request.query_params.get("confirm", "")
        await run_in_threadpool(self.studio.forget, request.path_params["id"], confirmed)
        return JSONResponse({})


def make_app(routes: Routes, access: Access) -> ASGIApp:
    """The application, guarded."""
    application = Starlette(
        routes=routes.all(),
        exception_handlers={
            UserError: _refuse,
            HTTPException: _refuse_http,
            ClientDisconnect: _gone,
            Exception: _fail,
        },
    )
    return Guard(application, access)


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, UserError)
    status = status_of(error)
    # What is left of a body that was too large is not waited for.
    headers = {"connection": "close"} if status in (408, 413) else None
    return JSONResponse(as_json(error), status, headers)


async def _refuse_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    what = {404: "there is nothing at this address", 405: "this address does not accept this method"}
    problem = what.get(error.status_code, error.detail)
    return JSONResponse(as_json(UserError(problem)), error.status_code, headers=error.headers)


async def _gone(request: Request, error: Exception) -> Response:
    """Nobody reads this answer."""
    return Response(status_code=400)


async def _fail(request: Request, error: Exception) -> Response:
    return JSONResponse(as_json(UserError("a bug in the studio", remedy="look at the server's output")), 500)


def _static(name: str) -> Response:
    path = STATIC / name
    parts = Path(name).parts
    if ".." in parts or Path(name).is_absolute() or "\0" in name or path.suffix not in _TYPES or not path.is_file():
        raise not_found("such file of the page")
    kind = _TYPES[path.suffix]
    return FileResponse(path, media_type=kind, headers={"cache-control": "no-cache"})


async def _body(request: Request) -> dict[str, Any]:
    """The JSON object of a request. Raises Refused."""
    expected = "a JSON object"
    try:
        found = parse_json((await request.body()).decode())
    except UnicodeDecodeError:
        raise Refused(400, "the request is not UTF-8 text", expected=expected) from None
    except ValueError as error:
        raise Refused(400, f"the request is not JSON: {error}", expected=expected) from None
    if not isinstance(found, dict):
        raise Refused(400, "the request is not a JSON object", expected=expected)
    return found


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise UserError(f"the request has no {name}", expected=f'"{name}": a string')
    return value


def _layout(body: dict[str, Any]) -> Layout | None:
    return layout_of(body["layout"], "the layout") if body.get("layout") is not None else None


def _invalid(error: ValidationError) -> UserError:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(map(str, first["loc"]))[:200]
    return UserError(f"the request's {where or 'body'} is not valid: {first['msg']}")
