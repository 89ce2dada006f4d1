"""IngestStore: what one call stores, says and leaves out; on every engine."""

from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import numpy as np
import pytest

from support.readings import (
    DEVICE,
    EPOCH,
    GATEWAY,
    NOW,
    SECOND,
    BatchMaker,
    One,
    Rec,
    cuff,
    pulse,
    us,
)
from support.store import Place, admit, all_rows
from wardlight_cloud.store.base import DeviceRow
from wardlight_cloud.store.batch import (
    Detail,
    GapRow,
    LedgerState,
    Quarantined,
    Rejected,
    StatusRow,
    WaveformRow,
)
from wardlight_cloud.store.postgres import PostgresStore
from wardlight_cloud.store.queries import ObservationQuery
from wardlight_shared.codes import METRICS
from wardlight_shared.errors import StorageError
from wardlight_shared.model import Flag
from wardlight_shared.records import SeriesKey

pytestmark = pytest.mark.either_engine

make = BatchMaker()
ECG = SeriesKey(DEVICE, METRICS["ecg_lead_i"].wire)


async def _values(place: Place) -> list[tuple[int, int, int, int]]:
    rows = await place.execute(
        "SELECT metric, mantissa, ord, absent FROM reading JOIN series USING (series_id) "
        "ORDER BY time, metric, ord"
    )
    return [tuple(row) for row in rows]


@pytest.mark.each_engine
async def test_rows_ledger_and_commit(place: Place, store: PostgresStore) -> None:
    batch = make(Rec(1, [pulse(NOW, 60), pulse(NOW + SECOND, 61)]), Rec(2, cuff(NOW, 120, 80)))
    (result,) = await store.ingest([batch])
    assert result.ledger == LedgerState(GATEWAY, EPOCH, 2, (), ())
    assert (result.rows_stored, result.rows_known, result.rows_quarantined) == (4, 0, 0)
    assert result.records_known == 0
    assert result.commit_seq == await store.commit_seq() > 0
    assert await _values(place) == [(2, 60, 0, 0), (7, 120, 0, 0), (8, 80, 0, 0), (2, 61, 0, 0)]


@pytest.mark.each_engine
async def test_every_column_comes_back_as_it_went_in(place: Place, store: PostgresStore) -> None:
    """Extremes of each type, and the batch's own facts."""
    one = One(
        "body_weight", NOW, -(1 << 62), scale=-128, absent=0, flags=(1 << 61) | 1, ord=(1 << 31) - 1
    )
    maker = BatchMaker(offset_min=-720, clock=0x33, error_ms=-1)
    await store.ingest([maker(Rec(1, [one]))])
    (row,) = await place.execute("SELECT * FROM reading")
    assert row["time"] == NOW
    assert (row["mantissa"], row["scale"], row["absent"]) == (-(1 << 62), -128, 0)
    assert (row["flags"], row["ord"], row["error_ms"]) == ((1 << 61) | 1, (1 << 31) - 1, -1)
    assert (row["offset_min"], row["clock"]) == (-720, 0x33)
    assert row["commit_seq"] == await store.commit_seq()
    (gateway,) = await place.execute(
        "SELECT gateway FROM gateway WHERE gateway_id = $1", row["gateway_id"]
    )
    assert gateway["gateway"] == GATEWAY


async def test_no_batches_no_commit(store: PostgresStore) -> None:
    before = await store.commit_seq()
    assert await store.ingest([]) == []
    assert await store.commit_seq() == before


async def test_a_record_without_readings_is_settled(store: PostgresStore) -> None:
    (result,) = await store.ingest([make(Rec(1), Rec(2))])
    assert result.ledger.upto == 2
    assert result.rows_stored == 0


async def test_settled_ranges_above_a_gap(store: PostgresStore) -> None:
    (result,) = await store.ingest([make(Rec(2), Rec(3), Rec(7))])
    assert (result.ledger.upto, result.ledger.ranges) == (0, ((2, 3), (7, 7)))
    (result,) = await store.ingest([make(Rec(1), Rec(5))])
    assert (result.ledger.upto, result.ledger.ranges) == (3, ((5, 5), (7, 7)))
    assert await store.ledger(GATEWAY, EPOCH) == result.ledger


