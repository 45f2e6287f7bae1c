"""Images beside a conversation: where they lie, and how many tokens stand for one in a model's input.

A row names its images in a column `images`, and says with `<image>` in its turns where each of them stands, in order.
Paths that are not absolute begin at the folder of the data file, as LLaMA-Factory has it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftui.data.canonical import RowError
from ftui.data.jinja import Span
from ftui.units import plain

MARKER = "<image>"
LEAST_BYTES = 24
"""No picture is smaller: not even the header of a PNG."""
_BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*")
"""JPEG, PNG, GIF, WebP, BMP and both kinds of TIFF."""


@dataclass(frozen=True)
class ImageSlot:
    """How an image stands in the text: as so many tokens `<image>`, whatever its size."""

    count: int

    def expand(self, text: str, spans: Sequence[Span], images: int) -> tuple[str, tuple[Span, ...]]:
        """The text with all tokens of its `images` images, and where its spans are then.

        Raises RowError unless there are as many places as images, none of them in a span.
        """
        pieces = text.split(MARKER)
        if len(pieces) - 1 != images:
            raise RowError(f"it has {images} images, and {len(pieces) - 1} places for them ({MARKER})")
        places: list[int] = []
        for piece in pieces[:-1]:
            places.append((places[-1] + len(MARKER) if places else 0) + len(piece))
        if any(start <= place < end for start, end in spans for place in places):
            raise RowError("an image stands in what the assistant says")

        def moved(at: int) -> int:
            return at + len(MARKER) * (self.count - 1) * sum(place < at for place in places)

        return (MARKER * self.count).join(pieces), tuple((moved(start), moved(end)) for start, end in spans)


def slot_of(folder: Path, texts: Any) -> ImageSlot | None:
    """How images stand for the model in `folder`; None for one that ftui can't train on images.

    `texts` gives the text of a token's id.  Only LLaVA with CLIP's tower: each image is cut to one size, so that it has
    as many tokens as the tower has patches.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        vision = config["vision_config"]
        if config["model_type"] != "llava" or vision.get("model_type") != "clip_vision_model":
            return None
        # What a config leaves out is as in the classes of transformers.
        side = vision.get("image_size", 224) // vision.get("patch_size", 32)
        first = config.get("vision_feature_select_strategy", "default") != "default"
        token = texts(config.get("image_token_id", config.get("image_token_index", 32000)))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError):
        return None
    return ImageSlot(side * side + first) if token == MARKER else None


def as_parts(content: str) -> list[dict[str, str]]:
    """A turn's text as the list of texts and images that the templates of vision models read."""
    parts: list[dict[str, str]] = []
    for number, piece in enumerate(content.split(MARKER)):
        if number:
            parts.append({"type": "image"})
        if piece:
            parts.append({"type": "text", "text": piece})
    return parts or [{"type": "text", "text": ""}]


def found(names: Sequence[str], folder: Path) -> list[str]:
    """The absolute paths of a row's images; RowError for one that is not there or no picture."""
    paths = []
    for name in names:
        path = Path(name).expanduser()
        path = path if path.is_absolute() else folder / path
        try:
            with open(path, "rb") as file:
                start = file.read(LEAST_BYTES)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise RowError(f"its image {plain(name)} can't be read: {reason}") from None
        if len(start) < LEAST_BYTES or not start.startswith(_BEGINNINGS):
            raise RowError(f"its image {plain(name)} is no JPEG, PNG, WebP, GIF, BMP or TIFF")
        paths.append(str(path.absolute()))
    return paths
