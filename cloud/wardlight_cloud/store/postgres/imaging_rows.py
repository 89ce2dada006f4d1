"""Columns of the image index, from instances that are new and back into the contract's values."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Final

import msgspec
import zstandard

from wardlight_cloud.store.image_arrivals import InstanceHeader, NewInstance, Source
from wardlight_cloud.store.image_text import name_grams, stored_name
from wardlight_cloud.store.imaging import InstanceRef

_LARGEST_INT: Final = (1 << 31) - 1
_INFLATED_MOST: Final = 1 << 30
_LEVEL: Final = 3

Columns = list[list[Any]]

_STUDY: Final = (
    "StudyDate", "StudyTime", "AccessionNumber", "StudyID", "StudyDescription",
    "ReferringPhysicianName", "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate",
    "PatientSex",
)  # fmt: skip
_SERIES: Final = (
    "Modality", "SeriesDescription", "SeriesDate", "SeriesTime", "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime", "BodyPartExamined", "Laterality", "ProtocolName",
    "StationName", "InstitutionName", "Manufacturer", "ManufacturerModelName",
    "ScheduledProcedureStepID", "RequestedProcedureID",
)  # fmt: skip
_INSTANCE: Final = ("ContentDate", "ContentTime", "CompletionFlag", "VerificationFlag")
NAMES: Final = frozenset(("PatientName", "ReferringPhysicianName"))
"""Keywords whose columns hold names, as ``stored_name`` makes them."""

_fragments: Final[msgspec.msgpack.Decoder[tuple[tuple[tuple[int, int], ...], ...]]] = (
    msgspec.msgpack.Decoder(tuple[tuple[tuple[int, int], ...], ...])
)
_places: Final[msgspec.msgpack.Decoder[dict[str, tuple[int, int]]]] = msgspec.msgpack.Decoder(
    dict[str, tuple[int, int]]
)


def studies(instances: Iterable[NewInstance]) -> Columns:
    """One row a study, as add_studies and better_studies take them."""
    rows = [
        (
            each.header.study_uid,
            *(_text(each.header, keyword) for keyword in _STUDY),
            each.sha256, each.header.study,
        )
        for each in instances
    ]  # fmt: skip
    return _columns(rows, len(_STUDY) + 3)


def series(instances: Iterable[NewInstance], study_pks: Mapping[str, int]) -> Columns:
    """One row a series, as add_series and better_series take them."""
    rows = [
        (
            study_pks[each.header.study_uid], each.header.series_uid,
            _number(each.header, "SeriesNumber"),
            *(_text(each.header, keyword) for keyword in _SERIES),
            each.sha256, each.header.series,
        )
        for each in instances
    ]  # fmt: skip
    return _columns(rows, len(_SERIES) + 5)


def instances(new: Iterable[NewInstance], series_pk: Callable[[InstanceHeader], int]) -> Columns:
    """One row an instance, as add_instances takes them."""
    rows = [
        (
            series_pk(each.header), each.header.sop_uid, each.header.sop_class,
            each.header.transfer_syntax, _number(each.header, "InstanceNumber"),
            _bounded(each.header.frame_count), _bounded(each.header.rows),
            _bounded(each.header.columns_px), each.sha256,
            *(_text(each.header, keyword) for keyword in _INSTANCE), each.header.instance,
        )
        for each in new
    ]  # fmt: skip
    return _columns(rows, len(_INSTANCE) + 10)


def headers(new: Iterable[NewInstance], pks: Mapping[str, int]) -> Columns:
    """One row an instance, as add_headers takes them."""
    pack = zstandard.ZstdCompressor(level=_LEVEL).compress
    rows = [
        (
            pks[each.header.sop_uid],
            pack(each.header.header),
            pack(msgspec.msgpack.encode(each.header.frames)),
            pack(msgspec.msgpack.encode(dict(each.header.bulk))),
        )
        for each in new
    ]
    return _columns(rows, 4)


def files(new: Iterable[tuple[str, bytes, Source]]) -> Columns:
    """(SOP Instance UID, hash, source) as add_versions and add_uploads take them."""
    rows = [
        (
            sop_uid, sha256, each.way, each.gateway, each.spool, each.item, each.calling_ae,
            each.called_ae, each.peer, each.received_at, each.assumed_issuer,
        )
        for sop_uid, sha256, each in new
    ]  # fmt: skip
    return _columns(rows, 11)


def grams(header: InstanceHeader) -> list[str]:
    """Pieces of the patient's name."""
    return name_grams(_text(header, "PatientName"))


def header_of(packed: bytes) -> bytes:
    """The header as it was put on the index."""
    return zstandard.ZstdDecompressor().decompress(packed, max_output_size=_INFLATED_MOST)


def header_size(beginning: bytes) -> int:
    """Octets of a header, by the beginning of its packed form (RFC 8878, 3.1.1.1)."""
    return max(0, zstandard.frame_content_size(beginning))


def frames_of(packed: bytes) -> tuple[tuple[tuple[int, int], ...], ...]:
    """The frames as they were put on the index."""
    return _fragments.decode(header_of(packed))


def bulk_of(packed: bytes) -> dict[str, tuple[int, int]]:
    """The places of large values as they were put on the index."""
    return _places.decode(header_of(packed))


def ref_of(row: Any) -> InstanceRef:
    """An instance, from a row that has the columns of one."""
    return InstanceRef(
        row["study_uid"], row["series_uid"], row["sop_uid"], row["sop_class"],
        row["transfer_syntax"], row["sha256"], row["size"], row["instance_number"], row["rows_px"],
        row["columns_px"], row["frame_count"], row["tier"], row["stored_at"],
        row["is_doubted"],
    )  # fmt: skip


def source_of(row: Any) -> Source:
    """A source, from a row that has the columns of one."""
    return Source(
        row["way"], row["gateway"], row["spool"], row["item"], row["calling_ae"], row["called_ae"],
        row["peer"], row["received_at"], row["assumed_issuer"],
    )  # fmt: skip


def _text(header: InstanceHeader, keyword: str) -> str:
    text = header.columns.get(keyword, "").replace("\0", "")
    return stored_name(text) if keyword in NAMES else text


def _number(header: InstanceHeader, keyword: str) -> int | None:
    try:
        number = int(header.columns.get(keyword, ""))
    except ValueError:
        return None
    return number if abs(number) <= _LARGEST_INT else None


def _bounded(number: int) -> int:
    return min(max(number, 0), _LARGEST_INT)


def _columns(rows: Sequence[tuple[Any, ...]], count: int) -> Columns:
    flat = list(chain.from_iterable(rows))
    return [flat[place::count] for place in range(count)]
