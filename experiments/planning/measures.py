"""What layouts are like, whatever their prompts ask for: bounds, overlap, evenness of motion, and what they took."""

from __future__ import annotations

import itertools
import math
from statistics import fmean
from typing import Any

from ttom.layout.model import Box, Layout
from ttom.layout.report import PlannerReport

TIMES = tuple(k / 5 for k in range(6))
"""Moments of the video at which layouts are measured: the key frames of a foreign plan."""


def iou(a: Box, b: Box) -> float:
    """Intersection over union."""
    width = max(0.0, min(a.x1, b.x1) - max(a.x0, b.x0))
    height = max(0.0, min(a.y1, b.y1) - max(a.y0, b.y0))
    both = width * height
    return both / (a.width * a.height + b.width * b.height - both)


def overlap(layout: Layout) -> float | None:
    """Mean IoU of all pairs of objects over the times at which both are in the picture; None for a single object."""
    pairs = []
    for time in TIMES:
        boxes = [box for box in (item.box_at(time) for item in layout.objects) if box is not None]
        pairs += [iou(a, b) for a, b in itertools.combinations(boxes, 2)]
    return fmean(pairs) if pairs else None


def roughness(layout: Layout) -> float:
    """Mean length of the second difference of the centers over the times, in pictures; 0 is even motion."""
    bends = []
    for item in layout.objects:
        boxes = [item.box_at(time) for time in TIMES]
        for three in zip(boxes, boxes[1:], boxes[2:], strict=False):
            if all(box is not None for box in three):
                (ax, ay), (bx, by), (cx, cy) = (box.center for box in three if box is not None)
                bends.append(math.hypot(ax - 2 * bx + cx, ay - 2 * by + cy))
    return fmean(bends) if bends else 0.0


class LayoutMeasures:
    """Sums over layouts.

    Attributes:
        seconds: Wall seconds of all planning, refused prompts included; set from outside.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._layouts = 0
        self._boxes = self._before = self._after = self._drawn = 0
        self._overlaps: list[float] = []
        self._roughness: list[float] = []
        self._costs: list[float | None] = []

    def add(self, layout: Layout, report: PlannerReport) -> None:
        """Count a layout; the report of a foreign plan says how many boxes left the picture before the checks."""
        drawn = [frame.box for item in layout.objects for frame in item.key_frames]
        outside = sum(min(b.x0, b.y0) < 0 or max(b.x1, b.y1) > 1 for b in drawn)
        self._layouts += 1
        self._drawn += len(drawn)
        self._after += outside
        self._boxes += len(drawn) if report.boxes is None else report.boxes
        self._before += outside if report.boxes_out_of_bounds is None else report.boxes_out_of_bounds
        shared = overlap(layout)
        self._overlaps += [] if shared is None else [shared]
        self._roughness.append(roughness(layout))
        self.add_cost(report)

    def add_cost(self, report: PlannerReport) -> None:
        """Count what a plan cost, also one that failed; unknown where a language model's prices are."""
        self._costs.append(report.cost_usd if report.planner == "llm" else 0.0)

    def report(self) -> dict[str, Any]:
        """Shares, means, and seconds and dollars a layout; None where there is nothing to divide by."""
        known = [cost for cost in self._costs if cost is not None]
        return {
            "layouts": self._layouts,
            "boxes": self._boxes,
            "out_of_bounds_before_checks": _share(self._before, self._boxes),
            "out_of_bounds_after_checks": _share(self._after, self._drawn),
            "mean_overlap_iou": round(fmean(self._overlaps), 4) if self._overlaps else None,
            "mean_roughness": round(fmean(self._roughness), 4) if self._roughness else None,
            "seconds_per_layout": round(self.seconds / self._layouts, 4) if self._layouts and self.seconds else None,
            "cost_usd": round(sum(known), 6) if len(known) == len(self._costs) else None,
        }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
