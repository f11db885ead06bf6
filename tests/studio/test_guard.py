"""Who may come in, and with how much."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from ttom.errors import UserError
from ttom.studio import app, guard
from ttom.studio.guard import Access, Guard

TOKEN = "a-token-of-the-test"


async def echo(request: Request) -> Response:
    return JSONResponse({"bytes": len(await request.body())})


def inside() -> Starlette:
    methods = ["GET", "POST", "DELETE"]
    routes = [Route(path, echo, methods=methods) for path in ("/", "/api/x", "/api/import")]
    return Starlette(routes=routes, exception_handlers={UserError: app._refuse})


def visitor(access: Access, host: str = "127.0.0.1:7860") -> TestClient:
    return TestClient(Guard(inside(), access), base_url=f"http://{host}", follow_redirects=False)


@pytest.fixture
def local() -> TestClient:
    return visitor(Access.to("127.0.0.1"))


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost:7860", "localhost", "[::1]:7860"])
def test_the_loopback_address_needs_no_token(host: str) -> None:
    assert visitor(Access.to("127.0.0.1"), host).get("/api/x").status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:7860", "", "[::1", "10.0.0.5"])
def test_other_names_of_this_address_are_refused(local: TestClient, host: str) -> None:
    answer = local.get("/api/x", headers={"host": host})
    assert answer.status_code == 403 and answer.json()["expected"]


@pytest.mark.parametrize("method", ["POST", "DELETE"])
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:7861"},
        {"origin": "null"},
        {"origin": "http://[bad"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_requests_of_other_pages_change_nothing(local: TestClient, method: str, headers: dict[str, str]) -> None:
    answer = local.request(method, "/api/x", headers=headers)
    assert answer.status_code == 403 and "another site" in answer.json()["problem"]


def test_the_studio_s_own_page_may_change_things(local: TestClient) -> None:
    own = {"origin": "http://127.0.0.1:7860", "sec-fetch-site": "same-origin"}
    assert local.post("/api/x", headers=own, content=b"123").json() == {"bytes": 3}
    assert local.post("/api/x", content=b"123").status_code == 200  # a program, not a page


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::"])
def test_every_other_address_gets_a_token_of_its_own(host: str) -> None:
    tokens = {Access.to(host).token for _ in range(3)}
    assert len(tokens) == 3 and all(token is not None and len(token) >= 32 for token in tokens)


def test_a_token_of_the_user_s_is_taken_if_it_is_long_enough() -> None:
    assert Access.to("0.0.0.0", "sixteen-letters-").token == "sixteen-letters-"
    assert Access.to("127.0.0.1", "sixteen-letters-").token == "sixteen-letters-"
    for wrong in ("short", "with spaces in the middle", "semicolons;are;of;cookies", "x" * 201):
        with pytest.raises(UserError, match="TTOM_STUDIO_TOKEN"):
            Access.to("0.0.0.0", wrong)


def test_behind_a_proxy_the_page_s_own_name_counts_only_with_a_token(remote: TestClient, local: TestClient) -> None:
    proxied = {"origin": "https://owner-space.hf.space", "x-forwarded-host": "owner-space.hf.space"}
    known = {"authorization": f"Bearer {TOKEN}"}
    assert remote.post("/api/x", headers={**proxied, **known}).status_code == 200
    assert remote.post("/api/x", headers=proxied).status_code == 401
    assert remote.post("/api/x", headers={**proxied, **known, "x-forwarded-host": "other"}).status_code == 403
    assert local.post("/api/x", headers=proxied).status_code == 403


@pytest.fixture
def remote() -> TestClient:
    return visitor(Access(token=TOKEN), "example.org:7860")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": f"Bearer {TOKEN}x"},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": "Bearer é".encode()},
        {"cookie": f"{guard.COOKIE}=wrong"},
        {"cookie": '"'},
    ],
)
def test_without_the_token_nothing_is_answered(remote: TestClient, headers: dict[str, str]) -> None:
    for path in ("/", "/api/x", f"/api/x?token={TOKEN}", "/?token=wrong"):
        answer = remote.get(path, headers=headers)
        assert answer.status_code == 401, path
        assert TOKEN not in answer.text


def test_the_token_works_as_a_header_and_once_as_an_address(remote: TestClient) -> None:
    assert remote.get("/api/x", headers={"authorization": f"bearer {TOKEN}"}).status_code == 200
    answer = remote.get(f"/?token={TOKEN}")
    assert answer.status_code == 303 and answer.headers["location"] == "/"  # the address forgets it
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie
    assert remote.get("/api/x").status_code == 200
    assert remote.post("/api/x", headers={"origin": "http://evil.example"}).status_code == 403


def test_bodies_are_bounded_whatever_their_headers_say(local: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MAX_BODY", 1000)
    monkeypatch.setattr(guard, "MAX_UPLOAD", 2000)
    read = []

    def endless() -> Iterator[bytes]:
        for number in range(100):
            read.append(number)
            yield b"x" * 100

    assert local.post("/api/x", content=b"x" * 1000).json() == {"bytes": 1000}
    for body in (b"x" * 1001, endless()):
        answer = local.post("/api/x", content=body)
        assert answer.status_code == 413 and answer.json()["expected"]
    assert local.post("/api/import", content=b"x" * 1001).status_code == 200
    assert local.post("/api/import", content=b"x" * 2001).status_code == 413


@pytest.mark.parametrize("path", ["/", "/api/x", "/nothing"])
def test_every_answer_forbids_foreign_scripts_and_frames(local: TestClient, path: str) -> None:
    for answer in (local.get(path), local.get(path, headers={"host": "evil.example"})):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert not any(name.startswith("access-control") for name in answer.headers)
