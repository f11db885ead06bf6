"""Who may talk to the server, and how much: host, origin, token, sizes of bodies, and headers of every answer.

A page of another site that runs in the user's browser is the attacker here: it can send requests to the loopback
address, and by DNS rebinding even under a name of its own. So the Host header is checked where there is no token, and a
request that changes something must come from this page.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
from collections.abc import MutableMapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ttom.errors import SetupError
from ttom.studio.errors import Refused, as_json

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
MAX_BODY = 8 * 2**20
"""Bytes of a request; more than the largest layout that is allowed."""
MAX_UPLOAD = 16 * 2**20
"""Bytes of an imported file, with its form."""
READ_SECONDS = 120.0
"""In which a body must have arrived."""
TOKEN_VARIABLE = "TTOM_STUDIO_TOKEN"
"""Of the environment: a token that stays the same over restarts."""
COOKIE = "ttom-studio"
_UNSAFE = ("POST", "PUT", "PATCH", "DELETE")
_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


@dataclass(frozen=True)
class Access:
    """Who may come in.

    Attributes:
        token: What a client must know; None on the loopback address.
        hosts: Names that the Host header may have without a token.
    """

    token: str | None = None
    hosts: frozenset[str] = LOOPBACK

    @classmethod
    def to(cls, host: str, token: str | None = None) -> Access:
        """For a server that listens on this address, with a token of the user's or a new one.

        Raises:
            SetupError: The token is too short, or cannot be in an address and a cookie.
        """
        if token is not None:
            if not re.fullmatch(r"[A-Za-z0-9_-]{16,200}", token):
                raise SetupError(
                    f"the token in {TOKEN_VARIABLE} cannot be used",
                    expected="16 to 200 letters, digits, hyphens and underscores",
                    remedy="leave it unset for a new one at each start",
                )
            return cls(token=token)
        return cls() if host in LOOPBACK else cls(token=secrets.token_urlsafe(24))


class Guard:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app, self.access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        try:
            answer = self._check(scope)
        except Refused as error:
            answer = JSONResponse(as_json(error), error.status)
        if answer is not None:
            await answer(scope, receive, guarded)
            return
        await self.app(scope, _bounded(scope, receive), guarded)

    def _check(self, scope: Scope) -> Response | None:
        """None to go on. Raises Refused."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self.access.token is None and _name(host) not in self.access.hosts:
            raise Refused(
                403, "the address of this page is not the studio's own", expected=f"one of {sorted(self.access.hosts)}"
            )
        if scope["method"] in _UNSAFE:
            # A proxy may give the page's own name in a header, which no page of another site can set on its requests.
            # Where there is no token, the Host header alone counts.
            named = headers.get("x-forwarded-host", "") if self.access.token is not None else ""
            _check_origin(headers, (host, named))
        if self.access.token is not None:
            return self._identify(scope, headers, self.access.token)
        return None

    def _identify(self, scope: Scope, headers: Headers, token: str) -> Response | None:
        """Compare the token in the header, the cookie or, once, the address of the page."""
        if scope["path"] == "/" and _same(_query_token(scope), token):
            answer = RedirectResponse("/", 303)
            answer.set_cookie(COOKIE, token, httponly=True, samesite="strict", path="/")
            return answer
        kind, _, bearer = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and _same(bearer.strip(), token):
            return None
        if _same(_cookie(headers), token):
            return None
        raise Refused(
            401,
            "the studio's token is missing or wrong",
            expected="the address that the studio printed when it started, with ?token=",
            remedy="open that address once in this browser, or send the header Authorization: Bearer TOKEN",
        )


def _name(host: str) -> str:
    """The host's name without its port; empty if it has none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _check_origin(headers: Headers, hosts: tuple[str, ...]) -> None:
    """Refuse a changing request that a browser sends from another site's page. Programs send no such headers."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    try:
        place = urlsplit(origin).netloc if origin is not None else ""
        same = origin is None or (bool(place) and place in hosts)
    except ValueError:
        same = False
    if not same or site not in (None, "same-origin", "none"):
        raise Refused(403, "this request comes from another site's page", expected="the studio's own page")


def _query_token(scope: Scope) -> str:
    try:
        return parse_qs(scope.get("query_string", b"").decode("latin-1"), max_num_fields=20).get("token", [""])[0]
    except ValueError:
        return ""


def _cookie(headers: Headers) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    return found[COOKIE].value if COOKIE in found else ""


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())


def _bounded(scope: MutableMapping[str, Any], receive: Receive) -> Receive:
    """Receives the body as long as it is within its limits, whatever its headers say."""
    limit = MAX_UPLOAD if scope["path"] == "/api/import" else MAX_BODY
    received, deadline, whole = 0, asyncio.get_running_loop().time() + READ_SECONDS, False

    async def bounded() -> Message:
        nonlocal received, whole
        if whole:  # the next message is the client's disconnect, which may take hours
            return await receive()
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            raise Refused(408, "the request did not arrive in time", expected=f"{READ_SECONDS:.0f} seconds") from None
        if message["type"] == "http.request":
            received += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if received > limit:
                raise Refused(413, "the request is too large", expected=f"at most {limit // 2**20} MiB")
        return message

    return bounded
