"""Finds the objects that an address names: the instance, its frames, all of a study or series.

What an instance is and where its frames are is remembered for a few seconds, for a viewer asks for
frame after frame. Whose study it is is asked each time, and who was given something of it is noted.
Errors  DicomWebError 404
        FileChangedError: another file of the UID was shown meanwhile; ask from the beginning
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from starlette.requests import Request

from wardlight_cloud.dicomweb.access import Reach, is_in_reach, require_study
from wardlight_cloud.dicomweb.addresses import path_uid
from wardlight_cloud.dicomweb.errors import DicomWebError, FileChangedError, bad_request, not_found
from wardlight_cloud.imaging.reads import ReadLog
from wardlight_cloud.store.imaging import ImageStore, InstanceRef

_REMEMBER_S: Final = 10.0
_MOST: Final = 4096
_MOST_FRAGMENTS: Final = 4096  # of an instance that is remembered

_REFERENCED_SERIES: Final = "00081115"
_REFERENCED_IMAGE: Final = "00081140"
_SOP_UID: Final = "00081155"
_FRAME: Final = "00081160"

Frames = tuple[tuple[tuple[int, int], ...], ...]


@dataclass(slots=True)
class Located:
    """An instance, and its frames once somebody asked for them."""

    ref: InstanceRef
    found_at: float
    frames: Frames | None = None


class Locator:
    """Looks up what paths name, within the reach of who asks."""

    def __init__(
        self, images: ImageStore, reads: ReadLog, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._images = images
        self._reads = reads
        self._clock = clock
        self._known: OrderedDict[str, Located] = OrderedDict()

    async def instance(self, request: Request, reach: Reach) -> InstanceRef:
        """The instance of a path ``/studies/{study}/series/{series}/instances/{instance}``."""
        study_uid, series_uid = path_uid(request, "study"), path_uid(request, "series")
        ref = await self.instance_of(path_uid(request, "instance") or "", reach)
        if ref.study_uid != study_uid or ref.series_uid != series_uid:
            raise not_found("instance in this series")
        tell_tier(request, (ref,))
        return ref

    async def instance_of(self, sop_uid: str, reach: Reach) -> InstanceRef:
        """The instance of a UID; one out of reach is answered as one that is not there."""
        ref = (await self._located(sop_uid)).ref
        if not await is_in_reach(self._images, reach, ref.study_uid):
            raise not_found("instance")
        self._reads.note(reach.reader, ref.study_uid, "dicomweb")
        return ref

    async def frames(self, ref: InstanceRef) -> Frames:
        """Fragments of each frame; () where frames cannot be cut out of the file as it is."""
        located = await self._located(ref.sop_uid)
        if located.ref.sha256 != ref.sha256:
            located = Located(ref, self._clock())
        if located.frames is None:
            frames = await self._images.frames(ref.sop_uid, ref.sha256)
            if frames is None:
                raise self.changed(ref)
            if sum(map(len, frames)) > _MOST_FRAGMENTS:
                return frames
            located.frames = frames
        return located.frames

    def changed(self, ref: InstanceRef) -> FileChangedError:
        """Forget an instance that the index tells otherwise by now; the error that says so."""
        self._known.pop(ref.sop_uid, None)
        return FileChangedError("another file of this SOP Instance UID is shown by now")

    async def all(self, request: Request, reach: Reach) -> tuple[InstanceRef, ...]:
        """Instances of the path's study, series or instance, in order."""
        study_uid = path_uid(request, "study") or ""
        if "instance" in request.path_params:
            return (await self.instance(request, reach),)
        await require_study(self._images, reach, study_uid)
        refs = await self._images.instances(study_uid, path_uid(request, "series"))
        if not refs:
            raise not_found("series in this study" if "series" in request.path_params else "study")
        self._reads.note(reach.reader, study_uid, "dicomweb")
        tell_tier(request, refs)
        return refs

    async def referenced(self, ref: InstanceRef) -> tuple[InstanceRef, int]:
        """The first image that a presentation state names, of its own study, and the frame."""
        header = await self._images.headers_of([ref.sop_uid])
        sop_uid, frame = first_reference(header[0][1]) if header else ("", 1)
        image = await self._images.instance(sop_uid) if sop_uid else None
        if image is None or image.study_uid != ref.study_uid:
            raise not_found("image that this presentation state names")
        return image, frame

    async def read(self, reach: Reach, study_uid: str) -> None:
        """Note that somebody reads a study that is there; DicomWebError 404 out of reach."""
        await require_study(self._images, reach, study_uid)
        self._reads.note(reach.reader, study_uid, "dicomweb")

    async def _located(self, sop_uid: str) -> Located:
        now = self._clock()
        known = self._known.get(sop_uid)
        if known is not None and now - known.found_at < _REMEMBER_S:
            self._known.move_to_end(sop_uid)
            return known
        ref = await self._images.instance(sop_uid)
        if ref is None:
            self._known.pop(sop_uid, None)
            raise not_found("instance")
        if ref.is_doubted:  # that it was mended is seen at once
            self._known.pop(sop_uid, None)
            return Located(ref, now)
        located = self._known[sop_uid] = Located(ref, now)
        self._known.move_to_end(sop_uid)
        while len(self._known) > _MOST:
            self._known.popitem(last=False)
        return located


def first_reference(header: bytes) -> tuple[str, int]:
    """UID and frame of the first image that a header names (PS3.3, C.11.11); "" where none."""
    known: Any = orjson.loads(header)
    for tag in (_REFERENCED_SERIES, _REFERENCED_IMAGE):
        known = next(iter(known.get(tag, {}).get("Value", ())), None) or {}
    uids, frames = (known.get(tag, {}).get("Value") or [] for tag in (_SOP_UID, _FRAME))
    frame = frames[0] if frames and isinstance(frames[0], int) and frames[0] > 0 else 1
    return (str(uids[0]) if uids else ""), frame


def tell_tier(request: Request, refs: Sequence[InstanceRef]) -> None:
    """Note on a request whether it is about something that lies in the slow place."""
    request.state.is_cold = any(ref.tier == "cold" for ref in refs)


def require_whole(refs: Sequence[InstanceRef]) -> None:
    """Refuse to give octets that are known to be damaged; DicomWebError 500."""
    doubted = sum(ref.is_doubted for ref in refs)
    if not doubted:
        return
    text = (
        "A check found that the stored file is damaged or missing, so it is not given out; "
        "the operator has to look (wardlight-cloud images scrub)."
    )
    if len(refs) > 1:
        text += (
            f" It is so with {doubted} of {len(refs)} instances; the others can be had one by one."
        )
    raise DicomWebError(500, text)


def frame_numbers(text: str, count: int) -> tuple[int, ...]:
    """Frames of a path ``1,4,5`` (from 1, PS3.18 10.4.1.1.4), each within ``count``."""
    numbers = []
    for each in text.split(","):
        if not (each.isascii() and each.isdigit() and len(each) < _DIGITS) or int(each) < 1:
            raise bad_request("frames: expected numbers from 1, joined by commas")
        numbers.append(int(each))
    if len(numbers) > _MOST_FRAMES:
        raise bad_request(f"frames: at most {_MOST_FRAMES} in one request")
    if max(numbers) > count:
        raise not_found(f"frame; the instance has {count}")
    return tuple(numbers)


_DIGITS: Final = 10
_MOST_FRAMES: Final = 10_000