async def test_each_batch_of_a_call_gets_the_state_after_all(store: PostgresStore) -> None:
    other = BatchMaker(gateway="gw-other", epoch=9)
    results = await store.ingest([make(Rec(1)), other(Rec(4)), make(Rec(2))])
    assert [result.ledger.upto for result in results] == [2, 0, 2]
    assert results[1].ledger == LedgerState("gw-other", 9, 0, ((4, 4),), ())


async def test_unknown_ledger_is_empty(store: PostgresStore) -> None:
    assert await store.ledger("gw-nobody", 5) == LedgerState("gw-nobody", 5, 0, (), ())


async def test_epochs_are_ledgers_of_their_own(store: PostgresStore) -> None:
    await store.ingest([make(Rec(1))])
    (result,) = await store.ingest([BatchMaker(epoch=EPOCH + 1)(Rec(1, [pulse(NOW, 60)]))])
    assert (result.records_known, result.rows_stored) == (0, 1)


async def test_rejected_records_are_settled_and_shown(store: PostgresStore) -> None:
    letter = Rejected(2, "$[7]: expected int", b"\x91\x01")
    (result,) = await store.ingest([make(Rec(1), rejected=[letter])])
    assert result.ledger == LedgerState(GATEWAY, EPOCH, 2, (), ((2, "$[7]: expected int"),))
    (shown,) = await store.dead_letters()
    assert (shown.gateway, shown.epoch, shown.seq) == (GATEWAY, EPOCH, 2)
    assert (shown.reason, shown.size_bytes, shown.released) == ("$[7]: expected int", 2, False)
    (again,) = await store.ingest([make(Rec(1), rejected=[letter])])
    assert again.records_known == 2
    assert len(await store.dead_letters()) == 1


async def test_a_batch_of_dead_letters_only(store: PostgresStore) -> None:
    (result,) = await store.ingest([make(rejected=[Rejected(3, "bad", b"x")])])
    assert result.ledger.ranges == ((3, 3),)


async def test_released_letters_leave_the_ack_and_enter_the_receipt(store: PostgresStore) -> None:
    letters = [Rejected(1, "a", b"1"), Rejected(2, "b", b"2")]
    await store.ingest([make(rejected=letters)])
    assert await store.released(GATEWAY, EPOCH) == ()
    newest_first = [letter.seq for letter in await store.dead_letters()]
    assert newest_first == [2, 1]
    await store.release_dead_letter((await store.dead_letters())[1].letter_id)
    assert await store.released(GATEWAY, EPOCH) == (1,)
    state = await store.ledger(GATEWAY, EPOCH)
    assert (state.upto, state.rejected) == (2, ((2, "b"),))
    assert [letter.seq for letter in await store.dead_letters()] == [2]
    assert len(await store.dead_letters(count=0)) == 0


async def test_messages_without_a_header_have_letters_and_no_ledger(store: PostgresStore) -> None:
    """Epoch 0: a number made from the bytes, up to 63 bits, says nothing of an outbox."""
    nobody = BatchMaker(epoch=0)
    letter = Rejected((1 << 63) - 1, "$: not an envelope", b"\xff" * 10)
    results = await store.ingest([nobody(rejected=[letter]), make(Rec(1))])
    assert results[0].ledger == LedgerState(GATEWAY, 0, 0, (), ())
    await store.ingest([nobody(rejected=[letter])])
    assert [each.seq for each in await store.dead_letters()] == [(1 << 63) - 1]
    assert [report.epoch for report in await store.ledger_report()] == [EPOCH]


async def test_an_impossible_seq_blocks_nobody(store: PostgresStore) -> None:
    (result,) = await store.ingest([make(Rec(1), Rec((1 << 63) - 1, [pulse(NOW, 60)]))])
    assert result.ledger.upto == 1
    assert result.rows_stored == 1


async def test_gaps_settle_their_seqs_with_their_cause(store: PostgresStore) -> None:
    gap = GapRow(0, us(NOW), us(NOW + SECOND), DEVICE, "thinned", 120, ((2, 4), (6, 6)))
    loss = GapRow(0, us(NOW), us(NOW + SECOND), DEVICE, "link-lost", 7, ())
    (result,) = await store.ingest([make(Rec(1), gaps=[gap, loss])])
    assert (result.ledger.upto, result.ledger.ranges) == (4, ((6, 6),))
    await store.note_hello(GATEWAY, EPOCH, 8, "0.1.0")
    (report,) = await store.ledger_report(GATEWAY)
    assert (report.recorded, report.stored, report.rejected) == (8, 1, 0)
    assert dict(report.removed) == {"thinned": 4}
    assert dict(report.losses) == {"link-lost": 7}
    assert report.missing == ((5, 5), (7, 8))


