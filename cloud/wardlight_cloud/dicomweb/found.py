"""Answers to searches: rows of the index as DICOM JSON, with counts and addresses.

Each result has what PS3.18 demands at its level (tables 10.6.3-3 to 10.6.3-5), what was matched,
and what ``includefield`` names. Without a study in the path, results below the study have the
study's attributes too, and likewise for the series.
"""

from collections.abc import Sequence
from typing import Any, Final

import orjson

from wardlight_cloud.dicomweb.addresses import instance_address, series_address, study_address
from wardlight_cloud.dicomweb.attributes import INSTANCE_ALWAYS, SERIES_ALWAYS, STUDY_ALWAYS
from wardlight_cloud.dicomweb.query import Search
from wardlight_cloud.imaging.availability import Availability, Available, of_instance
from wardlight_cloud.store.imaging import ImageRow, Level

_Json = dict[str, Any]


class Results:
    """Makes results of rows; ``above``: levels whose UID stands in the path.

    ``available``: knows what of these rows cannot be had at once.
    """

    def __init__(
        self,
        search: Search,
        root: str,
        above: frozenset[Level],
        available: Available,
    ) -> None:
        self._search = search
        self._root = root
        self._level = search.query.level
        self._tells_study = Level.STUDY not in above
        self._tells_series = Level.SERIES not in above
        self._available = available

    def of(self, rows: Sequence[ImageRow]) -> bytes:
        """A JSON array; one result at a time is more than its text in memory."""
        return b"[" + b",".join(map(self.one, rows)) + b"]"

    def one(self, row: ImageRow, header: bytes | None = None) -> bytes:
        """A JSON object. ``header``: the whole one, where fields are asked for no level has."""
        return orjson.dumps(self._result(row, header), option=orjson.OPT_SORT_KEYS)

    def _result(self, row: ImageRow, header: bytes | None) -> _Json:
        result: _Json = {}
        if self._level is Level.STUDY or self._tells_study:
            result = self._study(row)
        if self._level is Level.SERIES or (self._level is Level.INSTANCE and self._tells_series):
            result |= self._series(row)
        if self._level is Level.INSTANCE:
            result |= self._instance(row, header)
        result["00080005"] = {"vr": "CS", "Value": ["ISO_IR 192"]}  # PS3.18, F.2: JSON is UTF-8
        return result

    def _kept(self, octets: bytes, always: frozenset[str]) -> _Json:
        return self._chosen(orjson.loads(octets), always)

    def _chosen(self, attributes: _Json, always: frozenset[str]) -> _Json:
        if self._search.all_fields:
            return attributes
        fields = self._search.fields
        return {tag: each for tag, each in attributes.items() if tag in always or tag in fields}

    def _study(self, row: ImageRow) -> _Json:
        return {
            **_blank(_STUDY_BLANKS),
            **self._kept(row.study, STUDY_ALWAYS),
            "0020000D": {"vr": "UI", "Value": [row.study_uid]},
            "00080056": _available(self._available.study(row)),
            "00080061": {"vr": "CS", "Value": list(row.modalities)},
            "00080062": {"vr": "UI", "Value": list(row.sop_classes)},
            "00081190": {"vr": "UR", "Value": [study_address(self._root, row.study_uid)]},
            "00201206": {"vr": "IS", "Value": [row.study_series]},
            "00201208": {"vr": "IS", "Value": [row.study_instances]},
        }

    def _series(self, row: ImageRow) -> _Json:
        series_uid = row.series_uid or ""
        address = series_address(self._root, row.study_uid, series_uid)
        return {
            **_blank(_SERIES_BLANKS),
            **self._kept(row.series or b"{}", SERIES_ALWAYS),
            "0020000D": {"vr": "UI", "Value": [row.study_uid]},
            "0020000E": {"vr": "UI", "Value": [series_uid]},
            "00080056": _available(self._available.series(row)),
            "00081190": {"vr": "UR", "Value": [address]},
            "00201209": {"vr": "IS", "Value": [row.series_instances]},
        }

    def _instance(self, row: ImageRow, header: bytes | None) -> _Json:
        ref = row.ref
        if ref is None:
            return {}
        fields = {} if header is None else self._chosen(without_bulk(header), frozenset())
        result = (
            fields
            | self._kept(row.instance or b"{}", INSTANCE_ALWAYS)
            | {
                "0020000D": {"vr": "UI", "Value": [ref.study_uid]},
                "0020000E": {"vr": "UI", "Value": [ref.series_uid]},
                "00080016": {"vr": "UI", "Value": [ref.sop_class]},
                "00080018": {"vr": "UI", "Value": [ref.sop_uid]},
                "00080056": _available(of_instance(ref)),
                "00081190": {"vr": "UR", "Value": [instance_address(self._root, ref)]},
            }
        )
        if ref.transfer_syntax:
            result["00083002"] = {"vr": "UI", "Value": [ref.transfer_syntax]}
        return result


def without_bulk(header: bytes) -> _Json:
    """A header without the values that it names by an address only."""
    attributes: _Json = orjson.loads(header)
    return {tag: each for tag, each in attributes.items() if not _is_large(each)}


def _is_large(element: _Json) -> bool:
    if element["vr"] == "SQ":
        return b'"BulkDataURI"' in orjson.dumps(element)
    return "BulkDataURI" in element or "InlineBinary" in element


def is_told_by(row: ImageRow, fields: frozenset[str]) -> bool:
    """Whether the attributes of a row's levels have all of these."""
    parts = (row.study, row.series or b"{}", row.instance or b"{}")
    return fields <= set().union(*(orjson.loads(part) for part in parts))


_STUDY_BLANKS: Final = {
    "00080020": "DA", "00080030": "TM", "00080050": "SH", "00080090": "PN", "00100010": "PN",
    "00100020": "LO", "00100030": "DA", "00100040": "CS", "00200010": "SH",
}  # fmt: skip
_SERIES_BLANKS: Final = {"00080060": "CS", "00200011": "IS"}


def _blank(attributes: dict[str, str]) -> _Json:
    """Attributes of type 2: they are there, without a value."""
    return {tag: {"vr": vr} for tag, vr in attributes.items()}


def _available(found: Availability) -> _Json:
    return {"vr": "CS", "Value": [str(found)]}
