"""How programs end."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from typing import Annotated

import pytest
from tyro.conf import arg

from ttom.cli.exits import BAD_INPUT, INTERRUPTED, exit_code
from ttom.errors import UserError


def test_the_works_own_code_is_returned(capsys: pytest.CaptureFixture[str]) -> None:
    assert [exit_code("a.b", lambda code=code: code) for code in (0, 1)] == [0, 1]
    assert capsys.readouterr() == ("", "")


def test_bad_input_is_told_with_the_options_names(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        raise UserError("`tto.lr` is 0", remedy="`tto.lr=0.01`")

    assert exit_code("a.b", work) == BAD_INPUT == 2
    assert capsys.readouterr().err == "a.b: --tto.lr is 0\ntry: --tto.lr 0.01\n"


def test_ctrl_c_says_how_to_continue(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        raise KeyboardInterrupt

    assert exit_code("a.b", work) == INTERRUPTED == 130
    assert capsys.readouterr().err == "a.b: interrupted; run it again to continue\n"
    exit_code("a.b", work, "nothing was written")
    assert capsys.readouterr().err == "a.b: interrupted; nothing was written\n"


@pytest.mark.skipif(not hasattr(signal, "SIGTERM") or os.name == "nt", reason="Windows")
def test_sigterm_ends_a_program_as_ctrl_c_does(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)
        return 0

    assert exit_code("a.b", work) == INTERRUPTED
    assert "interrupted" in capsys.readouterr().err


@dataclass
class Group:
    big_size: int = 0


@dataclass
class Command:
    shards: int
    group: Group
    options: Annotated[Group, arg(name="")]


def test_options_of_another_program(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        raise UserError("`shards`, `group.big_size`, `big_size` and `nothing`")

    assert exit_code("a.b", work, command=Command) == BAD_INPUT
    assert capsys.readouterr().err == "a.b: --shards, --group.big-size, --big-size and `nothing`\n"
    exit_code("a.b", work)
    assert "`shards`" in capsys.readouterr().err
