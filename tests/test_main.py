"""The entry point: what it sets before anything is imported."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ttom.__main__ import PASSIVE_WAITING


@pytest.mark.parametrize(
    ("given", "seen"), [({}, PASSIVE_WAITING), ({"GOMP_SPINCOUNT": "7"}, {"GOMP_SPINCOUNT": "7"})], ids=["none", "own"]
)
def test_threads_wait_passively_unless_the_user_says_otherwise(given: dict[str, str], seen: dict[str, str]) -> None:
    code = (
        "import os, sys\nfrom ttom.__main__ import main, PASSIVE_WAITING\n"
        "assert 'torch' not in sys.modules\nsys.argv = ['ttom', '--version']\nmain()\n"
        "print({name: os.environ[name] for name in PASSIVE_WAITING if name in os.environ})"
    )
    clean = {name: value for name, value in os.environ.items() if name not in PASSIVE_WAITING}
    done = subprocess.run([sys.executable, "-c", code], env=clean | given, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == str(seen)
