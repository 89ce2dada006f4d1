"""ToldTimeStore: Observations by the time that their device told; on every engine."""

import pytest

from support.readings import DEVICE, NOW, SECOND, BatchMaker, One, Rec, wire
from support.store import admit, all_rows
from wardlight_cloud.store.batch import Detail
from wardlight_cloud.store.postgres import PostgresStore
from wardlight_cloud.store.queries import ObservationQuery

pytestmark = pytest.mark.either_engine

make = BatchMaker()
TOLD = "2016-01-01T00:00:07"


async def test_what_a_device_told_of_when(store: PostgresStore) -> None:
    ward = await admit(store)
    other = await admit(store, device="ble:0000000000FF")
    detail = Detail(0, None, None, TOLD, None, ())
    pressure = [
        One(metric, NOW, value, detail=detail)
        for metric, value in (("systolic_bp", 120), ("diastolic_bp", 80))
    ]
    later = Detail(0, None, None, "2016-01-01T00:00:08", None, ())
    await store.ingest([
        make(
            Rec(1, pressure), Rec(2, [One("heart_rate", NOW, 60, detail=detail)]),
            Rec(3, [One("heart_rate", NOW + SECOND, 61, detail=later)]),
            Rec(4, [One("heart_rate", NOW, 62, device="ble:0000000000FF", detail=detail)]),
            Rec(5, [One("heart_rate", NOW + 2 * SECOND, 63)]),
        )
    ])  # fmt: skip
    rows = await all_rows(store, ObservationQuery(devices=(ward.device,)))
    ids = {(row.origin.metric, row.device_time): row.observation_id for row in rows}
    assert {row.circumstances.device for row in rows} == {DEVICE}
    panel, rate = wire("blood_pressure"), wire("heart_rate")
    for metrics, times, found in (
        ((panel,), (TOLD,), [ids[panel, TOLD]]), ((rate,), (TOLD,), [ids[rate, TOLD]]),
        ((panel, rate), ("nothing", TOLD), [ids[panel, TOLD], ids[rate, TOLD]]),
        ((wire("systolic_bp"),), (TOLD,), []), ((rate,), ("2016",), []), ((rate,), (), []),
    ):  # fmt: skip
        told = await store.observations_told([ward.device], metrics, times)
        assert sorted(told) == sorted(found)
    assert len(await store.observations_told([ward.device, other.device], [rate], [TOLD])) == 2
    assert await store.observations_told([], [rate], [TOLD]) == ()
