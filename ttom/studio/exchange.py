"""Layouts from and for other tools. Files are read as text and parsed as data, whatever their names."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ttom import files
from ttom.errors import UserError, cut_short
from ttom.layout import exporters
from ttom.layout.drafts import Limits
from ttom.layout.importers import TTOM_CANVAS, import_text
from ttom.layout.limits import check_prompt, parse_json
from ttom.layout.model import Layout, layout_of
from ttom.layout.tracks import Canvas, Imported, import_boxes, import_tracks, looks_like_boxes, looks_like_tracks
from ttom.types import VideoSize

IMPORTS = {
    "layout": "TTOM layout",
    "cache": "Cache of LVD or of TTOM's authors",
    "answer": "A language model's raw answer",
    "tracks": "Tracks of ATI or KJNodes",
    "boxes": "Bounding boxes of ComfyUI",
}
"""Formats that are read, with their labels; "auto" finds out which one a file is."""
EXPORTS = {
    "layout": ("TTOM layout (JSON)", "layout.json", "application/json"),
    "vace": ("Control video for VACE (mp4)", "vace-layout.mp4", "video/mp4"),
    "ati": ("Tracks for ATI (JSON)", "ati-tracks.json", "application/json"),
    "kjnodes": ("Tracks for KJNodes (JSON)", "kjnodes-tracks.json", "application/json"),
    "comfyui": ("Bounding boxes for ComfyUI (JSON)", "comfyui-boxes.json", "application/json"),
}
"""Formats that are written: label, file name and type."""
_NAMED = 3  # prompts of a cache that an error names
_SMALLEST = 256  # pixels of height that VACE's models can use


@dataclass(frozen=True)
class Upload:
    """A file as it came.

    Attributes:
        data: Its bytes.
        format: A key of IMPORTS, or "auto".
        prompt: What the video shows; empty where the file says so.
        canvas: Pixels that its boxes were drawn on; found out if None.
    """

    data: bytes
    format: str = "auto"
    prompt: str = ""
    canvas: Canvas | None = None


def formats() -> dict[str, list[dict[str, str]]]:
    """What /api/info says of both directions."""
    accept = ".json,.txt,application/json,text/plain"
    imports = [{"name": "auto", "label": "Detect the format", "accept": accept}]
    imports += [{"name": name, "label": label, "accept": accept} for name, label in IMPORTS.items()]
    exports = [{"name": name, "label": label, "file": file} for name, (label, file, _) in EXPORTS.items()]
    return {"import": imports, "export": exports}


def read_canvas(text: str) -> Canvas | None:
    """ "832x480" -> (832, 480); None if empty. Raises UserError."""
    if not text.strip():
        return None
    found = re.fullmatch(r"\s*([1-9][0-9]{0,4})\s*[x*, ]\s*([1-9][0-9]{0,4})\s*", text)
    if found is None:
        raise UserError(f"the canvas is {cut_short(text, 40)!r}", expected="width x height in pixels, such as 832x480")
    return int(found[1]), int(found[2])


def import_layout(upload: Upload, size: VideoSize, limits: Limits) -> Imported:
    """The layout of a file.

    Args:
        upload: The file.
        size: The model's picture.
        limits: Limits on boxes, as for every plan from outside.

    Raises:
        UserError: It is in none of the formats, or breaks a rule of its own.
    """
    expected = "a text file: " + ", ".join(IMPORTS.values())
    if upload.format not in ("auto", *IMPORTS):
        raise UserError(f"there is no format {upload.format[:40]!r}", expected=f"auto or one of {', '.join(IMPORTS)}")
    if upload.data[4:8] == b"ftyp":
        raise UserError("the file is a video: it has no names of boxes to read", expected=expected)
    if upload.data.startswith((b"PK\x03\x04", b"\x80")):
        raise UserError(
            "the file is an archive or a pickle, as ATI's .pth files are: these may hold programs and are not opened",
            expected=expected,
            remedy="save the tracks as JSON",
        )
    try:
        text = upload.data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError("the file is not text", expected=expected, remedy="unpack or convert it first") from None
    try:
        data, is_json = parse_json(text), True
    except ValueError as error:
        data, is_json, reason = None, False, error
    format_ = upload.format if upload.format != "auto" else _guess(data, is_json)
    if format_ in ("layout", "tracks", "boxes") and not is_json:
        raise UserError(f"the file is not JSON: {reason}", expected=expected)
    picture = size.width, size.height
    if format_ == "layout":
        layout = layout_of(data, "the file")
        return Imported(layout.model_copy(update={"source": "file"}), ())
    if format_ in ("tracks", "boxes"):
        _check_prompt(upload.prompt)
        read = import_tracks if format_ == "tracks" else import_boxes
        return read(data, upload.prompt, picture, limits, upload.canvas)
    return _cached(text, upload, limits, answer=not is_json)


def _check_prompt(prompt: str) -> None:
    """Of a file that has none of its own. Raises UserError."""
    if not prompt.strip():
        raise UserError("the file has no prompt of its own", remedy="type the prompt first, then import the file")
    check_prompt(prompt)


def _guess(data: Any, is_json: bool) -> str:
    if not is_json:
        return "answer"
    if isinstance(data, dict) and "objects" in data and "frames" not in data:
        return "layout"
    if looks_like_boxes(data):
        return "boxes"
    strings = isinstance(data, list) and data and all(isinstance(item, str) for item in data)
    return "tracks" if strings or looks_like_tracks(data) else "cache"


def _cached(text: str, upload: Upload, limits: Limits, *, answer: bool) -> Imported:
    """The prompt's layout in a cache of many, or a single answer."""
    if answer:
        _check_prompt(upload.prompt)
        rows = import_text(text, "the file", limits, prompt=upload.prompt, canvas=upload.canvas or TTOM_CANVAS)
    else:
        rows = import_text(text, "the file", limits, canvas=upload.canvas)
        wanted = " ".join(upload.prompt.lower().split())
        same = [row for row in rows if " ".join(row.prompt.lower().split()) == wanted]
        rows = same or rows
        if len(rows) > 1 and not same:
            some = "; ".join(repr(cut_short(row.prompt, 80)) for row in rows[:_NAMED])
            raise UserError(
                f"the file has {len(rows)} prompts, and yours is not among them",
                expected="the prompt of one of them",
                remedy=f"type one, such as {some}",
            )
    layout = rows[0].checked.layout
    if layout is None:
        raise UserError("; ".join(rows[0].checked.problems), expected="a layout that passes the planner's checks")
    return Imported(layout, rows[0].checked.changes)


def export_layout(layout: Layout, format_: str, size: VideoSize, fps: int) -> tuple[bytes, str, str]:
    """A layout as a file: its bytes, name and type. Raises UserError."""
    if format_ not in EXPORTS:
        raise UserError(f"there is no format {format_[:40]!r}", expected=f"one of {', '.join(EXPORTS)}")
    _, name, kind = EXPORTS[format_]
    if format_ == "layout":
        return (layout.model_dump_json(indent=2) + "\n").encode(), name, kind
    if format_ == "vace":
        return _vace(layout, size, fps), name, kind
    made: dict[str, Any] = {
        "ati": exporters.ati_tracks,
        "kjnodes": exporters.kjnodes_tracks,
        "comfyui": exporters.comfyui_boxes,
    }
    return json.dumps(made[format_](layout, size)).encode(), name, kind


def _vace(layout: Layout, size: VideoSize, fps: int) -> bytes:
    from ttom.video import write_video

    if size.height < _SMALLEST:  # an embedded model's picture
        size, fps = exporters.VACE_SIZE, exporters.VACE_FPS
    with files.Scratch() as folder:
        path = Path(folder) / "control.mp4"
        write_video(exporters.vace_video(layout, size), path, fps)
        return path.read_bytes()
