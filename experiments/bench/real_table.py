"""The real-size benchmark's JSON as a Markdown table."""

from __future__ import annotations

from typing import Any

from experiments.bench.real_cases import CASES

STEPS, ITERATIONS = 50, 40
"""A whole run (section 4.1 of the paper: 5 guided steps of 8 iterations)."""
SHOWN = ("encode", "iteration", "guided step", "step", "decode")
"""Phases whose peak the table shows."""


def table(result: dict[str, Any]) -> str:
    """One table per model. The share of a whole run is computed from the iteration and the model's plain step."""
    calls = {row["call"]: result["calls"][row["call"]] for row in result["rows"]}
    lines = [f"- {_origin(number, call)}" for number, call in sorted(calls.items())]
    lines += [
        "",
        f"Share: {ITERATIONS} iterations over {STEPS} plain steps, both computed from the medians measured.",
        "",
    ]
    for model in dict.fromkeys(row["model"] for row in result["rows"]):
        rows = [row for row in result["rows"] if row["model"] == model]
        rows.sort(key=lambda row: list(CASES).index(row["case"]))
        lines += [f"## {model}", "", "| case | block | seconds | floor | ratio | peak GiB | share of a run | call |"]
        lines += ["|---|---|---|---|---|---|---|---|"]
        lines += ["| " + " | ".join(_cells(row, _plain_step(rows))) + " |" for row in rows]
        lines += ["", *(_whole(row) for row in rows if "memory" in row), ""]
    return "\n".join(lines)


def _origin(number: int, call: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {call['versions'][name]}" for name in ("torch", "diffusers", "peft", "lightning"))
    rate = call["matmul_operations_per_second"] / 1e12
    device = f"{call['device_name']} (matrix product {rate:.0f} TFLOP/s)"
    commit = (call["commit"] or "unknown commit")[:12] + (" with changes" if call["dirty"] else "")
    commit += f" ({call['note']})" if "note" in call else ""
    return f"Call {number}: {call['date']}, {device}, {commit}, {versions}."


def phase_of(row: dict[str, Any]) -> str:
    """The phase that a row reports: a step, an iteration, or decoding where there is neither."""
    return next(phase for phase in ("step", "iteration", "decode") if phase in row["seconds"])


def _plain_step(rows: list[dict[str, Any]]) -> float | None:
    """Median seconds of a step with default settings, if it was measured."""
    found = [row["seconds"]["step"]["median"] for row in rows if row["case"] == "step" and "seconds" in row]
    return found[0] if found else None


def _cells(row: dict[str, Any], step: float | None) -> list[str]:
    block = ", ".join(map(str, row["blocks"])) if CASES[row["case"]].measure not in ("step", "decode") else "-"
    if "failed" in row:
        return [row["case"], block, row["failed"], "-", "-", "-", "-", str(row["call"])]
    phase = phase_of(row)
    seconds, floor = row["seconds"][phase]["median"], row.get("floor", {}).get("seconds")
    times = [f"{seconds:.3f} for the {phase}", f"{floor:.3f}" if floor else "-"]
    times.append(f"{seconds / floor:.2f}" if floor else "-")
    share = f"{ITERATIONS * seconds / (STEPS * step):.1%}" if phase == "iteration" and step else "-"
    peaks = ", ".join(f"{name} {value:g}" for name, value in row["peak_gib"].items() if name in SHOWN)
    return [row["case"], block, *times, peaks, share, str(row["call"])]


def _whole(row: dict[str, Any]) -> str:
    """Seconds of the stages of a whole pipeline, and of the memory store's operations on one adapter."""
    seconds = {phase: row["seconds"][phase]["median"] for phase in ("encode", "iteration", "step", "decode")}
    memory = row["memory"]
    parts = [f"{phase} {value:.2f} s" for phase, value in seconds.items()]
    operations = [
        f"{name.removesuffix('_milliseconds')} {value['median']:.0f} ms"
        for name, value in memory.items()
        if name != "bytes"
    ]
    limit = f" within {row['limit_gib']} GiB" if row["limit_gib"] else ""
    return (
        f"- {row['case']}{limit}: {', '.join(parts)}. Memory, an adapter of {memory['bytes'] / 1e6:.1f} MB: "
        f"{', '.join(operations)} (average and svd fuse two)."
    )
