"""A frame as a picture: modality values, window, colours, region and size, as a file of pixels.

The steps are those of PS3.4, N.2: decode, rescale or Modality LUT, window or VOI LUT, presentation
(MONOCHROME1 is inverted), palette, display shutter, overlays; then the viewport of PS3.18,
8.3.5.1.3.
Errors  Refusal
"""

import io
import math
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import FileDataset
from pydicom.pixels.processing import apply_color_lut

from wardlight_cloud.dicomweb.jobs import Icon, Picture, Viewport
from wardlight_cloud.dicomweb.making.grey import grey
from wardlight_cloud.dicomweb.making.overlays import with_overlays
from wardlight_cloud.dicomweb.making.pixels import samples
from wardlight_cloud.dicomweb.making.png import png
from wardlight_cloud.dicomweb.making.presentation import lay_on, turned
from wardlight_cloud.dicomweb.making.reading import read
from wardlight_cloud.dicomweb.making.refusal import Refusal
from wardlight_cloud.dicomweb.making.shutter import shuttered
from wardlight_cloud.imaging.decoding import Samples, frame_count, has_pixels

_MOST_FRAMES: Final = 512  # of an animation
_COLOURS: Final = 3
_BYTE: Final = 8


def picture(file: str, wanted: Picture, state: str = "") -> bytes:
    """One frame, or with frame 0 all of them as a GIF; ``state``: file of a presentation state."""
    dataset = read(file)
    if not has_pixels(dataset):
        raise Refusal("The instance has no pixels.")
    if state:
        return _encoded(_presented(dataset, read(state), wanted), wanted)
    if wanted.frame:
        return _encoded(_image(dataset, wanted.frame, wanted), wanted)
    count = frame_count(dataset)
    if count > _MOST_FRAMES:
        raise Refusal(f"An animation has at most {_MOST_FRAMES} frames; ask for single ones.")
    images = [_image(dataset, number, wanted) for number in range(1, count + 1)]
    octets = io.BytesIO()
    images[0].save(
        octets, "GIF", save_all=True, append_images=images[1:], duration=wanted.frame_ms, loop=0
    )
    return octets.getvalue()


def icon(wanted: Icon) -> bytes:
    """Letters on a dark ground."""
    image = Image.new("L", (wanted.size, wanted.size), 24)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(max(8, wanted.size // 4))
    draw.text((wanted.size / 2, wanted.size / 2), wanted.text, fill=200, anchor="mm", font=font)
    return _encoded(image, Picture(1, wanted.media_type))


def _presented(dataset: FileDataset, state: FileDataset, wanted: Picture) -> Image.Image:
    if int(dataset.get("SamplesPerPixel") or 1) > 1:
        raise Refusal("A grayscale presentation state is not for images in colour.")
    lay_on(dataset, state, wanted.frame)
    return _fitted(_picture_of(turned(state, _shown(dataset, wanted.frame, wanted))), wanted)


def _image(dataset: FileDataset, frame: int, wanted: Picture) -> Image.Image:
    return _fitted(_picture_of(_shown(dataset, frame, wanted)), wanted)


def _picture_of(shown: Samples) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(shown))


def _shown(dataset: FileDataset, frame: int, wanted: Picture) -> Samples:
    array, meaning = samples(dataset, frame, as_rgb=True)
    if meaning == "PALETTE COLOR":
        array = _bytes(apply_color_lut(array, dataset), 16)
        shown = array[..., :_COLOURS]
    elif array.ndim > 2:
        shown = _bytes(array, int(dataset.get("BitsStored") or _BYTE))
    else:
        shown = grey(dataset, frame, array, meaning, wanted.window)
    return with_overlays(dataset, frame, shuttered(dataset, shown))


def _bytes(array: Samples, bits: int) -> Samples:
    """Colours of more than eight bits as those of eight."""
    if array.dtype == np.uint8:
        return array
    return (array >> max(0, bits - _BYTE)).clip(0, 255).astype(np.uint8)


def _fitted(image: Image.Image, wanted: Picture) -> Image.Image:
    viewport: Viewport | None = wanted.viewport
    if viewport is None:
        return image
    if viewport.region is not None:
        image = _region(image, *viewport.region)
    scale = min(viewport.width / image.width, viewport.height / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    if size == image.size:
        return image
    return image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)


def _region(
    image: Image.Image, left: float, top: float, width: float, height: float
) -> Image.Image:
    """A part of the image; mirrored where a width or height is negative."""
    box = (
        max(0, math.floor(left)), max(0, math.floor(top)),
        min(image.width, math.ceil(left + abs(width))),
        min(image.height, math.ceil(top + abs(height))),
    )  # fmt: skip
    if box[0] >= box[2] or box[1] >= box[3]:
        raise Refusal("The region of the viewport lies outside the image.")
    part = image.crop(box)
    if width < 0:
        part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return part.transpose(Image.Transpose.FLIP_TOP_BOTTOM) if height < 0 else part


def _encoded(image: Image.Image, wanted: Picture) -> bytes:
    if wanted.media_type == "image/png":
        return png(np.asarray(image))
    octets = io.BytesIO()
    if wanted.media_type == "image/jpeg":
        image.save(octets, "JPEG", quality=wanted.quality)
    else:
        image.save(octets, "GIF")
    return octets.getvalue()
