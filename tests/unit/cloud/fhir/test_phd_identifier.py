"""The identifier of the PHD guide: how a sensor's time is written, an identifier taken apart."""

from uuid import UUID

import pytest

from wardlight_cloud.fhir.phd_identifier import address_of, before_timestamp, named, timestamp
from wardlight_shared.codes import METRICS

PATIENT = UUID("0b8f4f5e-6f0a-4a3b-9d3e-7f1f6f0c2a11")


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        # The guide writes this instant as "690897360.567"; it is 30 s more (a slip of its example).
        ("2021-11-22T11:56:30.567", "690897390.567"), ("2000-01-01T00:00:00", ""),
        ("2021-11-22T11:56:30.500", "690897390.500"), ("2021-11-22T11:56:30", "690897390"),
        ("2021-11-22T11:56:30+01:00", "690897390+4"), ("2021-11-22T11:56:30-03:30", "690897390-14"),
        ("2021-11-22T11:56:30Z", "690897390+0"), ("2021-11-22T11:56:30.5+01:00", "690897390.5+4"),
        ("1999-12-31T23:59:59", ""), ("2021-11-22T11:56:30+01:01", ""), ("noon", ""), ("", ""),
    ],
)  # fmt: skip
def test_time_of_the_sensor(told: str, seconds: str) -> None:
    assert timestamp(told) == seconds


def test_what_stands_before_the_time() -> None:
    spo2 = METRICS["spo2"].wire
    address = address_of("ble:00A0C91234FF")
    assert address == "00A0C91234FF"
    assert before_timestamp(address, PATIENT, spo2) == f"00A0C91234FF-{PATIENT}-150456-"
    assert before_timestamp(address, PATIENT, METRICS["steps"].wire) == "", "it has no MDC code"
    assert before_timestamp(address, PATIENT, 9999) == ""
    for other in ("serial:COM1", "ble:00a0c91234ff", "ble:1", "", "ble:00A0C91234FF0"):
        assert address_of(other) == ""
    assert before_timestamp("", PATIENT, spo2) == ""


def test_taken_apart() -> None:
    found = named(f"00A0C91234FF-{PATIENT}-150456-690897390")
    assert found is not None
    assert (found.device, found.patient, found.type) == ("00A0C91234FF", str(PATIENT), "150456")
    assert found.told == ("2021-11-22T11:56:30",)
    found = named("00A0C9FFFE1234FF-7-urn:x-a-150456-690897390.567-14..1.000-150588-150589")
    assert found is not None
    assert (found.device, found.patient, found.type) == ("00A0C9FFFE1234FF", "7-urn:x-a", "150456")
    assert found.told == ("2021-11-22T11:56:30.567-03:30",)
    found = named("00A0C91234FF-1-150456-690897390+0")
    assert found is not None
    assert found.told == ("2021-11-22T11:56:30+00:00", "2021-11-22T11:56:30Z")
    for told in (*found.told, "2021-11-22T11:56:30.50+14:00", "2000-12-31T00:00:00"):
        again = named(f"00A0C91234FF-1-150456-{timestamp(told)}")
        assert again is not None and told in again.told
    for text in ("", "x", "00A0C91234FF-1-150456-20211122115630.00", "00A0C91234FF-1-150456-",
                 "00a0c91234ff-1-150456-690897390", "00A0C91234FF--150456-690897390",
                 "00A0C91234FF-" + "1-" * 5000):  # fmt: skip
        assert named(text) is None
