"""SIGTERM and SIGHUP end a command as Ctrl-C does, from its first moment on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from ttom.cli.signals import stop_signals

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_interrupt_and_handlers_come_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), stop_signals():
        os.kill(os.getpid(), number)
        time.sleep(1)
    assert signal.getsignal(number) is before


def test_nohup_stays_in_force() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_signals():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("error", ["KeyboardInterrupt()", "ImportError('numpy') from KeyboardInterrupt()"])
def test_an_interrupt_while_importing_shows_no_traceback(error: str) -> None:
    code = (
        "import builtins, sys\nfrom ttom.__main__ import main\nreal = builtins.__import__\n"
        "def press(name, *rest, **options):\n"
        f"    if name.startswith('ttom.cli'):\n        raise {error}\n"
        "    return real(name, *rest, **options)\n"
        "builtins.__import__ = press\nsys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "")


def test_other_failed_imports_are_shown() -> None:
    code = "import sys\nsys.modules['ttom.cli'] = None\nfrom ttom.__main__ import main\nmain()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1 and "ttom.cli" in done.stderr
