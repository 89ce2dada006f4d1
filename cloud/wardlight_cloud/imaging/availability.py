"""Instance Availability: how soon what a search found can be had, told of each level.

ONLINE       at once
NEARLINE     a part lies in the slow place
OFFLINE      a part cannot be had before somebody acts: it is known to be damaged or missing
UNAVAILABLE  nothing can be had: every file is known to be damaged or missing

So it is not said of a study that a retrieval of it would succeed, where one of its instances would
fail; nor that nothing can be had of it, where its other instances can.

Source  PS3.3 C.4.23.1.1; PS3.4 C.4.1.1.3.2
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from wardlight_cloud.store.imaging import ImageRow, InstanceRef, Lacking

_NOTHING: Final = Lacking(is_cold=False, doubted=0)


class Availability(StrEnum):
    """Values of (0008,0056)."""

    ONLINE = "ONLINE"
    NEARLINE = "NEARLINE"
    OFFLINE = "OFFLINE"
    UNAVAILABLE = "UNAVAILABLE"


class Available:
    """Tells it of studies and series.

    ``lacking``: as ImageStore has it; without it nothing lacks.
    """

    def __init__(self, lacking: Mapping[tuple[str, str], Lacking] | None = None) -> None:
        self._series = lacking or {}
        self._studies: dict[str, Lacking] = {}
        for (study_uid, _), each in self._series.items():
            before = self._studies.get(study_uid, _NOTHING)
            self._studies[study_uid] = Lacking(
                before.is_cold or each.is_cold, before.doubted + each.doubted
            )

    def study(self, row: ImageRow) -> Availability:
        """That of the study of a row."""
        return _of(self._studies.get(row.study_uid, _NOTHING), row.study_instances)

    def series(self, row: ImageRow) -> Availability:
        """That of the series of a row."""
        key = (row.study_uid, row.series_uid or "")
        return _of(self._series.get(key, _NOTHING), row.series_instances)


def of_instance(ref: InstanceRef) -> Availability:
    """That of one file."""
    return _of(Lacking(ref.tier == "cold", int(ref.is_doubted)), 1)


def _of(lacking: Lacking, instances: int) -> Availability:
    if lacking.doubted:
        is_all = lacking.doubted >= instances
        return Availability.UNAVAILABLE if is_all else Availability.OFFLINE
    return Availability.NEARLINE if lacking.is_cold else Availability.ONLINE
