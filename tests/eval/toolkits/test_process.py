"""Programs of the toolkits: side by side, each failing for itself, ended with us."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from eval.toolkits.process import Programs, on_gpus


def test_gpus_work_side_by_side_and_a_failure_stops_only_itself(tmp_path: Path) -> None:
    script = tmp_path / "work.py"
    script.write_text("import os, sys, time\nprint(os.environ['CUDA_VISIBLE_DEVICES'])\nsys.exit(int(sys.argv[1]))\n")
    programs = Programs()

    def work(code: int, gpu: str | None) -> None:
        environment = {"CUDA_VISIBLE_DEVICES": str(gpu)}
        programs.run([sys.executable, str(script), str(code)], tmp_path, tmp_path / f"{code}.txt", environment)

    errors = on_gpus(work, [0, 7, 0], ["2", "5"], programs)
    assert [str(error).splitlines()[0] for error in errors] == ["python work.py failed with code 7: 5"] or [
        str(error).splitlines()[0] for error in errors
    ] == ["python work.py failed with code 7: 2"]
    assert not programs.running


def test_programs_end_with_us(tmp_path: Path) -> None:
    script = tmp_path / "long.py"
    script.write_text("import subprocess, sys, time\nchild = subprocess.Popen(['sleep', '60'])\n"
                      "open(sys.argv[1], 'w').write(str(child.pid))\ntime.sleep(60)\n")  # fmt: skip
    programs = Programs()

    def interrupted(item: int, gpu: str | None) -> None:
        if item == 0:
            while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
                time.sleep(0.02)
            raise KeyboardInterrupt
        programs.run([sys.executable, str(script), str(tmp_path / "pid")], tmp_path, tmp_path / "log.txt")

    with pytest.raises(KeyboardInterrupt):
        on_gpus(interrupted, [0, 1], ["0", "1"], programs)
    child = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 10
    while Path(f"/proc/{child}").exists() and "Z" not in Path(f"/proc/{child}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
