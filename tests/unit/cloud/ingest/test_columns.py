"""Which records are unfit and why; one unfit record never takes another with it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from support.envelopes import (
    DEVICE,
    EPOCH,
    GATEWAY,
    NOW_MS,
    SERIES,
    event,
    record,
    sealed,
    values,
)
from wardlight_cloud.ingest.pipeline import dead_letter, open_message, open_part, refused
from wardlight_cloud.store.batch import Detail, GapRow, IngestBatch, StatusRow
from wardlight_shared.codes import METRICS
from wardlight_shared.envelope import VERSION, Clock, SeriesEntry, expand
from wardlight_shared.errors import EnvelopeError, VersionError
from wardlight_shared.model import Flag
from wardlight_shared.records import (
    BlockBody,
    Body,
    Column,
    GapBody,
    Group,
    SeriesKey,
    StatusBody,
    TimeMethod,
    WaveformBody,
    encode_body,
)
from wardlight_shared.timestamps import utc_ms_from_datetime

SPO2, PULSE, SYSTOLIC = (entry.key.metric for entry in SERIES[:3])
GOOD = event({0: "97"})
LARGEST = (1 << 63) - 1
replace = msgspec.structs.replace


def only_batch(*bodies: Body, series: list[SeriesEntry] = SERIES) -> IngestBatch:
    records = [record(seq, body) for seq, body in enumerate(bodies, 1)]
    (batch,) = open_message(GATEWAY, sealed(records, series=series), NOW_MS)
    return batch


def reason_of(body: Body, series: list[SeriesEntry] = SERIES) -> str:
    """Why ``body`` is a dead letter; the good records around it are stored."""
    batch = only_batch(GOOD, body, GOOD, series=series)
    assert list(batch.seqs) == [1, 3]
    assert len(batch.readings) == 2
    (letter,) = batch.rejected
    assert letter.seq == 2
    assert letter.body == encode_body(body)
    return letter.reason


def group(column: Column, *, count: int = 3, jitter: bytes = b"", width: int = 1) -> BlockBody:
    inner = Group(0, 100, 10, count, width, jitter, [column])
    return BlockBody(TimeMethod.SAMPLE_COUNT, 10, [inner])


def column(**changes: object) -> Column:
    sound = Column(series=0, scale=0, first=97, width=1, deltas=b"\x01\xff")
    return replace(sound, **changes)


class TestEvents:
    def test_values_keep_the_precision_of_the_device(self) -> None:
        batch = only_batch(event({2: "120.0", 3: "80"}))
        assert [str(value) for _, _, value in values(batch)] == ["120.0", "80"]

    def test_lengths_that_differ(self) -> None:
        body = event({0: "97", 1: "61"})
        assert "scales: 1 places, series has 2" in reason_of(replace(body, scales=[0]))
        assert "absents: 3 places" in reason_of(replace(body, absents=[0, 0, 0]))
        assert "flags: 1 places" in reason_of(replace(body, flags=[0]))
        assert "raws: 1 places" in reason_of(replace(body, raws=[None]))

    def test_offsets_that_no_place_has(self) -> None:
        """R4 2.24.0.1: the zone of a dateTime goes to 14:00."""
        assert only_batch(replace(GOOD, offset_min=-840)).offsets == {0: -840}
        records = [record(1, GOOD), record(2, replace(GOOD, offset_min=841))]
        _, letters = open_message(GATEWAY, sealed(records), NOW_MS)
        assert [(each.seq, "`$[14]`" in each.reason) for each in letters.rejected] == [(2, True)]

    def test_an_empty_device_time_is_none(self) -> None:
        assert only_batch(replace(GOOD, device_time="")).details == []
        (detail,) = only_batch(replace(GOOD, device_time="", skew_s=3)).details
        assert detail.device_time is None

    def test_no_reading_at_all(self) -> None:
        assert "without readings" in reason_of(event({}))

    def test_a_series_that_the_dictionary_lacks(self) -> None:
        assert "series 9: not in the dictionary" in reason_of(event({9: "1"}))

    @pytest.mark.parametrize("unit", ["kPa", "mmHg", "", "kg "])
    def test_a_unit_that_the_metric_does_not_have(self, unit: str) -> None:
        """A weight in kPa would be served as one; it waits for an operator instead."""
        series = [*SERIES, SeriesEntry(9, SeriesKey(DEVICE, METRICS["body_weight"].wire, unit))]
        assert "is not a unit of body_weight" in reason_of(event({9: "70"}), series)

    def test_a_unit_beside_the_first_of_the_table(self) -> None:
        metric = next(each for each in METRICS.values() if each.units_also)
        key = SeriesKey(DEVICE, metric.wire, metric.units_also[0])
        batch = only_batch(event({9: "70"}), series=[SeriesEntry(9, key)])
        assert batch.series == (key,)

    def test_an_empty_site(self) -> None:
        key = SeriesKey(DEVICE, METRICS["body_temperature"].wire, site="")
        assert "an empty site" in reason_of(event({9: "36.6"}), [*SERIES, SeriesEntry(9, key)])

    def test_a_reason_of_absence_that_nobody_knows(self) -> None:
        assert "unknown reason 13" in reason_of(replace(GOOD, absents=[13]))

    def test_absent_is_not_zero_and_not_the_number_sent(self) -> None:
        columns = only_batch(replace(event({0: "97"}), absents=[8])).readings
        assert (columns.mantissa[0], columns.absent[0]) == (0, 8)

    def test_a_time_no_calendar_holds(self) -> None:
        assert "before 1970 or after 9999" in reason_of(replace(GOOD, age_ms=NOW_MS))
        assert "before 1970 or after 9999" in reason_of(replace(GOOD, age_ms=-LARGEST))

    def test_an_ord_without_room_for_repeats(self) -> None:
        assert "too large" in reason_of(replace(GOOD, ord=(1 << 31) - 1))

    def test_more_repeats_than_an_ord_can_count(self) -> None:
        count = 257
        body = replace(GOOD, series=[0] * count, mantissas=[1] * count, scales=[0] * count)
        assert "more than 256 times" in reason_of(body)

    def test_text_that_the_database_cannot_hold(self) -> None:
        assert "NUL" in reason_of(replace(GOOD, context=[("meal", "fast\0ing")]))
        assert "NUL" in reason_of(replace(GOOD, device_time="2026-01\0"))

    def test_a_device_clock_beyond_the_calendar(self) -> None:
        assert "years 1 to 9999" in reason_of(replace(GOOD, device_time=LARGEST))
        assert "68 years" in reason_of(replace(GOOD, skew_s=1 << 40))

    def test_device_time_raw_value_and_context_become_details(self) -> None:
        body = replace(
            event({0: "97", 1: "61"}),
            device_time=86_399,
            skew_s=-5,
            raws=[(986, -1), None],
            context=[("meal", "fasting")],
        )
        when, context = "2000-01-01T23:59:59", (("meal", "fasting"),)
        assert only_batch(GOOD, body).details == [
            Detail(1, 986, -1, when, -5, context),
            Detail(2, None, None, when, -5, context),
        ]

    def test_an_assumed_device_clock_is_local_time_as_it_stands(self) -> None:
        """2026-09-21 12:00:00 on the device, one hour east of UTC; the age plays no part."""
        device_s = (datetime(2026, 9, 21, 12) - datetime(2000, 1, 1)) // timedelta(seconds=1)  # noqa: DTZ001 - a device's wall clock
        body = replace(
            event({0: "97"}, age_ms=5, method=TimeMethod.DEVICE_ASSUMED), device_time=device_s
        )
        expected = utc_ms_from_datetime(datetime(2026, 9, 21, 11, tzinfo=UTC))
        assert values(only_batch(body)) == [(SPO2, expected, Decimal(97))]
        assert "before 1970 or after 9999" in reason_of(replace(body, device_time=10**12))

    def test_an_assumed_device_clock_has_the_offset_of_its_receipt(self) -> None:
        """Received in summer (+120 min), sent in winter with an envelope that says +60."""
        device_s = (datetime(2026, 7, 21, 12) - datetime(2000, 1, 1)) // timedelta(seconds=1)  # noqa: DTZ001 - a device's wall clock
        summer = replace(
            event({0: "97", 1: "61"}, method=TimeMethod.DEVICE_ASSUMED),
            device_time=device_s,
            offset_min=120,
        )
        expected = utc_ms_from_datetime(datetime(2026, 7, 21, 10, tzinfo=UTC))
        batch = only_batch(event({0: "96"}), summer)
        assert [time_ms for _, time_ms, _ in values(batch)][1:] == [expected] * 2
        assert batch.offsets_of_rows().tolist() == [60, 120, 120]

    def test_a_reading_that_waited_on_its_device_is_late(self) -> None:
        columns = only_batch(event({0: "97"}, age_ms=299_999), event({0: "97"}, age_ms=10**9))
        late = columns.readings.flags & int(Flag.LATE)
        assert [bool(flag) for flag in late] == [False, True]

    def test_a_reading_from_the_future_stands_aside(self) -> None:
        """One ms decides; the record itself is settled, so the gateway need not send it again."""
        batch = only_batch(
            event({0: "97"}, age_ms=-301_000), event({0: "98", 1: "60"}, age_ms=-301_001)
        )
        assert list(batch.seqs) == [1, 2]
        assert values(batch) == [(SPO2, NOW_MS + 300_000, Decimal(97))]
        assert [(row.mantissa, row.record) for row in batch.quarantined] == [(98, 1), (60, 1)]
        assert "future" in batch.quarantined[0].reason

    def test_no_honest_bound_says_so(self) -> None:
        for clock, error_ms in (Clock(0, None), 5), (Clock(3, 20), None), (Clock(3, 20), 1 << 40):
            message = sealed([record(1, event({0: "97"}, error_ms=error_ms))], clock=clock)
            (batch,) = open_message(GATEWAY, message, NOW_MS)
            assert batch.readings.error_ms[0] == -1
            assert batch.readings.flags[0] == Flag.TIME_UNCERTAIN


class TestBlocks:
    def test_deltas_of_another_length(self) -> None:
        assert "columns[0].deltas: 3 bytes, need 2" in reason_of(group(column(deltas=b"123")))

    def test_jitter_of_another_length(self) -> None:
        assert "groups[0]: 1 bytes, need 2" in reason_of(group(column(), jitter=b"\x01"))

    @pytest.mark.parametrize("width", [3, 5, 6, 7])
    def test_a_width_that_no_integer_has(self, width: int) -> None:
        assert "not 1, 2, 4 or 8" in reason_of(group(column(width=width, deltas=bytes(2 * width))))
        assert "not 1, 2, 4 or 8" in reason_of(group(column(), width=width))

    def test_absences_and_flags_past_the_samples(self) -> None:
        assert "past the samples" in reason_of(group(column(absents=[(3, 8)])))
        assert "names a sample twice" in reason_of(group(column(absents=[(1, 8), (1, 9)])))
        assert "unknown reason 200" in reason_of(group(column(absents=[(1, 200)])))
        assert "past the samples" in reason_of(group(column(flags=[(2, 2, 1)])))

    def test_an_absent_sample_has_no_number(self) -> None:
        batch = only_batch(group(column(absents=[(1, 8)], deltas=b"\x00\x01")))
        assert [value for _, _, value in values(batch)] == [Decimal(97), -8, Decimal(98)]

    def test_a_sum_that_wraps_around(self) -> None:
        beyond = column(first=LARGEST, deltas=b"\x01\x00")
        assert "beyond 64 bits" in reason_of(group(beyond))
        there_and_back = (1 << 62).to_bytes(8, "little") * 2
        assert "beyond 64 bits" in reason_of(group(column(width=8, deltas=there_and_back)))

    def test_the_largest_and_smallest_numbers_are_kept(self) -> None:
        steps = (-LARGEST).to_bytes(8, "little", signed=True) * 2
        batch = only_batch(group(column(first=LARGEST, width=8, deltas=steps)))
        assert list(batch.readings.mantissa) == [LARGEST, 0, -LARGEST]

    def test_a_factor_that_leaves_64_bits(self) -> None:
        series = [SeriesEntry(0, replace(SERIES[0].key, factor=1 << 39)), *SERIES[1:]]
        assert "beyond 64 bits" in reason_of(group(column(first=1 << 24)), series)
        batch = only_batch(group(column(first=(1 << 24) - 2)), series=series)
        assert batch.readings.mantissa[1] == ((1 << 24) - 1) << 39

    def test_an_axis_that_leaves_the_calendar_and_comes_back(self) -> None:
        far = b"".join(step.to_bytes(8, "little", signed=True) for step in (LARGEST, -LARGEST))
        assert "before 1970 or after 9999" in reason_of(group(column(), jitter=far, width=8))

    def test_an_axis_with_a_long_but_sound_pause(self) -> None:
        pause = b"".join(step.to_bytes(8, "little", signed=True) for step in (-10_000_000, 0))
        batch = only_batch(group(column(), jitter=pause, width=8))
        times = [time_ms for _, time_ms, _ in values(batch)]
        assert times == [NOW_MS - 1000 - wait for wait in (0, 999_999_000, 999_998_000)]

    def test_two_values_of_one_moment_both_count(self) -> None:
        """RR intervals of one packet share its time."""
        body = BlockBody(TimeMethod.RECEIPT, 0, [Group(0, 1, 0, 3, 1, b"", [column()])])
        assert list(only_batch(body).readings.ord) == [0, 1, 2]

    def test_only_the_samples_from_the_future_stand_aside(self) -> None:
        body = BlockBody(
            TimeMethod.SAMPLE_COUNT, 0, [Group(300_000, 1000, 1, 3, 1, b"", [column()])]
        )
        batch = only_batch(event({1: "61"}), body)
        assert len(batch.readings) == 1 + 2
        assert [(row.mantissa, row.time_us) for row in batch.quarantined] == [
            (97, (NOW_MS + 301_000) * 1000)
        ]

    def test_no_sample_or_too_many(self) -> None:
        assert "0 samples" in reason_of(BlockBody(TimeMethod.SAMPLE_COUNT, 0, []))
        many = [column(deltas=bytes(19_999)) for _ in range(6)]
        body = BlockBody(TimeMethod.SAMPLE_COUNT, 0, [Group(0, 1, 1, 20_000, 1, b"", many)])
        assert "120000 samples" in reason_of(body)


class TestOtherBodies:
    def test_a_waveform_is_passed_on_unchanged(self) -> None:
        body = WaveformBody(2, 250_000, -3, 7, b"\x01\x00\xff\xff", 4)
        (row,) = only_batch(GOOD, body).waveforms
        assert (row.record, row.series, row.rate_mhz, row.scale, row.origin) == (
            1,
            1,
            250_000,
            -3,
            7,
        )
        assert (row.samples, row.error_ms) == (b"\x01\x00\xff\xff", 24)

    def test_a_waveform_of_half_samples(self) -> None:
        assert "3 bytes of int16" in reason_of(WaveformBody(2, 250_000, 0, 0, b"123"))
        assert "0 bytes of int16" in reason_of(WaveformBody(2, 250_000, 0, 0, b""))
        assert "not in the dictionary" in reason_of(WaveformBody(9, 250_000, 0, 0, b"12"))

    def test_status_and_gap(self) -> None:
        batch = only_batch(
            StatusBody(DEVICE, "battery", {"percent": 80}),
            GapBody("thinned", None, 12, 60_000, [(3, 9)]),
        )
        at_us = (NOW_MS - 1000) * 1000
        assert batch.statuses == [StatusRow(0, at_us, DEVICE, "battery", {"percent": 80})]
        assert batch.gaps == [GapRow(1, at_us - 60_000_000, at_us, None, "thinned", 12, ((3, 9),))]

    def test_texts_and_ranges_that_cannot_be_kept(self) -> None:
        assert "NUL" in reason_of(StatusBody(None, "health", {"note": "a\0b"}))
        assert "NUL" in reason_of(StatusBody(None, "health", {"a\0b": 1}))
        assert "NUL" in reason_of(GapBody("a\0b", None, 0, 0))

    def test_nothing_is_told_of_a_device_without_a_name(self) -> None:
        """An R4 string that is there holds something: such a Device would be no valid resource."""
        assert "device: an empty text" in reason_of(StatusBody("", "info", {}))
        assert "name: an empty text" in reason_of(StatusBody(DEVICE, "", {}))
        assert "device: an empty text" in reason_of(GapBody("corrupt", "", 0, 0))
        assert "cause: an empty text" in reason_of(GapBody("", DEVICE, 0, 0))
        assert "ascend from 1" in reason_of(GapBody("thinned", None, 0, 0, [(9, 3)]))
        assert "ascend from 1" in reason_of(GapBody("thinned", None, 0, 0, [(0, 3)]))


class TestDictionary:
    @pytest.mark.parametrize(
        ("key", "reason"),
        [
            (SeriesKey(DEVICE, 60_000), "not in this program's code table"),
            (SeriesKey("", METRICS["spo2"].wire), "no device"),
            (SeriesKey("ble:\0", METRICS["spo2"].wire), "NUL"),
            (SeriesKey(DEVICE, METRICS["spo2"].wire, site="fin\0ger"), "NUL"),
        ],
    )
    def test_an_unfit_entry_hurts_only_who_uses_it(self, key: SeriesKey, reason: str) -> None:
        assert reason in reason_of(event({7: "1"}), [*SERIES, SeriesEntry(7, key)])

    def test_one_number_for_two_series(self) -> None:
        twice = [*SERIES, SeriesEntry(7, SERIES[0].key), SeriesEntry(7, SERIES[1].key)]
        assert "two entries" in reason_of(event({7: "1"}), twice)

    def test_only_used_series_reach_the_store(self) -> None:
        batch = only_batch(event({9: "1"}), event({2: "120"}))
        assert [key.metric for key in batch.series] == [SYSTOLIC]


class TestClocks:
    @pytest.mark.parametrize("quality", [4, 15])
    def test_a_quality_that_this_version_does_not_know(self, quality: int) -> None:
        """docs/wire-format.md: 0 to 3. The records of the other clock are stored."""
        bodies: list[Body] = [GOOD, GapBody("corrupt", None, 1, 0), GOOD]
        parts = msgspec.msgpack.decode(expand(sealed([*map(record, (1, 2, 3), bodies)])))
        parts[6], parts[10] = [[3, 20], [quality, 20]], [0, 1, 1]
        (batch,) = open_message(GATEWAY, msgspec.msgpack.encode(parts), NOW_MS)
        assert list(batch.seqs) == [1]
        reason = f"clocks: unknown quality {quality}"
        assert [(letter.seq, letter.reason) for letter in batch.rejected] == [
            (2, reason),
            (3, reason),
        ]


class TestHeaders:
    def test_a_newer_version_is_neither_stored_nor_rejected(self) -> None:
        parts = msgspec.msgpack.decode(expand(sealed([record(1, GOOD)])))
        message = msgspec.msgpack.encode([VERSION + 1, *parts[1:], None, "new"])
        with pytest.raises(VersionError):
            open_message(GATEWAY, message, NOW_MS)

    def test_another_gateways_name(self) -> None:
        message = sealed([record(1, GOOD)], gateway="gw-other")
        with pytest.raises(EnvelopeError, match="not the gateway of the topic"):
            open_message(GATEWAY, message, NOW_MS)

    def test_record_zero(self) -> None:
        with pytest.raises(EnvelopeError, match="start at 1"):
            open_message(GATEWAY, sealed([record(0, GOOD)]), NOW_MS)

    def test_a_body_that_does_not_decode_is_kept_as_it_was_sent(self) -> None:
        parts = msgspec.msgpack.decode(expand(sealed([record(1, GOOD), record(4, GOOD)])))
        parts[12][1] = [5, "a blob manifest"]
        batches = list(open_message(GATEWAY, msgspec.msgpack.encode(parts), NOW_MS))
        assert [seq for batch in batches for seq in batch.seqs] == [1]
        ((letter,),) = [batch.rejected for batch in batches if batch.rejected]
        assert (letter.seq, letter.body) == (4, msgspec.msgpack.encode([5, "a blob manifest"]))

    def test_the_same_unreadable_message_is_one_dead_letter(self) -> None:
        first, again, other = (
            dead_letter(GATEWAY, message, "why").rejected[0] for message in (b"x", b"x", b"y")
        )
        assert first.seq == again.seq != other.seq


class TestParts:
    def test_a_part_holds_the_wanted_records_with_their_own_times(self) -> None:
        records = [record(seq, event({0: str(seq)})) for seq in (3, 5, 9)]
        message = sealed(records, times_ms=[NOW_MS - 300, NOW_MS - 500, NOW_MS - 900])
        (batch,) = open_part(GATEWAY, message, NOW_MS, {5, 9})
        assert list(batch.seqs) == [5, 9]
        assert values(batch) == [
            (SPO2, NOW_MS - 500, Decimal(5)),
            (SPO2, NOW_MS - 900, Decimal(9)),
        ]

    def test_refused_records_become_dead_letters_with_their_bodies(self) -> None:
        bodies = [GOOD, event({9: "1"})]
        message = sealed([record(seq, body) for seq, body in enumerate(bodies, 1)])
        (batch,) = open_message(GATEWAY, message, NOW_MS)
        letters = refused(batch, message, "why")
        assert (letters.epoch, len(letters.seqs)) == (EPOCH, 0)
        assert [(each.seq, each.reason, each.body) for each in letters.rejected] == [
            (1, "why", encode_body(bodies[0])),
            (2, "why", encode_body(bodies[1])),
        ]
