"""Fills a store with a month of spot measurements of many patients, by the product's own ingest.

Each patient has a cuff (8 measurements a day, 4 readings each, with device time) and a spot
oximeter (17 a day, 2 readings each): 66 readings, 50 Observations a day. They come hour by hour,
one commit an hour, as they would from a clinic's gateway.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final
from uuid import UUID, uuid5

from wardlight_cloud.ingest.batches import batches
from wardlight_cloud.store.base import Patient, Store
from wardlight_shared.codes import METRICS
from wardlight_shared.envelope import Clock, Envelope, SeriesEntry
from wardlight_shared.records import Body, EventBody, SeriesKey, TimeMethod, event_ord
from wardlight_shared.timestamps import ClockQuality, utc_ms_from_datetime

GATEWAY: Final = "gw-clinic"
_EPOCH: Final = 4_611_686_018_427_387_001
_NAMESPACE: Final = UUID("2d7c3b0e-6f43-4b8e-9e0b-51f4a0a4c8d2")
_CUFF: Final = ("systolic_bp", "diastolic_bp", "mean_bp", "pulse_rate_nibp")
_OXIMETER: Final = ("spo2", "pulse_rate_oximeter")
_SERIES: Final = len(_CUFF) + len(_OXIMETER)
_LONG_AGO: Final = datetime(2000, 1, 1, tzinfo=UTC)
_DEVICE_EPOCH_MS: Final = utc_ms_from_datetime(_LONG_AGO)
_HOUR_MS: Final = 3_600_000
_ERROR_MS: Final = 2000


@dataclass(frozen=True, slots=True)
class Population:
    """Who there is, and since when: the first of the days, midnight UTC."""

    patients: int
    days: int
    first_day: datetime

    @classmethod
    def until_today(cls, patients: int, days: int) -> "Population":
        """A population whose last whole day was yesterday."""
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return cls(patients, days, midnight - timedelta(days=days))

    def patient_id(self, place: int) -> UUID:
        """The same for the same place."""
        return uuid5(_NAMESPACE, f"patient {place}")


async def register(store: Store, people: Population) -> None:
    """Gateway, patients, devices and assignments."""
    await store.put_gateway(GATEWAY)
    for place in range(people.patients):
        patient = Patient(
            patient_id=people.patient_id(place), family=f"Family{place}", given="Given",
            birth_date=None, gender="unknown", identifiers=(), commit_seq=0, updated_at=_LONG_AGO,
        )  # fmt: skip
        await store.put_patient(patient)
        for identity in _identities(place):
            device = await store.put_device(identity, gateway=GATEWAY)
            await store.assign(device, patient.patient_id, user=None, valid_from=_LONG_AGO)


async def ingest(store: Store, people: Population, say: Callable[[str], None]) -> int:
    """All readings; returns how many rows were stored."""
    stored = seq = 0
    chance = random.Random(7)
    now_ms = utc_ms_from_datetime(datetime.now(UTC))
    for hour in range(24 * people.days):
        if hour % (24 * 5) == 0:
            say(f"day {hour // 24} of {people.days}: {stored:,} rows")
        envelope = _hour(people, hour, seq, chance)
        seq += len(envelope.bodies)
        for batch in batches(envelope, now_ms):
            stored += sum(result.rows_stored for result in await store.ingest([batch]))
    return stored


def _hour(people: Population, hour: int, last_seq: int, chance: random.Random) -> Envelope:
    start_ms = utc_ms_from_datetime(people.first_day) + hour * _HOUR_MS
    bodies: list[Body] = []
    times_ms: list[int] = []
    used: list[int] = []
    event_ids: list[bytes | None] = []
    for place, is_cuff in _measured(people, hour):
        time_ms = start_ms + (place * 13 + 7 * is_cuff) % 60 * 60_000 + place % 60 * 1000
        event_id = chance.randbytes(16)
        numbers, body = (_pressure if is_cuff else _spot)(place, time_ms, event_id, chance)
        used += numbers
        bodies.append(body)
        times_ms.append(time_ms)
        event_ids.append(event_id)
    return Envelope(
        version=1, gateway=GATEWAY, epoch=_EPOCH, batch=hour, sent_at_ms=start_ms + _HOUR_MS,
        offset_min=60, clocks=[Clock(int(ClockQuality.NTP), 5)],
        series=[SeriesEntry(number, _key(number)) for number in used],
        seqs=[last_seq + 1, *[1] * (len(bodies) - 1)],
        times_ms=[times_ms[0], *(after - before for before, after in pairwise(times_ms))],
        clock_of=None, event_ids=event_ids, bodies=bodies,
    )  # fmt: skip


def _measured(people: Population, hour: int) -> Iterator[tuple[int, bool]]:
    """(patient, whether by the cuff) for each measurement of an hour."""
    for place in range(people.patients):
        if (place + hour) % 3 == 0:
            yield place, True
        if (7 * place + hour) % 24 < 17:
            yield place, False


def _pressure(
    place: int, time_ms: int, event_id: bytes, chance: random.Random
) -> tuple[range, EventBody]:
    systolic, diastolic = chance.randint(105, 155), chance.randint(60, 95)
    numbers = range(place * _SERIES, place * _SERIES + len(_CUFF))
    values = [systolic, diastolic, (systolic + 2 * diastolic) // 3, chance.randint(55, 95)]
    device_time = (time_ms - _DEVICE_EPOCH_MS) // 1000
    return numbers, _event(numbers, values, event_id, device_time)


def _spot(
    place: int, time_ms: int, event_id: bytes, chance: random.Random
) -> tuple[range, EventBody]:
    del time_ms  # this oximeter has no clock
    numbers = range(place * _SERIES + len(_CUFF), (place + 1) * _SERIES)
    return numbers, _event(
        numbers, [chance.randint(90, 99), chance.randint(55, 95)], event_id, None
    )


def _event(
    numbers: range, values: list[int], event_id: bytes, device_time: int | None
) -> EventBody:
    return EventBody(
        age_ms=0, method=TimeMethod.DEVICE_CLOCK, error_ms=_ERROR_MS,
        ord=event_ord(None, event_id), device_time=device_time, skew_s=None,
        series=list(numbers), mantissas=values, scales=[0] * len(values),
    )  # fmt: skip


def _key(number: int) -> SeriesKey:
    place, kind = divmod(number, _SERIES)
    metric = (*_CUFF, *_OXIMETER)[kind]
    return SeriesKey(_identities(place)[kind >= len(_CUFF)], METRICS[metric].wire)


def _identities(place: int) -> tuple[str, str]:
    """Cuff and oximeter."""
    return f"ble:C0{place:010X}", f"ble:0C{place:010X}"
