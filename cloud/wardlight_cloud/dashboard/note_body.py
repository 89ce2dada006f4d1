"""A key-image note as the viewer sends it: checked, and bounded before it is stored.

{"sop": UID, "frame": 1, "text": "...", "drawing": {"shapes": [{"kind": "length", "points":
[[column, row], [column, row]]}], "window": {"center", "width", "shape"}, "inverted": false},
"replaces": id of the note that it corrects, or absent}

Errors  NoteError with words for the reader
"""

import math
import re
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

TEXT_MAX: Final = 2000
BODY_MAX: Final = 64 * 1024
_UID: Final = re.compile(r"[0-9.]{1,64}")
_FURTHEST: Final = 1e6  # pixels: no image is so large

Point = tuple[float, float]


class NoteError(ValueError):
    """What is wrong with a note, in words for who wrote it."""


class Shape(Struct, frozen=True, forbid_unknown_fields=True):
    """One line, arrow or ellipse in image coordinates (column, row)."""

    kind: Literal["length", "arrow", "ellipse"]
    points: tuple[Point, Point]


class Window(Struct, frozen=True, forbid_unknown_fields=True):
    """The window the image was seen with."""

    center: float
    width: float
    shape: Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"] = "LINEAR"


class Drawing(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What was drawn and how the image was seen."""

    shapes: Annotated[tuple[Shape, ...], Meta(max_length=100)] = ()
    window: Window | None = None
    inverted: bool = False


class NoteBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A note before it has an author and a time; ``replaces``: the note that it corrects."""

    sop: str
    text: str
    frame: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    drawing: Drawing = Drawing()
    replaces: UUID | None = None


def note_body(body: bytes) -> NoteBody:
    """Decode and check."""
    try:
        note = msgspec.json.decode(body, type=NoteBody)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NoteError("The note could not be read. Reload the page and write it again.") from (
            error
        )
    if not note.text.strip():
        raise NoteError("Write something before you store the note.")
    if len(note.text) > TEXT_MAX:
        raise NoteError(f"The note has {len(note.text)} letters; {TEXT_MAX} are the most.")
    if _UID.fullmatch(note.sop) is None:
        raise NoteError("The note names no image.")
    if not all(map(_is_finite, note.drawing.shapes)):
        raise NoteError("What was drawn lies outside of any image.")
    return note


def _is_finite(shape: Shape) -> bool:
    return all(
        math.isfinite(place) and abs(place) <= _FURTHEST
        for point in shape.points
        for place in point
    )
