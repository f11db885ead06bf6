"""Videos a minute with one GPU and with several: python -m experiments.bench.replay_scaling --out RESULT.json

Makes the same cases anew with each number of devices and of workers that share one, in processes of their own: by Ray
where it can be imported, else by one process per worker with a shard each. Measured from the moment when every worker
has made its first video, so that loading models does not count; seconds until then are given beside. Efficiency is the
rate per device against that of one device with as many workers on it. The overhead of the harness is the time between
two videos of one worker in this very process, less what the model's own report says.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from eval.manifest import VIDEOS, last_rows
from ttom import files, provenance


def call_replay(options: list[str], out: Path, devices: int, per_device: int, engine: str) -> float:
    """Make a run; returns the seconds that it took in all.

    Raises:
        SystemExit: It failed.
    """
    base = [sys.executable, "-m", "eval.replay", *options, "--out", str(out), "--quiet"]
    environment = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    start = time.time()
    if engine == "shard":
        number = devices * per_device
        gpus = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(devices)))).split(",")
        processes = []
        for part in range(number):
            own = {**environment, "CUDA_VISIBLE_DEVICES": gpus[part % devices]}
            processes.append(subprocess.Popen([*base, "--shard", f"{part + 1}/{number}"], env=own))
        codes = [process.wait() for process in processes]
    else:
        call = [*base, "--devices", str(devices), "--per-device", str(per_device)]
        codes = [subprocess.run(call, env=environment).returncode]
    if any(codes):
        raise SystemExit(f"eval.replay ended with {codes}; its messages are above")
    return time.time() - start


def measure(options: list[str], out: Path, devices: int, per_device: int, engine: str) -> dict[str, Any]:
    """One configuration: rate, seconds until all workers are at work, and the digests of the videos."""
    started = time.time()
    wall = call_replay(options, out, devices, per_device, engine)
    rows = [row for row in last_rows(out).values() if row.status == "made"]
    ended = sorted((out / VIDEOS / row.case.video).stat().st_mtime for row in rows)
    workers = devices * per_device
    if len(ended) < 3 * workers:
        raise SystemExit(f"{len(ended)} videos are too few for {workers} workers; take more with --limit")
    steady = ended[-1] - ended[workers - 1]
    mean = sum(row.seconds["total"] for row in rows) / len(rows)
    found: dict[str, Any] = {
        "devices": devices,
        "per_device": per_device,
        "engine": engine,
        "videos": len(rows),
        "videos_per_minute": round(60 * (len(ended) - workers) / steady, 3),
        "seconds": round(wall, 1),
        "seconds_to_first_videos": round(ended[workers - 1] - started, 1),
        "model_seconds_per_video": round(mean, 3),
        "peak_bytes": max((row.peak_bytes or 0 for row in rows), default=0),
        "device": rows[0].device,
    }
    if workers == 1:
        found["overhead_seconds_per_video"] = round(steady / (len(ended) - 1) - mean, 3)
    return found | {"sha256": {row.case.id: row.sha256 for row in rows}}


def compared(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Efficiency of each configuration, and how many videos have the same bytes in all of them."""
    digests = [row.pop("sha256") for row in rows]
    alone = {row["per_device"]: row["videos_per_minute"] for row in rows if row["devices"] == 1}
    for row in rows:
        if row["per_device"] in alone:
            row["efficiency"] = round(row["videos_per_minute"] / row["devices"] / alone[row["per_device"]], 3)
    same = sum(len({found.get(case) for found in digests}) == 1 for case in digests[0])
    return {"runs": rows, "same_bytes": same, "videos": len(digests[0])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="result JSON")
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--per-device", type=int, nargs="+", default=[1, 4], help="workers that share a device")
    parser.add_argument("--model", default="emojiworld-wan")
    parser.add_argument("--method", default="ttom")
    parser.add_argument("--suite", default="emojiworld")
    parser.add_argument("--limit", type=int, default=40, help="cases of each category")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--engine", choices=("ray", "shard"), help="by default ray where it can be imported")
    parser.add_argument("options", nargs="*", help="further options of eval.replay, behind --")
    command = parser.parse_args()
    engine = command.engine or ("ray" if importlib.util.find_spec("ray") is not None else "shard")
    fixed = ["--suite", command.suite, "--model", command.model, "--method", command.method, "--device", command.device]
    options = [*fixed, "--limit", str(command.limit), *command.options]
    made_by = provenance.environment()  # each row names the device of its workers
    rows = []
    with tempfile.TemporaryDirectory(prefix="ttom-scaling-") as name:
        for per_device in command.per_device:
            for devices in command.devices:
                how = "in process" if devices == per_device == 1 else engine
                rows.append(measure(options, Path(name) / f"{devices}-{per_device}", devices, per_device, how))
                print({key: value for key, value in rows[-1].items() if key != "sha256"}, flush=True)
    made_by["command"] = " ".join(["python -m experiments.bench.replay_scaling", *sys.argv[1:]])
    result = {**compared(rows), "options": options, "provenance": made_by}
    command.out.parent.mkdir(parents=True, exist_ok=True)
    files.write_json(command.out, result, indent=1)
    rates = ", ".join(f"{row['devices']} x {row['per_device']}: {row.get('efficiency')}" for row in rows)
    print(f"efficiency {rates}; {result['same_bytes']} of {result['videos']} videos have the same bytes everywhere")


if __name__ == "__main__":
    main()
