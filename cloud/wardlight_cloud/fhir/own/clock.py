"""Coincident timestamps: what a device's clock said at an instant of the gateway's time.

Where a gateway has read a device's clock, it moved the times of that device by what the clock was
off. So the measured time and the time as sent are one instant on two clocks, and each such reading
leads to an Observation that says both. It is about the device, no patient's measurement: found by a
read, for whoever may read the reading.

Source  PHD IG PhdCoincidentTimeStampObservation (code by kind of clock: MDC_ATTR_TIME_ABS, or _BO
        where the device states its offset; component time synchronisation)
"""

from datetime import datetime, timedelta, timezone
from typing import Any, Final

from wardlight_cloud.fhir.observation import gateway_reference
from wardlight_cloud.fhir.observation_texts import (
    CLOCK_ID,
    compared,
    instant,
)
from wardlight_cloud.fhir.resources import MDC, NO_SYNC, TIME_SYNC
from wardlight_cloud.fhir.vocabulary import PHD_CATEGORY
from wardlight_cloud.store.observation_rows import ObservationRow
from wardlight_shared.timestamps import OFFSET_LIMIT_MIN

PROFILE: Final = "http://hl7.org/fhir/uv/phd/StructureDefinition/PhdCoincidentTimeStampObservation"
_ABSOLUTE: Final = {"system": MDC, "code": "67975", "display": "MDC_ATTR_TIME_ABS"}
_BASE_OFFSET: Final = {"system": MDC, "code": "68225", "display": "MDC_ATTR_TIME_BO"}


def is_clock(resource_id: str) -> bool:
    """Whether an id is, or could only be, one of these."""
    return resource_id.startswith(CLOCK_ID)


def coincident(row: ObservationRow) -> dict[str, Any] | None:
    """That of a reading; None: its gateway has not compared the clocks."""
    about = row.circumstances
    offset_min = about.offset_min if abs(about.offset_min) <= OFFSET_LIMIT_MIN else 0
    told = compared(about.clock, row.device_time)
    if told is None:
        return None
    states_zone = told.tzinfo is not None
    zone = timezone(timedelta(minutes=offset_min))
    return {
        "resourceType": "Observation",
        "id": CLOCK_ID + row.observation_id,
        "meta": {
            "versionId": str(row.commit_seq),
            "lastUpdated": instant(row.stored_at),
            "profile": [PROFILE],
        },
        "status": "final",
        "category": [{"coding": [{"system": PHD_CATEGORY, "code": "phd"}]}],
        "code": {"coding": [_BASE_OFFSET if states_zone else _ABSOLUTE]},
        "subject": {"reference": f"Device/{row.origin.device_id}"},
        "effectiveDateTime": _written(row.time.astimezone(zone)),
        "device": {"reference": gateway_reference(about.gateway)},
        # PHD IG: a gateway adds its own offset to a time without one.
        "valueDateTime": _written(told if states_zone else told.replace(tzinfo=zone)),
        "component": [
            {"code": {"coding": [TIME_SYNC]}, "valueCodeableConcept": {"coding": [NO_SYNC]}}
        ],
    }


def _written(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds")
