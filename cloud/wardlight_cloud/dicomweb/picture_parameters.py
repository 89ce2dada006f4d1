"""Parameters of rendered images (PS3.18, 8.3.5): window, viewport, quality.

    window=40,400,linear      viewport=512,512      viewport=256,256,0,0,100,-100      quality=80
Errors  DicomWebError 400
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from wardlight_cloud.dicomweb.errors import DicomWebError, bad_request
from wardlight_cloud.dicomweb.jobs import Viewport, Window

LARGEST_SIDE: Final = 8192
_SHAPES: Final = ("linear", "linear-exact", "sigmoid")
_SIZE, _SIZE_AND_REGION = 2, 6
_IGNORED: Final = ("annotation", "iccprofile", "charset")


@dataclass(frozen=True, slots=True)
class PictureParameters:
    """How a picture is to look; ``ignored``: parameters that change nothing here."""

    window: Window | None = None
    viewport: Viewport | None = None
    quality: int = 90
    ignored: tuple[str, ...] = ()

    def warning(self, service: str) -> str | None:
        """The Warning header."""
        if not self.ignored:
            return None
        names = ", ".join(self.ignored)
        return f'299 {service} "These parameters are not supported and were not used: {names}"'


def picture_parameters(given: Mapping[str, str]) -> PictureParameters:
    """Of a query."""
    return PictureParameters(
        window_of(given["window"]) if "window" in given else None,
        viewport_of(given["viewport"]) if "viewport" in given else None,
        quality_of(given.get("quality", "90")),
        tuple(name for name in _IGNORED if name in given),
    )


def window_of(text: str) -> Window:
    """``center,width,function``."""
    parts = text.split(",")
    if len(parts) not in (2, 3) or (len(parts) == 3 and parts[2].lower() not in _SHAPES):
        raise bad_request("window: expected center,width,function with linear, linear-exact or "
                          "sigmoid")  # fmt: skip
    shape = parts[2].lower() if parts[2:] else "linear"
    center, width = _number(parts[0], "window"), _number(parts[1], "window")
    if width <= 0 or (shape == "linear" and width < 1):
        raise bad_request("window: the width must be 1 or more (sigmoid, linear-exact: above 0)")
    return Window(center, width, shape)  # type: ignore[arg-type]


def viewport_of(text: str) -> Viewport:
    """``width,height`` and a region of the image, ``left,top,width,height``."""
    parts = text.split(",")
    if len(parts) not in (_SIZE, _SIZE_AND_REGION):
        raise _no_viewport()
    width, height = (_side(each) for each in parts[:_SIZE])
    if len(parts) == _SIZE:
        return Viewport(width, height)
    # An empty place of the region has its default: the corner, and the whole image.
    defaults = ("0", "0", "1e9", "1e9")
    region = [_number(each.strip() or default, "viewport")
              for each, default in zip(parts[_SIZE:], defaults, strict=True)]  # fmt: skip
    if region[0] < 0 or region[1] < 0 or not region[2] or not region[3]:
        raise _no_viewport()
    return Viewport(width, height, (region[0], region[1], region[2], region[3]))


def quality_of(text: str) -> int:
    """1 to 100."""
    quality = _number(text, "quality")
    if not 1 <= quality <= 100:
        raise bad_request("quality: expected a number from 1 to 100")
    return int(quality)


def _side(text: str) -> int:
    side = _number(text, "viewport")
    if not 1 <= side <= LARGEST_SIDE:
        raise _no_viewport()
    return round(side)


def _no_viewport() -> DicomWebError:
    return bad_request(
        f"viewport: expected width,height from 1 to {LARGEST_SIDE}, and a region "
        "left,top,width,height of the image"
    )


def _number(text: str, name: str) -> float:
    try:
        number = float(text) if text.isascii() and len(text) < 64 else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise bad_request(f"{name}: expected numbers")
    return number
