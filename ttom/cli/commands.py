"""What the commands do once their arguments are read."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ttom.cli.arguments import Generate, Run
from ttom.cli.flags import with_flags
from ttom.cli.progress import ProgressDisplay
from ttom.config import RuntimeConfig, Settings
from ttom.errors import UserError, cut_short, first_line
from ttom.files import check_folder
from ttom.guidance import find_method
from ttom.layout.model import Layout, load_layout
from ttom.pipeline import TTOM
from ttom.report import Report
from ttom.result import FILES, Result

FILE_ENDINGS = frozenset(
    ".avi .bin .ckpt .csv .gif .jpg .json .jsonl .mkv .mov .mp4 .pdf .png .pt .pth .safetensors .txt .webm .zip".split()
)
"""A path that ends so is not meant to be a folder."""


def generate(command: Generate) -> None:
    """Run `ttom generate`. Everything that can be wrong with the input is found before the minutes of work."""
    find_method(command.method)
    check_out(command.out)
    if command.save_lora is not None:
        check_out(command.save_lora, "save_lora")
    warn_of_settings(command.settings)
    layout = file_layout(command.layout) if command.layout is not None else None
    hush_libraries()
    with (
        open_model(command) as runner,
        ProgressDisplay(quiet=command.quiet) as progress,
        out_of_memory_errors(command.dtype, command.runtime),
    ):
        result = runner.generate(
            command.prompt,
            method=command.method,
            seed=command.seed,
            layout=layout,
            settings=command.settings,
            progress=progress,
            out=command.out,
            save_lora=command.save_lora,
            check=command.check,
            tries=command.tries,
        )
    for note in _notes(result):
        print(f"note: {note}", file=sys.stderr)
    _say_done(result.report, command.out)


def open_model(command: Run) -> TTOM:
    """The model of a command, which is loaded when first needed; use it as a context manager."""
    return TTOM(
        command.model, device=command.device, dtype=command.dtype, preset=command.preset, runtime=command.runtime
    )


def check_out(folder: Path, option: str = "out") -> None:
    """Raise UserError if results could not be written to the folder, or if it looks like the name of a file."""
    if folder.suffix.lower() in FILE_ENDINGS and not folder.is_dir():
        raise UserError(
            f"`{option}` is {folder}, which looks like a file",
            expected="a folder, in which the files get their own names",
            remedy=f"`{option}={folder.with_suffix('')}`",
        )
    check_folder(folder)


def warn_of_settings(settings: Settings) -> None:
    """Say on standard error what will most likely not do what was meant."""
    if settings.tto.keep_after:
        print(
            with_flags("note: `tto.keep_after` leaves the LoRA on in all steps, which destroys the picture"),
            file=sys.stderr,
        )


def _notes(result: Result) -> Iterator[str]:
    """What of the prompt does not reach the layout or the model."""
    report = result.report
    planned = find_method(report.method).needs_layout
    if planned:
        yield from (f"not planned: {what}" for what in report.left_out)
    # How many there are, the layout says where the model cannot read it.
    counts = {str(len(group.objects)) for group in result.layout.groups()} if planned and result.layout else set()
    unknown = [word for word in report.unknown_words if word not in counts]
    if unknown:
        yield unknown_note(unknown, "the video")
    if report.cut_off:
        length = report.sampler.max_sequence_length
        yield f"the model reads {length} tokens of the prompt, not {cut_short(report.cut_off, 80)!r}"


def unknown_note(words: Sequence[str], what: str) -> str:
    """What words without a token mean for a video, or for several."""
    effect = "it has" if len(words) == 1 else "they have"
    return f"the model does not know {', '.join(map(repr, words))}; {effect} no effect on {what}"


def file_layout(path: Path) -> Layout:
    """The file's layout; whoever made it, for this run it came from a file."""
    return load_layout(path).model_copy(update={"source": "file"})


def _say_done(report: Report, folder: Path) -> None:
    if report.check is not None:
        number = len(report.check.tries)
        print(f"{f'best of {number} (seed {report.check.seed}): ' if number else ''}{report.check}")
    seen = f"attention loss {report.tto.loss_first:.3f} -> {report.tto.loss_last:.3f}, " if report.tto else ""
    print(f"{seen}{report.seconds.total:.1f} s")
    for name in FILES:
        if (folder / name).exists():
            print(f"{Path(name).stem + ':':<10} {folder / name}")


@contextmanager
def out_of_memory_errors(dtype: str, runtime: RuntimeConfig | None) -> Iterator[None]:
    """What torch raises when it is out of memory, as a message: a GPU's own error, or the CPU allocator's.

    The message names the settings that help there and are not made yet; no --runtime where a command has none.
    """
    try:
        yield
    except RuntimeError as error:
        on_gpu = type(error).__name__ == "OutOfMemoryError"
        if not on_gpu and "can't allocate memory" not in str(error):
            raise
        left = {
            "--runtime.checkpointing": runtime and not runtime.checkpointing,
            "--runtime.vae-tiling": runtime and not runtime.vae_tiling,
            "--runtime.offload": runtime and on_gpu and not runtime.offload,
            "few --runtime.resident-blocks": runtime and on_gpu and not (runtime.resident_blocks or runtime.compile),
            "--dtype bfloat16": dtype == "float32" or (dtype == "auto" and not on_gpu),
            "fewer --sampler.frames": True,
            "a smaller --sampler.height and --sampler.width": True,
        }
        raise UserError(
            f"out of memory: {first_line(error, 1000)}",
            expected="a video and a model that fit the device's memory",
            remedy=", ".join(setting for setting, helps in left.items() if helps),
        ) from error


def hush_libraries() -> None:
    """Our own bars and messages say enough. Before these libraries are imported, which takes seconds."""
    for variable in ("DIFFUSERS_VERBOSITY", "TRANSFORMERS_VERBOSITY", "HF_HUB_VERBOSITY"):
        os.environ.setdefault(variable, "error")
    libraries = r"(lightning|torch|diffusers|peft|transformers|huggingface_hub|matplotlib)\..*"
    warnings.filterwarnings("ignore", category=UserWarning, module=libraries)