async def test_a_removed_record_that_arrives_after_all_is_stored(store: PostgresStore) -> None:
    """It was under way when the gateway thinned it out: nothing accepted is lost."""
    gap = GapRow(0, us(NOW), us(NOW), None, "thinned", 1, ((2, 3),))
    await store.ingest([make(Rec(1), gaps=[gap])])
    (result,) = await store.ingest([make(Rec(2, [pulse(NOW, 60)]))])
    assert (result.rows_stored, result.records_known) == (1, 0)
    (report,) = await store.ledger_report()
    assert (report.stored, dict(report.removed)) == (2, {"thinned": 1})


async def test_a_gap_may_name_more_than_a_range_can_hold(store: PostgresStore) -> None:
    gap = GapRow(0, us(NOW), us(NOW), None, "thinned", 1, ((2, (1 << 63) - 1),))
    (result,) = await store.ingest([make(Rec(1), gaps=[gap])])
    assert result.ledger.upto == (1 << 63) - 2


async def test_hello_tells_what_is_missing(store: PostgresStore) -> None:
    await store.note_hello(GATEWAY, EPOCH, 5, "0.1.0")
    await store.ingest([make(Rec(2))])
    await store.note_hello(GATEWAY, EPOCH, 3, "0.1.1")
    (report,) = await store.ledger_report()
    assert (report.recorded, report.missing) == (5, ((1, 1), (3, 5)))
    (gateway,) = await store.gateways()
    assert gateway.software == "0.1.1"
    assert gateway.last_seen_at is not None


async def test_highest_seq_counts_as_recorded_without_a_hello(store: PostgresStore) -> None:
    await store.ingest([make(Rec(9))])
    (report,) = await store.ledger_report()
    assert (report.recorded, report.missing) == (9, ((1, 8),))


async def test_presence(store: PostgresStore) -> None:
    await store.put_gateway(GATEWAY)
    await store.note_state(GATEWAY, True, "0.1.0")
    (gateway,) = await store.gateways()
    assert (gateway.online, gateway.software, gateway.enabled) == (True, "0.1.0", True)
    seen = gateway.last_seen_at
    await store.note_state(GATEWAY, False, "0.1.0")
    (gateway,) = await store.gateways()
    assert (gateway.online, gateway.last_seen_at) == (False, seen)
    assert gateway.state_at is not None


async def test_only_registered_gateways_are_enabled(store: PostgresStore) -> None:
    assert not await store.is_enabled(GATEWAY)
    await store.ingest([make(Rec(1))])
    assert not await store.is_enabled(GATEWAY)
    await store.put_gateway(GATEWAY)
    assert await store.is_enabled(GATEWAY)
    await store.put_gateway(GATEWAY, enabled=False)
    assert not await store.is_enabled(GATEWAY)


async def test_statuses_describe_the_device(store: PostgresStore) -> None:
    def status(name: str, seconds: int, **data: str | int | bool | None) -> StatusRow:
        return StatusRow(0, us(NOW + seconds * SECOND), DEVICE, name, data)

    info = {"manufacturer": "Acme", "model": "M-1"}
    rows = [
        status("info", 0, **info),
        status("battery", 5, percent=80),
        status("battery", 1, percent=95),
        status("link", 2, state="ok", reason=None),
        StatusRow(0, us(NOW), None, "health", {"clock": "ntp"}),
    ]
    await store.ingest([make(Rec(1), statuses=rows)])
    (device,), _ = await store.devices()
    assert (device.identity, device.gateway, dict(device.info)) == (DEVICE, GATEWAY, info)
    assert (device.battery_percent, device.link) == (80, "ok")
    assert device.last_seen_at == NOW + 5 * SECOND
    before = device.commit_seq
    assert before == await store.commit_seq()
    # Old news from a backlog changes nothing, and the same again is no change of the device.
    await store.ingest([make(Rec(2), statuses=[status("battery", 3, percent=90)])])
    await store.ingest([make(Rec(3), statuses=[status("battery", 60, percent=80)])])
    (device,), _ = await store.devices()
    assert (device.battery_percent, device.commit_seq) == (80, before)
    await store.ingest([make(Rec(4), statuses=[status("battery", 70, percent=79)])])
    (device,), _ = await store.devices()
    assert (device.battery_percent, device.commit_seq) == (79, await store.commit_seq())
    assert device.updated_at is not None


