"""The header of a DICOM file: what the index holds of an instance.

Runs in a process of its own (imaging/pool.py), which has bounds in memory and time; a file is never
parsed beside anything else.

In      a file (PS3.10)
Out     InstanceHeader; DICOM JSON in UTF-8
Errors  HeaderError: no DICOM file, no UIDs, a data set that cannot be read, that is cut off, or
        that is too large
Source  PS3.5; PS3.10, 7; PS3.18, annex F
"""

import io
import struct
import warnings
import zlib
from dataclasses import replace
from typing import Any, BinaryIO, Final

import orjson
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.filereader import read_dataset
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from wardlight_cloud.imaging.columns import count_of, instance_header, text_of
from wardlight_cloud.imaging.elements import PIXEL_DATA, TEXT_INLINE, Json, Walk, json_of
from wardlight_cloud.imaging.errors import HeaderError
from wardlight_cloud.imaging.file_meta import read_meta
from wardlight_cloud.imaging.pixels import Pixels, Shape, pixels
from wardlight_cloud.imaging.wholeness import check_whole
from wardlight_cloud.store.image_arrivals import InstanceHeader
from wardlight_shared.transfer_syntaxes import DEFLATED
from wardlight_shared.uids import is_uid

LARGEST_JSON: Final = 64 * 1024 * 1024
INFLATED_BYTES: Final = 256 * 1024 * 1024
_WITHOUT_PATIENT: Final = frozenset(
    f"1.2.840.10008.5.1.4.{number}"
    for number in ("38.1", "39.1", "43.1", "44.1", "45.1", "1.1.200.1", "1.1.200.3", "1.1.200.7",
                   "1.1.201.1")
)  # fmt: skip
"""Storage classes of objects that are no patient's (PS3.4, annex GG)."""
_UIDS: Final = {
    "00080018": "SOP Instance UID",
    "00080016": "SOP Class UID",
    "0020000D": "Study Instance UID",
    "0020000E": "Series Instance UID",
}
_PIECE: Final = 1024 * 1024
_UNREADABLE: Final = (
    BytesLengthException, EOFError, KeyError, LookupError, OSError, OverflowError, RecursionError,
    TypeError, ValueError, AttributeError, NotImplementedError, AssertionError, struct.error,
)  # fmt: skip
"""What pydicom raises for files that are damaged; the bounds of the process hold for the rest."""


def read_header(file: BinaryIO, *, inflated_bytes: int = INFLATED_BYTES) -> InstanceHeader:
    """Read a file's header, and where its frames are."""
    meta = read_meta(file)
    syntax = meta.transfer_syntax
    file.seek(meta.place)
    is_deflated = syntax in DEFLATED
    source = _inflated(file, inflated_bytes) if is_deflated else file
    begins = source.tell()
    check_whole(source, syntax)
    source.seek(begins)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what pydicom warns about may quote the file
            found = _header(source, syntax, can_place=not is_deflated)
    except _UNREADABLE as error:
        raise HeaderError(
            "parse", f"the file's data set cannot be read ({type(error).__name__})"
        ) from None
    return replace(found, meta_uid=meta.sop_instance, meta_class=meta.sop_class)


def _inflated(file: BinaryIO, most: int) -> BinaryIO:
    """The data set of a deflated file; no file may become larger than ``most``."""
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    found = io.BytesIO()
    try:
        while piece := file.read(_PIECE):
            while piece and not inflate.eof:
                found.write(inflate.decompress(piece, _PIECE))
                if found.tell() > most:
                    raise HeaderError("size", f"the file inflates to more than {most} bytes")
                piece = inflate.unconsumed_tail
        found.write(inflate.flush())
    except zlib.error:
        raise HeaderError("parse", "the file's data set cannot be inflated") from None
    if not inflate.eof:
        raise HeaderError("cut", "the file is cut off: its deflated data set does not end")
    found.seek(0)
    return found


def _header(file: BinaryIO, syntax: str, *, can_place: bool) -> InstanceHeader:
    is_implicit = syntax == ImplicitVRLittleEndian
    is_little_endian = syntax != ExplicitVRBigEndian
    dataset = read_dataset(
        file, is_implicit, is_little_endian, stop_when=_at_pixels, defer_size=TEXT_INLINE
    )
    stopped_at = file.tell()
    walk = Walk(file, can_place)
    header = json_of(dataset, walk)
    file.seek(stopped_at)
    found = _pixels(file, dataset, header, is_little_endian=is_little_endian)
    if found is not None:
        key = f"{found.tag:08X}"
        header[key] = {"vr": found.vr, "BulkDataURI": f"@/{key}"}
        if found.whole is not None and can_place:
            walk.bulk[key] = found.whole
    size = file.seek(0, io.SEEK_END)
    walk.bulk = {path: span for path, span in walk.bulk.items() if sum(span) <= size}
    return _made(header, syntax, walk, found.frames if found and can_place else ())


def _at_pixels(tag: int, _vr: str | None, _length: int) -> bool:
    return tag in PIXEL_DATA


def _pixels(
    file: BinaryIO, dataset: Dataset, header: Json, *, is_little_endian: bool
) -> Pixels | None:
    head = file.read(8)
    if len(head) < 8:
        return None
    file.seek(-8, io.SEEK_CUR)
    # The file may be of the other kind than its transfer syntax says; pydicom has looked.
    is_implicit = not (head[4:6].isalpha() and head[4:6].isupper())
    found = pixels(
        file, _shape(dataset, header), is_implicit=is_implicit, is_little_endian=is_little_endian
    )
    return found if found.tag in PIXEL_DATA else None


def _shape(dataset: Dataset, header: Json) -> Shape:
    return Shape(
        rows=count_of(header, "00280010"),
        columns=count_of(header, "00280011"),
        samples=count_of(header, "00280002") or 1,
        bits_allocated=count_of(header, "00280100"),
        frame_count=count_of(header, "00280008"),
        is_subsampled=text_of(header, "00280004") == "YBR_FULL_422",
        offsets=_table(dataset, 0x7FE00001),
        lengths=_table(dataset, 0x7FE00002),
    )


def _table(dataset: Dataset, tag: int) -> list[int]:
    element: Any = dataset._dict.get(tag)  # type: ignore[call-overload]
    octets = getattr(element, "value", None)
    if not isinstance(octets, bytes) or len(octets) % 8:
        return []
    return [number for (number,) in struct.iter_unpack("<Q", octets)]


def _made(
    header: Json, syntax: str, walk: Walk, frames: tuple[tuple[tuple[int, int], ...], ...]
) -> InstanceHeader:
    text = orjson.dumps(dict(sorted(header.items())))
    if len(text) > LARGEST_JSON:
        raise HeaderError("size", f"the header has more than {LARGEST_JSON} bytes as JSON")
    for tag, name in _UIDS.items():
        _check_uid(header, tag, name)
    return instance_header(header, text, syntax, frames=frames, bulk=walk.bulk)


def _check_uid(header: Json, tag: str, name: str) -> None:
    uid = text_of(header, tag)
    if not uid and text_of(header, "00080016") in _WITHOUT_PATIENT:
        raise HeaderError(
            "study",
            "the file is of no study, and so of no patient (a palette, protocol or template): "
            "objects of its storage class are not kept here",
        )
    if not uid:
        raise HeaderError("uid", f"the file has no {name}")
    if not is_uid(uid):
        raise HeaderError("uid", f"the file's {name} is no UID")
