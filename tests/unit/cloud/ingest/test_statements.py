"""What an event says of a reading sent before becomes a flag, which no gateway can set."""

import msgspec
import pytest

from support.envelopes import GATEWAY, NOW_MS, SERIES, event, record, sealed
from wardlight_cloud.ingest.pipeline import open_message
from wardlight_cloud.store.batch import IngestBatch
from wardlight_shared.model import CLOUD_ONLY, CODE_BY_ABSENT, Absent, Flag
from wardlight_shared.records import EventBody

INVALID = CODE_BY_ABSENT[Absent.INVALID]
replace = msgspec.structs.replace


def _batch(*bodies: EventBody) -> IngestBatch:
    records = [record(seq, body) for seq, body in enumerate(bodies, 1)]
    (batch,) = open_message(GATEWAY, sealed(records, series=SERIES), NOW_MS)
    return batch


def _about(status: str, body: EventBody) -> EventBody:
    return replace(body, context=[("meal", "fasting"), ("status", status)])


def test_only_the_readings_of_the_event_are_meant() -> None:
    plain = event({0: "96"})
    readings = _batch(plain, _about("corrected", event({0: "97", 1: "61"})), plain).readings
    corrected = [bool(flags & Flag.CORRECTED) for flags in readings.flags.tolist()]
    assert corrected == [False, True, True, False]
    assert readings.mantissa.tolist() == [96, 97, 61, 96]


@pytest.mark.parametrize("status", ["deleted", "wrong"])
def test_a_withdrawal_has_no_value_whatever_it_brings(status: str) -> None:
    readings = _batch(event({0: "96"}), _about(status, event({0: "97"}))).readings
    assert readings.flags[1] & Flag.WITHDRAWN
    assert (readings.mantissa.tolist(), readings.absent.tolist()) == ([96, 0], [0, INVALID])


def test_another_status_says_nothing_of_it() -> None:
    readings = _batch(_about("final", event({0: "97"}))).readings
    assert not readings.flags[0] & CLOUD_ONLY


def test_no_gateway_sets_these_flags_itself() -> None:
    sent = int(CLOUD_ONLY | Flag.LATE)
    readings = _batch(replace(event({0: "97"}), flags=[sent])).readings
    assert readings.flags.tolist() == [int(Flag.LATE)]
    ahead = replace(event({0: "97"}), flags=[sent], age_ms=-600_000)
    (aside,) = _batch(ahead).quarantined
    assert aside.flags & sent == int(Flag.LATE)


def test_in_quarantine_it_is_still_a_correction() -> None:
    (aside,) = _batch(_about("corrected", replace(event({0: "97"}), age_ms=-600_000))).quarantined
    assert aside.flags & Flag.CORRECTED
