"""`ttom studio` as a process: it serves, keeps its history, and ends at once."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.studio.helpers import PROMPT, wait_until
from ttom.cli import main
from ttom.files import LOCK
from ttom.studio.record import Order, RunRecord
from ttom.studio.server import Address

BASE: dict[str, Any] = {"prompt": PROMPT, "method": "base", "settings": {"sampler.steps": 2}}
KILLED = "20200101-000000-000000"
LONG: dict[str, Any] = {"prompt": PROMPT, "method": "base", "settings": {"sampler.steps": 200}}


class Process:
    """A studio on a free port."""

    def __init__(self, out: Path, *options: str) -> None:
        command = [sys.executable, "-m", "ttom", "studio", "--port", "0", "--out", str(out), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.printed = [self.process.stdout.readline(), self.process.stdout.readline()]
        self.url = self.printed[1].split()[1]
        self.client = httpx2.Client(base_url=self.url.split("?")[0], timeout=60, trust_env=False)

    def end(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        """The exit code, and what it said."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def started(out: Path) -> Iterator[Process]:
    made = Process(out)
    yield made
    if made.process.poll() is None:
        made.process.kill()
        made.process.communicate()


def test_a_process_serves_and_ends_at_once_and_another_one_finds_its_runs(started: Process, out: Path) -> None:
    assert started.url.startswith("http://127.0.0.1:") and "token" not in started.url
    done = started.client.post("/api/runs", json=BASE).json()["id"]
    with started.client.stream("GET", f"/api/runs/{done}/events") as stream:
        news = [json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: ")]
    assert news[-1]["state"] == "done" and len(news) > 2
    running, waiting = (started.client.post("/api/runs", json=LONG).json()["id"] for _ in range(2))
    wait_until(started.client, running, lambda run: run["step"] > 0)

    # The same folder serves one studio at a time.
    assert main(["studio", "--port", "0", "--out", str(out)]) == 2

    # An endless upload in pieces is refused while it is being read; a half-open one does not hold up the end.
    address = urlsplit(started.url)
    endless = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    endless.putrequest("POST", "/api/check")
    endless.putheader("Transfer-Encoding", "chunked")
    endless.endheaders()
    with pytest.raises(OSError):  # the server hangs up
        for _ in range(200):
            endless.send(b"100000\r\n" + b" " * 2**20 + b"\r\n")
    half = socket.create_connection((address.hostname, address.port))
    half.send(b"POST /api/plan HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{")

    begin = time.monotonic()
    code, said = started.end()
    assert code == 130 and said.splitlines()[-1] == "ttom: interrupted; no file was left half-written"
    assert time.monotonic() - begin < 30  # not the minutes that the run would have taken
    assert "Traceback" not in said
    half.close()
    assert not (out / LOCK).exists()
    assert [path.name for path in out.rglob(".ttom-*")] == []

    # A run that another process left when it was killed.
    (out / KILLED).mkdir()
    RunRecord(id=KILLED, order=Order(prompt=PROMPT), state="running", created=1.0).save(out)
    again = Process(out, "--host", "0.0.0.0")
    try:
        assert again.url.startswith("http://0.0.0.0:")
        assert again.client.get("/api/runs").status_code == 401
        again.client.headers["authorization"] = f"Bearer {again.url.split('?token=')[1]}"
        runs = again.client.get("/api/runs").json()["runs"]
        states = {run["id"]: run["state"] for run in runs}
        assert states == {done: "done", running: "cancelled", waiting: "cancelled", KILLED: "failed"}
        assert again.client.get(f"/api/runs/{done}/files/video.mp4").status_code == 200
        assert again.client.delete(f"/api/runs/{done}").status_code == 200
        assert not (out / done).exists()
        assert again.end(signal.SIGTERM)[0] == 130
    finally:
        again.process.kill()


@pytest.mark.parametrize(
    "options, words",
    [
        (["--port", "70000"], "--port"),
        (["--host", "no.such.host.invalid"], "cannot listen"),
        (["--model", "no-such-model"], "no-such-model"),
        (["--out", "runs.json"], "--out"),
        (["--planner.base-url", "ftp://x"], "base-url"),
    ],
)
def test_mistakes_are_told_in_words(
    options: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = os.getcwd()
    os.chdir(tmp_path)
    try:
        assert main(["studio", "--port", "0", *options]) == 2
    finally:
        os.chdir(before)
    told = capsys.readouterr().err
    assert words in told and "Traceback" not in told
    assert [path.name for path in tmp_path.rglob("*.json")] == []


def test_a_port_in_use_is_named() -> None:
    with Address(port=0).listen() as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Exception, match=str(port)):
            Address(port=port).listen()


def test_the_extra_is_named_where_it_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["studio"]) == 2
    assert "ttom[studio]" in capsys.readouterr().err


def test_the_space_s_command_serves_with_the_token_of_its_secret(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = Path(__file__).parents[2] / "spaces" / "Dockerfile"
    if not file.exists():
        pytest.skip("the folder spaces is not here")
    (line,) = (line for line in file.read_text().splitlines() if line.startswith("CMD "))
    program, name, *options = json.loads(line.removeprefix("CMD "))
    assert (program, name) == ("ttom", "studio")
    space = dict(zip(options[::2], options[1::2], strict=True))
    assert space.pop("--port") == "7860" and "app_port: 7860" in (file.parent / "README.md").read_text()
    assert space.pop("--out") == "runs"
    token = "a-secret-of-the-space"
    monkeypatch.setenv("TTOM_STUDIO_TOKEN", token)
    made = Process(out, *(word for option in space.items() for word in option))
    try:
        assert made.url.startswith("http://0.0.0.0:") and made.url.endswith("/?token=$TTOM_STUDIO_TOKEN")
        assert token not in "".join(made.printed)
        assert made.client.get("/").status_code == 401
        entered = made.client.get(f"/?token={token}")
        assert entered.status_code == 303
        made.client.cookies.update(entered.cookies)
        assert "<title>TTOM studio" in made.client.get("/").text
        assert made.client.post("/api/plan", json={"prompt": PROMPT}).status_code == 200
        assert made.end()[0] == 130
    finally:
        made.process.kill()
