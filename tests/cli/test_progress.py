"""Bars on a terminal, nothing elsewhere; tables that survive a pipe."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.table import Table

from ttom.cli.progress import ProgressDisplay, print_table


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_stages_are_shown_with_their_loss() -> None:
    screen = Terminal()
    with ProgressDisplay(stream=screen) as display:
        display("load", 1, 1)
        display("optimize", 3, 20, 0.25)
        display("optimize", 4, 20, 0.125)
    shown = screen.getvalue()
    for words in ("loading", "optimizing", "4/20", "loss 0.1250"):
        assert words in shown, words
    assert "prompts" not in shown


def test_prompts_are_counted_and_their_stages_begin_anew() -> None:
    screen = Terminal()
    with ProgressDisplay(prompts=2, stream=screen) as display:
        for _ in range(2):
            display("plan", 0, 3)
            display.advance("plan")
            display("sample", 2, 2)
            display.next_prompt()
    assert "prompts" in screen.getvalue() and "2/2" in screen.getvalue()


@pytest.mark.parametrize(("stream", "quiet"), [(StringIO(), False), (Terminal(), True)], ids=["no terminal", "quiet"])
def test_nothing_is_shown(stream: StringIO, quiet: bool) -> None:
    with ProgressDisplay(prompts=1, quiet=quiet, stream=stream) as display:
        display("plan", 1, 1)
        display.next_prompt()
    assert stream.getvalue() == ""


def test_tables_have_one_line_a_row_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("name", "folder", box=None, pad_edge=False)
    table.add_row("a", "/" + "long/" * 60)
    print_table(table)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [["name", "folder"], ["a", "/" + "long/" * 60]]
    assert not any(line.endswith(" ") for line in lines)