async def test_a_device_tells_by_which_day_it_must_be_calibrated(store: PostgresStore) -> None:
    async def told(seconds: int, name: str, **data: str | int | None) -> DeviceRow:
        row = StatusRow(0, us(NOW + seconds * SECOND), DEVICE, name, data)
        await store.ingest([make(Rec(seconds), statuses=[row])])
        (device,), _ = await store.devices()
        return device

    first = await told(1, "calibration", due="2027-03-01")
    assert first.last_seen_at is None  # an operator has said so
    assert first.calibration_due == date(2027, 3, 1)
    changed = await told(2, "calibration", due="2028-03-01")
    assert changed.calibration_due == date(2028, 3, 1)
    assert changed.commit_seq > first.commit_seq
    for place, due in enumerate((None, "2027-02-30", "20270301", "soon", "२०२७-०३-०१", 7)):
        assert (await told(3 + place, "calibration", due=due)).calibration_due is None


async def test_a_device_is_not_seen_by_what_its_gateway_says_of_it(store: PostgresStore) -> None:
    await store.ingest([make(Rec(1, [pulse(NOW, 60)]))])
    for seq, state in enumerate(("lost", "removed"), 2):
        row = StatusRow(0, us(NOW + seq * SECOND), DEVICE, "link", {"state": state})
        await store.ingest([make(Rec(seq), statuses=[row])])
        (device,), _ = await store.devices()
        assert (device.link, device.last_seen_at) == (state, NOW)


async def test_what_is_no_percentage_is_no_charge(store: PostgresStore) -> None:
    percents = (101, -1, "²", "७", "9" * 5000, "", None, "full")
    told = {f"ble:0000000000{n:02X}": percent for n, percent in enumerate(percents, 1)}
    for seq, (device, percent) in enumerate(told.items(), 1):
        row = StatusRow(0, us(NOW), device, "battery", {"percent": percent})
        await store.ingest([make(Rec(seq), statuses=[row])])
    devices, _ = await store.devices()
    assert {one.identity: one.battery_percent for one in devices} == dict.fromkeys(told)


async def test_details_stand_beside_their_reading(place: Place, store: PostgresStore) -> None:
    ward = await admit(store)
    detail = Detail(0, 2150, -1, "2026-03-10T11:59:00", -5, (("meal", "fasting"),))
    reading = One(
        "glucose_capillary_plasma", NOW, 3870, -2, raw_unit="mmol/L", unit="mg/dL", detail=detail
    )
    plain = Detail(0, None, None, "2026-03-10T11:59:01", None, ())
    await store.ingest([make(Rec(1, [reading]), Rec(2, [pulse(NOW, 60, detail=plain)]))])
    rows = await all_rows(store, ObservationQuery(patients=(ward.patient,)))
    glucose = next(row for row in rows if row.values[0].mantissa == 3870)
    assert glucose.raw == ("215.0", "mmol/L")
    assert glucose.device_time == "2026-03-10T11:59:00"
    assert glucose.context == (("meal", "fasting"),)
    other = next(row for row in rows if row.values[0].mantissa == 60)
    assert (other.raw, other.context, other.device_time) == (None, (), "2026-03-10T11:59:01")
    (stored,) = await place.execute("SELECT skew_s FROM reading_detail WHERE skew_s IS NOT NULL")
    assert stored["skew_s"] == -5


