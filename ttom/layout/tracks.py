"""Tracks of ATI and KJNodes, and ComfyUI's boxes, made into layouts.

Both are drawn in pixels of some canvas and mostly without names, and tracks have no sizes. What is missing comes from
the prompt: its objects, as the rules planner reads them, are given to the tracks in order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ttom.errors import UserError, cut_short
from ttom.layout.drafts import Draft, DraftObject, Limits, Rectangle, check_draft
from ttom.layout.english import singular
from ttom.layout.limits import MAX_OBJECTS, parse_json
from ttom.layout.model import KeyFrame, Layout, LayoutObject
from ttom.layout.rules import planner as rules

MAX_FRAMES = 10_000
"""Points of a track, or frames of boxes, that are read."""
CANVASES = ((832, 480), (480, 832), (720, 480), (512, 512), (1280, 720), (720, 1280), (1360, 768), (1920, 1080))
"""Sizes that others draw on; the first that holds everything is taken where nobody says."""
_SAMPLES = 241
"""Frames of a path that are looked at; straight stretches then become one."""
_TOLERANCE = 0.004
"""How far a straight stretch may be from what was drawn, as a share of the picture."""
_FAR = 10**6  # pixels; also of infinite numbers, which Python's JSON has
_TRACKS = 'tracks as [{"x": 10, "y": 20}, ...], one list or several'
_BOXES = 'boxes as {"x": 0, "y": 0, "width": 10, "height": 10}: one, those of a picture, or those of every frame'

Canvas = tuple[int, int]
_Frame = list[tuple[str, Rectangle]]


@dataclass(frozen=True)
class Imported:
    """A layout, and what was assumed or changed on the way."""

    layout: Layout
    notes: tuple[str, ...]


def looks_like_tracks(data: Any) -> bool:
    """Whether parsed JSON may be tracks of points."""
    first = _first(data)
    return isinstance(first, dict) and {"x", "y"} <= first.keys() and "width" not in first


def looks_like_boxes(data: Any) -> bool:
    """Whether parsed JSON may be ComfyUI's boxes."""
    first = _first(data)
    return isinstance(first, dict) and {"x", "y", "width", "height"} <= first.keys()


def _first(data: Any) -> Any:
    while isinstance(data, list) and data:
        data = next((item for item in data if item != []), None)
    return data


def import_tracks(data: Any, prompt: str, size: Canvas, limits: Limits, canvas: Canvas | None = None) -> Imported:
    """A layout whose boxes follow the tracks.

    Args:
        data: Parsed JSON: a track, or a list of tracks, perhaps each as text.
        prompt: What the video shows; its objects get the tracks in order.
        size: Width and height of the model's picture.
        limits: Limits on boxes, as for every plan from outside.
        canvas: Width and height that the tracks were drawn on; found out if None.

    Raises:
        UserError: They are not tracks, there are more of them than objects, or they leave the picture.
    """
    tracks = _read_tracks(data)
    canvas, note = _canvas([point for track in tracks for point in track], size, canvas)
    things = _things(prompt, size, len(tracks))
    longest = max(map(len, tracks))
    frames: list[_Frame] = []
    for index in _sampled(longest):
        frame: _Frame = []
        for thing, track in zip(things, tracks, strict=False):
            if index < len(track):  # a shorter one has left the picture
                x, y = track[index][0] / canvas[0], track[index][1] / canvas[1]
                box = thing.key_frames[0].box
                frame.append((thing.id, (x - box.width / 2, y - box.height / 2, x + box.width / 2, y + box.height / 2)))
        frames.append(frame)
    objects = [DraftObject(thing.id, thing.phrase, thing.noun) for thing in things[: len(tracks)]]
    notes = [note, *(f"track {n}: {item.phrase}" for n, item in enumerate(objects, start=1))]
    return _checked(objects, frames, prompt, limits, [*notes, "tracks have no sizes: these are the planner's"])


