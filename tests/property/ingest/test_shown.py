"""Whatever ingest takes, FHIR, the live feed and the pages can show: no page breaks on one row."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, given, settings

from support.any_envelope import messages
from support.envelopes import DEVICE, EPOCH, GATEWAY, NOW_MS
from wardlight_cloud.dashboard import views
from wardlight_cloud.fhir.observation import observation
from wardlight_cloud.ingest.pipeline import open_message, seqs_of
from wardlight_cloud.live.routes import latest_json
from wardlight_cloud.store.base import LatestRow
from wardlight_cloud.store.batch import Detail, IngestBatch
from wardlight_cloud.store.observation_rows import (
    Circumstances,
    Kind,
    ObservationRow,
    Origin,
)
from wardlight_cloud.store.observed import OBSERVED
from wardlight_shared.codes import BY_WIRE, METRICS
from wardlight_shared.envelope import MAX_SEQ
from wardlight_shared.errors import EnvelopeError
from wardlight_shared.model import ABSENT_BY_CODE
from wardlight_shared.records import TimeMethod
from wardlight_shared.timestamps import OFFSET_LIMIT_MIN, ClockQuality

PATIENT, PATIENTS_DEVICE = UUID(int=1), UUID(int=2)
STORED = datetime(2026, 3, 10, tzinfo=UTC)


def batches_of(message: bytes) -> list[IngestBatch]:
    try:
        return list(open_message(GATEWAY, message, NOW_MS))
    except EnvelopeError:
        return []  # the whole message is a dead letter


def rows_of(batch: IngestBatch) -> Iterator[tuple[dict[str, int], Detail | None, int]]:
    """Each reading as numbers, with what else is known of it and its offset."""
    columns = batch.readings
    details = {detail.row: detail for detail in batch.details}
    offsets = batch.offsets_of_rows()
    for place in range(len(columns)):
        row = {name: int(getattr(columns, name)[place]) for name in columns.__dataclass_fields__}
        yield row, details.get(place), int(offsets[place])


def as_observation(
    batch: IngestBatch, row: dict[str, int], detail: Detail | None, offset_min: int
) -> ObservationRow:
    key = batch.series[row["series"]]
    metric = BY_WIRE[key.metric]
    unit = metric.unit if key.unit is None else key.unit
    panel = metric.component_of
    shown = key.metric if panel is None else METRICS[panel].wire
    raw = None
    if panel is None and detail is not None and detail.raw_mantissa is not None:
        raw = (str(detail.raw_mantissa), key.raw_unit or "")
    return ObservationRow(
        observation_id="mzxw6ytboi",
        circumstances=Circumstances(
            origin=Origin(shown, PATIENT, PATIENTS_DEVICE, key.user, key.site),
            kinds=(Kind(key.metric, row["scale"], row["absent"], unit, row["flags"]),),
            gateway=batch.gateway,
            offset_min=offset_min,
            clock=row["clock"],
            error_ms=row["error_ms"],
        ),
        mantissas=(row["mantissa"],),
        time_us=row["time_us"],
        device_time=None if detail is None else detail.device_time,
        raw=raw,
        context=() if detail is None else detail.context,
        commit_seq=1,
        stored_at=STORED,
    )


def as_latest(batch: IngestBatch, row: dict[str, int]) -> LatestRow:
    key = batch.series[row["series"]]
    time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=row["time_us"])
    return LatestRow(
        PATIENT, 1, PATIENTS_DEVICE, key.metric, key.unit or "", key.user, time, STORED,
        row["mantissa"], row["scale"], row["absent"], row["flags"], row["error_ms"], 1,
    )  # fmt: skip


def texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for each in value:
                yield from texts(each)
        case dict():
            yield from texts(list(value.values()))


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)
@given(messages(device=DEVICE, epoch=EPOCH))
def test_every_reading_that_ingest_takes_can_be_shown(message: bytes) -> None:
    for batch in batches_of(message):
        for row, detail, offset_min in rows_of(batch):
            ClockQuality(row["clock"] & 15)
            TimeMethod(row["clock"] >> 4)
            assert row["absent"] < len(ABSENT_BY_CODE)
            assert abs(offset_min) <= OFFSET_LIMIT_MIN
            if batch.series[row["series"]].metric in OBSERVED:
                resource = json.loads(observation(as_observation(batch, row, detail, offset_min)))
                assert all(texts(resource)), "R4 has no empty text"
            latest = as_latest(batch, row)
            json.dumps(latest_json(latest))
            views.tile(latest)
            views.newest_by_metric([latest])


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)
@given(messages(device=DEVICE, epoch=EPOCH))
def test_every_record_that_ingest_takes_has_names_and_a_number(message: bytes) -> None:
    for batch in batches_of(message):
        assert all(1 <= seq <= MAX_SEQ for seq in seqs_of(batch))
        assert "" not in [status.device for status in batch.statuses]
        assert "" not in [name for gap in batch.gaps for name in (gap.device, gap.cause)]
        assert "" not in [key.device for key in batch.series]