@pytest.mark.each_engine
async def test_waveforms_are_kept_once(place: Place, store: PostgresStore) -> None:
    def block(record: int, samples: bytes, at: int = 0) -> WaveformRow:
        return WaveformRow(record, 0, us(NOW) + at, 250_000, -3, 7, samples, 4)

    batch = make(
        Rec(1), Rec(2), more_series=(ECG,), waveforms=[block(0, b"\1\0"), block(1, b"\2\0", 9)]
    )
    await store.ingest([batch])
    # Under another seq: the same block, and another one on a taken key; then both in one call.
    again = make(
        Rec(3), Rec(4), more_series=(ECG,), waveforms=[block(0, b"\1\0"), block(1, b"\7\0", 9)]
    )
    (result,) = await store.ingest([again])
    assert result.rows_quarantined == 1
    twins = make(
        Rec(5), Rec(6), Rec(7), more_series=(ECG,),
        waveforms=[block(0, b"\3\0", 11), block(1, b"\3\0", 11), block(2, b"\4\0", 11)],
    )  # fmt: skip
    (result,) = await store.ingest([twins])
    assert result.rows_quarantined == 1
    rows = await place.execute(
        "SELECT samples, rate_mhz, origin, scale FROM waveform ORDER BY time"
    )
    assert [tuple(row) for row in rows] == [
        (samples, 250_000, 7, -3) for samples in (b"\1\0", b"\2\0", b"\3\0")
    ]
    aside = await place.execute("SELECT body, reason FROM quarantine ORDER BY quarantine_id")
    assert [tuple(row) for row in aside] == [
        (b"\7\0", "other-waveform"), (b"\4\0", "other-waveform")
    ]  # fmt: skip


async def test_what_ingest_puts_aside_is_kept_with_its_reason(
    place: Place, store: PostgresStore
) -> None:
    beyond = (1 << 62) + 1  # no datetime
    aside = Quarantined(0, 0, beyond, 3, 61, -1, 0, "future")
    batch = make(Rec(1), more_series=(pulse(NOW, 0).key,), quarantined=[aside])
    (result,) = await store.ingest([batch])
    assert (result.rows_quarantined, result.rows_stored, result.ledger.upto) == (1, 0, 1)
    (row,) = await place.execute("SELECT * FROM quarantine")
    assert (row["time_us"], row["mantissa"], row["reason"], row["seq"]) == (beyond, 61, "future", 1)
    (again,) = await store.ingest([batch])
    assert again.rows_quarantined == 0
    assert len(await place.execute("SELECT 1 FROM quarantine")) == 1


@pytest.mark.parametrize(
    "time_us",
    [-1, us(datetime.now(UTC) + timedelta(days=3)), 1 << 62],
    ids=["before 1970", "in three days", "in no calendar"],
)
async def test_a_time_that_nobody_meant_goes_aside(
    place: Place, store: PostgresStore, time_us: int
) -> None:
    """Ingest lets none through; if it does, the row neither blocks the gateway nor makes tables."""
    batch = make(Rec(1, [pulse(NOW, 60), pulse(NOW, 61)]))
    batch.readings.time_us[1] = time_us
    (result,) = await store.ingest([batch])
    assert (result.rows_stored, result.rows_quarantined, result.ledger.upto) == (1, 1, 1)
    (row,) = await place.execute("SELECT time_us, mantissa, reason FROM quarantine")
    assert tuple(row) == (time_us, 61, "time-out-of-range")


