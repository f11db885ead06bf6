"""What the memory commands print obeys no control codes and survives odd numbers."""

from __future__ import annotations

import pytest

from ttom.cli import memory_output as output


def test_control_codes_are_escaped() -> None:
    assert output.printable("a\x1b[31mb\n\u202ec\x00\ud800 é 🐻") == r"a\x1b[31mb\n\u202ec\x00\ud800 é 🐻"


def test_a_table_is_aligned_and_uncut_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(("id", "key"), [("1", "x" * 300), ("22", "[bold]no markup[/bold]\x1b[2J")])
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["id  key", "1   " + "x" * 300, r"22  [bold]no markup[/bold]\x1b[2J"]


@pytest.mark.parametrize("seconds", [1e300, -1e300, 1e18])
def test_odd_times_do_not_crash(seconds: float) -> None:
    assert output.when(seconds).endswith("after 1970") and output.when(None) == "never"
    assert len(output.when(0.0)) == 19


def test_confirming_needs_a_terminal_or_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    output.confirm("x", yes=True)
    with pytest.raises(Exception, match="cannot be undone"):
        output.confirm("1 entry would be deleted", yes=False)

    def closed(_: str) -> str:
        raise EOFError

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", closed)
    with pytest.raises(Exception, match="nothing was deleted"):
        output.confirm("x", yes=False)