def import_boxes(data: Any, prompt: str, size: Canvas, limits: Limits, canvas: Canvas | None = None) -> Imported:
    """A layout of ComfyUI's boxes; a name in their metadata tells which object a box is. Arguments as `import_tracks`.

    Raises:
        UserError: They are not boxes, or there are more of them than objects.
    """
    frames = _read_boxes(data)
    corners = [(b[2], b[3]) for frame in frames for _, b in frame]
    canvas, note = _canvas(corners, size, canvas)
    names = list(dict.fromkeys(name for frame in frames for name, _ in frame))
    unnamed = [name for name in names if name.startswith("#")]
    things = iter(_things(prompt, size, len(unnamed)) if unnamed else [])
    objects = []
    for name in names:
        phrase = name.rpartition(" #")[0]
        if phrase:
            objects.append(DraftObject(name, phrase, singular(phrase).split()[-1]))
        else:
            thing = next(things)
            objects.append(DraftObject(name, thing.phrase, thing.noun))
    numbered = enumerate(zip(names, objects, strict=True), start=1)
    ids = {name: f"{singular(item.phrase)}-{number}"[:100] for number, (name, item) in numbered}
    objects = [DraftObject(ids[item.id], item.phrase, item.noun) for item in objects]
    scaled = [
        [(ids[name], (b[0] / canvas[0], b[1] / canvas[1], b[2] / canvas[0], b[3] / canvas[1])) for name, b in frame]
        for frame in (frames[index] for index in _sampled(len(frames)))
    ]
    if len(scaled) == 1:
        scaled *= 2
    notes = [note, *(f"box {n}: {item.phrase}" for n, item in enumerate(objects, start=1))]
    whole_pixels = max(_TOLERANCE, 1 / min(canvas))
    return _checked(objects, scaled, prompt, limits, notes, whole_pixels)


def _checked(
    objects: list[DraftObject],
    frames: list[_Frame],
    prompt: str,
    limits: Limits,
    notes: list[str],
    tolerance: float = _TOLERANCE,
) -> Imported:
    draft = Draft(tuple(objects), tuple(tuple(frame) for frame in frames))
    checked = check_draft(draft, prompt, limits, source="import")
    if checked.layout is None:
        raise UserError("; ".join(checked.problems), expected="boxes of the prompt's objects, inside the picture")
    return Imported(simplified(checked.layout, tolerance), (*notes, *checked.changes))


def _read_tracks(data: Any) -> list[list[tuple[float, float]]]:
    if isinstance(data, list) and data and all(isinstance(item, str) for item in data):
        data = [_parsed(text) for text in data[: MAX_OBJECTS + 1]]
    lists = [data] if isinstance(data, list) and data and isinstance(data[0], dict) else data
    if not isinstance(lists, list) or not lists:
        raise UserError("the file holds no tracks", expected=_TRACKS)
    _check_number(lists, "tracks", MAX_OBJECTS)
    tracks = []
    for points in lists:
        if not isinstance(points, list) or not points:
            raise UserError("a track is not a list of points", expected=_TRACKS)
        _check_number(points, "points in a track", MAX_FRAMES)
        if isinstance(points[0], dict) and "width" in points[0]:
            raise UserError("the file holds boxes", expected=_TRACKS)
        read = [_numbers(point, ("x", "y"), _TRACKS) for point in points]
        tracks.append([(x, y) for x, y in (read if len(read) > 1 else read * 2)])
    return tracks


def _read_boxes(data: Any) -> list[list[tuple[str, Rectangle]]]:
    """For each frame the boxes with names: what their metadata says, or their place in the frame; made unique."""
    if isinstance(data, dict):
        data = [data]
    if not isinstance(data, list) or not data:
        raise UserError("the file holds no boxes", expected=_BOXES)
    frames = [data] if isinstance(data[0], dict) else data
    _check_number(frames, "frames", MAX_FRAMES)
    read = []
    for frame in frames:
        if not isinstance(frame, list):
            raise UserError("a frame is not a list of boxes", expected=_BOXES)
        _check_number(frame, "boxes in a frame", MAX_OBJECTS)
        seen: dict[str, int] = {}
        boxes = []
        for box in frame:
            x, y, width, height = _numbers(box, ("x", "y", "width", "height"), _BOXES)
            name = _name(box)
            seen[name] = seen.get(name, 0) + 1
            boxes.append((f"{name} #{seen[name]}".strip(), (x, y, x + width, y + height)))
        read.append(boxes)
    if not any(read):
        raise UserError("the file holds no boxes", expected=_BOXES)
    return read