@pytest.mark.each_engine
async def test_old_readings_are_accepted(store: PostgresStore) -> None:
    """From yesterday, from before this store was made, and from before 2000."""
    ward = await admit(store, since=datetime(1970, 1, 1, tzinfo=UTC))
    times = [
        NOW - timedelta(days=1), NOW - timedelta(days=3000), datetime(1999, 12, 31, 23, tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
    ]  # fmt: skip
    await store.ingest([make(*(Rec(n, [pulse(time, n)]) for n, time in enumerate(times, 1)))])
    rows = await all_rows(store, ObservationQuery(patients=(ward.patient,)))
    assert [row.time for row in rows] == times


@pytest.mark.each_engine
async def test_a_call_is_all_or_nothing(place: Place, store: PostgresStore) -> None:
    await store.ingest([make(Rec(1, [pulse(NOW - SECOND, 59)]))])
    before = await store.commit_seq()
    bad = StatusRow(0, us(NOW), DEVICE, "inf\0", {})
    with pytest.raises(StorageError):
        await store.ingest(
            [make(Rec(2, [pulse(NOW, 60)], b"e" * 16)), make(Rec(3), statuses=[bad])]
        )
    assert (await store.ledger(GATEWAY, EPOCH)).upto == 1
    assert [mantissa for _, mantissa, _, _ in await _values(place)] == [59]
    assert await place.execute("SELECT 1 FROM event_seen") == []
    assert await store.commit_seq() == before
    (result,) = await store.ingest([make(Rec(2, [pulse(NOW, 60)], b"e" * 16))])
    assert result.rows_stored == 1


@pytest.mark.each_engine
async def test_latest_never_goes_back(store: PostgresStore) -> None:
    ward = await admit(store)
    await store.ingest([make(Rec(1, [pulse(NOW, 60)]))])
    (result,) = await store.ingest([make(Rec(2, [pulse(NOW - SECOND, 59), pulse(NOW, 61, ord=1)]))])
    (row,) = await store.latest([ward.patient])
    assert (row.time, row.mantissa, row.commit_seq) == (NOW, 61, result.commit_seq)
    await store.ingest([make(Rec(3, [pulse(NOW - timedelta(days=2), 50)]))])
    (row,) = await store.latest([ward.patient])
    assert (row.mantissa, row.commit_seq) == (61, result.commit_seq)


async def test_an_absent_value_is_the_latest_too(store: PostgresStore) -> None:
    """Sensor off must not leave an old number standing as if it were new."""
    await admit(store)
    await store.ingest([make(Rec(1, [pulse(NOW, 60), pulse(NOW + SECOND, 0, absent=8)]))])
    (row,) = await store.latest()
    assert (row.time, row.absent, row.mantissa) == (NOW + SECOND, 8, 0)


@pytest.mark.parametrize("flag", [Flag.DEMO, Flag.TEST, Flag.CALIBRATING])
async def test_what_is_not_clinical_is_kept_and_never_a_vital_sign(
    place: Place, store: PostgresStore, flag: Flag
) -> None:
    ward = await admit(store)
    await store.ingest([make(Rec(1, [pulse(NOW, 60), pulse(NOW + SECOND, 99, flags=int(flag))]))])
    assert len(await _values(place)) == 2
    (row,) = await store.latest([ward.patient])
    assert row.mantissa == 60
    (found,) = await all_rows(store, ObservationQuery(patients=(ward.patient,)))
    assert found.values[0].mantissa == 60


@pytest.mark.each_engine
async def test_a_large_call(place: Place, store: PostgresStore) -> None:
    """More rows than one COPY buffer, over days and series, in no order."""
    random = np.random.default_rng(3)
    minutes = random.permutation(3000).tolist()
    records = [
        Rec(
            n,
            [
                One(metric, NOW - minute * 60 * SECOND, n)
                for metric in ("spo2", "heart_rate", "respiratory_rate")
            ],
        )
        for n, minute in enumerate(minutes, 1)
    ]
    results = await store.ingest([make(*records[:2000]), make(*records[2000:])])
    assert [result.rows_stored for result in results] == [6000, 3000]
    (row,) = await place.execute("SELECT count(*) AS count, sum(mantissa) AS sum FROM reading")
    assert (row["count"], row["sum"]) == (9000, 3 * sum(range(1, 3001)))


async def test_live_until_names_the_gateways_of_watched_patients(store: PostgresStore) -> None:
    ward = await admit(store)
    assert await store.live_until() == {}
    await store.ingest([make(Rec(1, [pulse(NOW, 60)]))])
    until = datetime.now(UTC) + timedelta(seconds=60)
    await store.watch(ward.patient, until=until)
    assert await store.live_until() == {GATEWAY: until}
    await store.watch(ward.patient, until=until - timedelta(seconds=30))
    assert await store.live_until() == {GATEWAY: until}
    await store.unassign(ward.assignment.assignment_id, valid_to=datetime.now(UTC))
    assert await store.live_until() == {}


async def test_nobody_watches_any_more(store: PostgresStore) -> None:
    ward = await admit(store)
    await store.ingest([make(Rec(1, [pulse(NOW, 60)]))])
    await store.watch(ward.patient, until=datetime.now(UTC) - timedelta(seconds=1))
    assert await store.live_until() == {}


async def test_watching_an_unknown_patient_is_refused(store: PostgresStore) -> None:
    with pytest.raises(StorageError):
        await store.watch(uuid4(), until=datetime.now(UTC))
