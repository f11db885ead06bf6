"""What a model cannot do of a layout, object by object, while it is being drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ttom.config import Settings
from ttom.errors import UserError, cut_short
from ttom.layout.english import find_phrase
from ttom.layout.model import Layout, LayoutObject
from ttom.prepare import check_words
from ttom.studio.errors import for_page

if TYPE_CHECKING:
    from ttom.backbones.protocol import Backbone
    from ttom.backbones.vocabulary import Vocabulary


def problems(layout: Layout, backbone: Backbone, vocabulary: Vocabulary, settings: Settings) -> list[dict[str, Any]]:
    """For each problem the object's index, the first latent frame it concerns (None for all), and what it is."""
    found = []
    for index, item in enumerate(layout.objects):
        words = _of_words(item, layout, backbone.name, vocabulary, settings.sampler.max_sequence_length)
        for frame, message in [*words, *_of_boxes(item, backbone, settings)]:
            found.append({"object": index, "frame": frame, "message": message})
    return found


def _of_words(
    item: LayoutObject, layout: Layout, model: str, vocabulary: Vocabulary, length: int
) -> list[tuple[None, str]]:
    if not find_phrase(layout.prompt, item.phrase):
        phrase = cut_short(item.phrase, 80)
        return [(None, f"{phrase!r} does not occur in the prompt; try: select its words there, or change the prompt")]
    alone = layout.model_copy(update={"objects": (item,)})
    try:
        check_words(model, vocabulary, alone)
        vocabulary.phrase_tokens(layout.prompt, item.phrase, length)
    except UserError as error:
        return [(None, for_page(f"{error.problem}; try: {error.remedy}" if error.remedy else error.problem))]
    return []


def _of_boxes(item: LayoutObject, backbone: Backbone, settings: Settings) -> list[tuple[int | None, str]]:
    from ttom.layout.raster import latent_times

    size = settings.sampler.size
    grid = backbone.token_grid(size)
    times = latent_times(grid.frames, size.frames, backbone.temporal_compression).tolist()
    boxes = [item.box_at(time) for time in times]
    if not any(boxes):
        moments = ", ".join(f"{time:.2f}" for time in times)
        return [(None, f"{item.phrase!r} is not visible at any of the times that the model has frames for: {moments}")]
    for frame, box in enumerate(boxes):
        if box is not None and (box.width * grid.width < 1 or box.height * grid.height < 1):
            least = f"{100 / grid.width:.0f}% x {100 / grid.height:.0f}% of the picture"
            return [(frame, f"the box of {item.phrase!r} is smaller than one token of the model, {least}")]
    return []