def _name(box: dict[str, Any]) -> str:
    about = box.get("metadata")
    for place in (about if isinstance(about, dict) else {}, box):
        for key in ("name", "label"):
            if isinstance(place.get(key), str) and place[key].strip():
                return cut_short(" ".join(place[key].split()), 100)
    return ""


def _numbers(item: Any, names: Sequence[str], expected: str) -> list[float]:
    values: list[Any] = [item.get(name) for name in names] if isinstance(item, dict) else []
    found = [min(max(value, -_FAR), _FAR) for value in values if type(value) in (int, float) and value == value]
    if not values or len(found) < len(values):
        raise UserError(f"{cut_short(repr(item), 80)} has no numbers {', '.join(names)}", expected=expected)
    return [float(value) for value in found]


def _parsed(text: str) -> Any:
    try:
        return parse_json(text.replace("'", '"'))  # KJNodes writes both
    except ValueError as error:
        raise UserError(f"a track is not JSON: {error}", expected=_TRACKS) from None


def _check_number(items: list[Any], what: str, most: int) -> None:
    if len(items) > most:
        raise UserError(f"there are {len(items)} {what}", expected=f"at most {most}")


def _sampled(count: int) -> list[int]:
    """Evenly spaced indices, the first and the last among them."""
    if count <= _SAMPLES:
        return list(range(count))
    return [round(k * (count - 1) / (_SAMPLES - 1)) for k in range(_SAMPLES)]


def _canvas(points: Sequence[tuple[float, float]], size: Canvas, canvas: Canvas | None) -> tuple[Canvas, str]:
    """The canvas, and a note that says which one."""
    if canvas is None:
        # Points may lie somewhat outside, where objects enter or leave; most do not.
        right, bottom = (sorted(side)[int(0.9 * (len(points) - 1))] for side in zip(*points, strict=True))
        fitting = [c for c in (size, *CANVASES) if right <= c[0] and bottom <= c[1]]
        canvas = fitting[0] if fitting else (math.ceil(right), math.ceil(bottom))
        return canvas, f"read as drawn on {canvas[0]} x {canvas[1]} pixels"
    return canvas, f"drawn on {canvas[0]} x {canvas[1]} pixels"


def _things(prompt: str, size: Canvas, number: int) -> list[LayoutObject]:
    """The objects of the prompt, at least so many. Raises UserError."""
    objects = list(rules.plan(prompt, aspect=size[0] / size[1], seed=0).objects)
    if len(objects) < number:
        raise UserError(
            f"the file has {number} objects without names, and the prompt names {len(objects)}",
            expected="an object in the prompt for each of them, in the same order",
            remedy="name them in the prompt",
        )
    return objects


def simplified(layout: Layout, tolerance: float = _TOLERANCE) -> Layout:
    """The layout without the key frames that a straight motion between their neighbors replaces."""
    straight = (_straightened(item.key_frames, tolerance) for item in layout.objects)
    changed = zip(layout.objects, straight, strict=True)
    objects = tuple(item.model_copy(update={"key_frames": key_frames}) for item, key_frames in changed)
    return layout.model_copy(update={"objects": objects})


def _straightened(frames: tuple[KeyFrame, ...], tolerance: float) -> tuple[KeyFrame, ...]:
    """Ramer, Douglas and Peucker: split at the key frame that is farthest from the straight motion."""
    times = np.array([frame.time for frame in frames])
    sides = np.array([(frame.box.x0, frame.box.y0, frame.box.x1, frame.box.y1) for frame in frames])
    kept, left = {0, len(frames) - 1}, [(0, len(frames) - 1)]
    while left:
        start, end = left.pop()
        if end - start < 2:
            continue
        share = ((times[start + 1 : end] - times[start]) / (times[end] - times[start]))[:, None]
        straight = (1 - share) * sides[start] + share * sides[end]
        distances = np.abs(straight - sides[start + 1 : end]).max(axis=1)
        if distances.max() > tolerance:
            middle = start + 1 + int(distances.argmax())
            kept.add(middle)
            left += [(start, middle), (middle, end)]
    places = sorted(kept)
    if len(places) == 2 and frames[0].box == frames[-1].box:
        places = places[:1]
    return tuple(frames[place] for place in places)
