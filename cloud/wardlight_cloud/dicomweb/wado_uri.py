"""One object by query parameters (WADO-URI; PS3.18, 9): ``/dicom-web/wado?requestType=WADO&...``.

contentType  application/dicom (as stored, or transferSyntax), image/jpeg, image/png, image/gif,
             application/pdf, text/html; without it a picture, a page, or the file, by what it is
Also         frameNumber, rows, columns, region, windowCenter, windowWidth, imageQuality
anonymize is refused: this server would have to answer with what it must not tell.
"""

from collections.abc import Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from wardlight_cloud.dicomweb.access import Reach
from wardlight_cloud.dicomweb.addresses import uid
from wardlight_cloud.dicomweb.errors import bad_request, not_acceptable, not_found
from wardlight_cloud.dicomweb.jobs import Viewport, Window
from wardlight_cloud.dicomweb.located import Locator, frame_numbers, require_whole, tell_tier
from wardlight_cloud.dicomweb.octets import Octets
from wardlight_cloud.dicomweb.picture_parameters import (
    LARGEST_SIDE,
    PictureParameters,
    quality_of,
    window_of,
)
from wardlight_cloud.dicomweb.rendered import HTML, JPEG, Rendered
from wardlight_cloud.dicomweb.representation import answer
from wardlight_cloud.dicomweb.retrieve import DICOM, stored, transcoded
from wardlight_cloud.dicomweb.syntaxes import EXPLICIT_LITTLE
from wardlight_cloud.dicomweb.transcoded import Transcoder
from wardlight_cloud.store.imaging import InstanceRef

_ANY: Final = ("*/*", "image/*")


class WadoUri:
    """Answers requests by parameters."""

    def __init__(
        self, locator: Locator, octets: Octets, transcoder: Transcoder, rendered: Rendered
    ) -> None:
        self._locator = locator
        self._octets = octets
        self._transcoder = transcoder
        self._rendered = rendered

    async def retrieve(self, request: Request, reach: Reach) -> Response:
        """The object that the parameters name."""
        given = request.query_params
        if given.get("requestType") != "WADO":
            raise bad_request("requestType: expected WADO")
        if given.get("anonymize") is not None:
            raise not_acceptable("anonymize is not supported.")
        ref = await self._locator.instance_of(_uid(given, "objectUID"), reach)
        if (ref.study_uid, ref.series_uid) != (_uid(given, "studyUID"), _uid(given, "seriesUID")):
            raise not_found("instance in this series")
        tell_tier(request, (ref,))
        require_whole((ref,))
        kinds = [each.partition(";")[0].strip().lower()
                 for each in given.get("contentType", "").split(",") if each.strip()]  # fmt: skip
        kinds = kinds or [_natural(ref)]
        if DICOM in kinds:
            return await self._file(request, ref, given.get("transferSyntax"))
        frame = given.get("frameNumber")
        number = None if frame is None else frame_numbers(frame, ref.frame_count)[0]
        wanted = [JPEG if kind in _ANY else kind for kind in kinds]
        return await self._rendered.instance(request, ref, _asked(given, ref), number, wanted)

    async def _file(self, request: Request, ref: InstanceRef, syntax: str | None) -> Response:
        if syntax in (None, "", "*", ref.transfer_syntax):
            return answer(request, self._octets, stored(ref))
        if syntax != EXPLICIT_LITTLE:
            raise not_acceptable("transferSyntax: as stored, or 1.2.840.10008.1.2.1.")
        return await transcoded(request, self._octets, self._transcoder, ref)


def _natural(ref: InstanceRef) -> str:
    """What an object is asked for as when nobody says it (PS3.18, 9.1.2.1)."""
    if ref.frame_count:
        return JPEG
    return HTML if ref.sop_class.startswith("1.2.840.10008.5.1.4.1.1.88.") else DICOM


def _uid(given: Mapping[str, str], name: str) -> str:
    if name not in given:
        raise bad_request(f"{name} is missing")
    return uid(given[name], name)


def _asked(given: Mapping[str, str], ref: InstanceRef) -> PictureParameters:
    window = None
    if "windowCenter" in given or "windowWidth" in given:
        window = _window(given)
    ignored = ("annotation",) if "annotation" in given else ()
    quality = quality_of(given.get("imageQuality", "90"))
    return PictureParameters(window, _viewport(given, ref), quality, ignored)


def _window(given: Mapping[str, str]) -> Window:
    if "windowCenter" not in given or "windowWidth" not in given:
        raise bad_request("windowCenter and windowWidth go together")
    return window_of(f"{given['windowCenter']},{given['windowWidth']}")


def _viewport(given: Mapping[str, str], ref: InstanceRef) -> Viewport | None:
    rows, columns, region = (given.get(name) for name in ("rows", "columns", "region"))
    if rows is None and columns is None and region is None:
        return None
    sides = [_side(text) if text else LARGEST_SIDE for text in (columns, rows)]
    if rows is None and columns is None:
        sides = [ref.columns_px or 1, ref.rows or 1]
    return Viewport(sides[0], sides[1], None if region is None else _region(region, ref))


def _side(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= LARGEST_SIDE):
        raise bad_request(f"rows, columns: expected whole numbers from 1 to {LARGEST_SIDE}")
    return int(text)


def _region(text: str, ref: InstanceRef) -> tuple[float, float, float, float]:
    """Two corners in parts of the image, from 0 to 1, as a region in pixels."""
    try:
        left, top, right, bottom = (float(each) for each in text.split(","))
    except ValueError as error:
        raise bad_request("region: expected xmin,ymin,xmax,ymax from 0 to 1") from error
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise bad_request("region: expected xmin,ymin,xmax,ymax from 0 to 1")
    width, height = ref.columns_px, ref.rows
    return left * width, top * height, (right - left) * width, (bottom - top) * height
