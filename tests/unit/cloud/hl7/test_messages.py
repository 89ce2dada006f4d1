"""ORU^R01 as others read it: by the gateway's decoder, which shares no line with the writer."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from wardlight_cloud.hl7.fields import local, moment
from wardlight_cloud.hl7.messages import Parties, message, withdrawn
from wardlight_cloud.store.base import Patient
from wardlight_cloud.store.observation_rows import Circumstances, Kind, ObservationRow, Origin
from wardlight_edge.devices._hl7.message import parse
from wardlight_edge.devices._hl7.observations import observations
from wardlight_shared.codes import METRICS
from wardlight_shared.floats import decimal_from_parts
from wardlight_shared.model import ABSENT_BY_CODE, Absent, Flag, Reading

ANNA = UUID("0b8f4f5e-6f0a-4a3b-9d3e-7f1f6f0c2a11")
DEVICE = UUID(int=7)
NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
TAKEN_US = int(datetime(2026, 3, 10, 11, 59, 58, 250_000, tzinfo=UTC).timestamp() * 1e6)
PARTIES = Parties("WARDLIGHT", "WARD|3", "EHR", "HOSPITAL", {"urn:known": "MRN-A"})
# Of what monitors send the gateway's decoder knows these.
READ = ("heart_rate", "spo2", "respiratory_rate", "body_temperature")


def patient(family: str = "Almeida", given: str = "Anna") -> Patient:
    ids = (("urn:known", "7|8"), ("urn:oid:1.2.3", "9"), ("https://h.example/mrn", "10"))
    return Patient(ANNA, family, given, date(1950, 2, 3), "female", ids, 0, NOW)


def row(*values: tuple[str, int, int, int, int], panel: str | None = None) -> ObservationRow:
    """An Observation of (metric, mantissa, scale, absent, flags), an hour east of UTC."""
    kinds = tuple(
        Kind(METRICS[name].wire, scale, absent, METRICS[name].unit, flags)
        for name, _, scale, absent, flags in values
    )
    origin = Origin(METRICS[panel or values[0][0]].wire, ANNA, DEVICE, None, None)
    about = Circumstances(origin, kinds, "gw", 60, 0, 0)
    digits = tuple(mantissa for _, mantissa, *_ in values)
    return ObservationRow("id1", about, digits, TAKEN_US, None, None, (), 5, NOW)


def written(*rows: ObservationRow, to: Patient | None = None) -> str:
    made = message(PARTIES, to or patient(), rows, control_id="c-1", now=NOW)
    return made.decode()


def test_every_position() -> None:
    """Against HL7 v2.6 and IHE PCD-01, written down by hand."""
    text = written(
        row(("body_temperature", 3650, -2, 0, 0)),
        row(("systolic_bp", 120, 0, 0, 0), ("diastolic_bp", 80, 0, 0, 0), panel="blood_pressure"),
    )
    lines = text.split("\r")
    assert lines[0] == (
        r"MSH|^~\&|WARDLIGHT|WARD\F\3|EHR|HOSPITAL|20260310120000+0000||ORU^R01^ORU_R01|c-1|P|2.6"
        "|||NE|AL||UNICODE UTF-8|||IHE_PCD_001^IHE PCD^1.3.6.1.4.1.19376.1.6.1.1.1^ISO"
    )
    assert lines[1] == (
        r"PID|1||7\F\8^^^MRN-A^MR~9^^^&1.2.3&ISO^MR~10^^^&https://h.example/mrn&URI^MR"
        f"~{ANNA}^^^WARDLIGHT^PI||Almeida^Anna^^^^^L||19500203|F"
    )
    taken = "20260310125958.250+0100"
    assert lines[2].startswith("OBR|1||id1^WARDLIGHT|150364^MDC_TEMP_BODY^MDC^8310-5^")
    assert lines[2].endswith(f"^LN|||{taken}|||||||||||||||20260310120000+0000|||F")
    assert lines[3].startswith("OBX|1|NM|150364^MDC_TEMP_BODY^MDC^8310-5^")
    assert lines[3].endswith(f"|1.0.1.1|36.50|Cel^Cel^UCUM|||||F|||{taken}||||{DEVICE}^WARDLIGHT")
    assert [line[:6] for line in lines[4:7]] == ["OBR|2|", "OBX|1|", "OBX|2|"]
    assert "85354-9" in lines[4] and "|120|mm[Hg]^mm[Hg]^UCUM|" in lines[5] and "|80|" in lines[6]
    assert lines[7:] == [""]


def test_result_status() -> None:
    gone = ABSENT_BY_CODE.index(Absent.NAN)
    for flags, absent, status, marks in (
        (0, 0, "F", ""), (Flag.EARLY, 0, "P", "EARLY"), (Flag.CORRECTED, 0, "C", ""),
        (Flag.WITHDRAWN, gone, "W", "NAV"), (Flag.CORRECTED, gone, "X", "NAV"),
        (0, gone, "X", "NAV"), (Flag.CUFF_LOOSE | Flag.CORRECTED, 0, "C", "QUES"),
        (Flag.INVALID, gone, "X", "INV"), (Flag.INVALID, 0, "X", "INV"),
        (Flag.INVALID | Flag.EARLY | Flag.CORRECTED, 0, "X", "INV~EARLY"),
        (Flag.INVALID | Flag.WITHDRAWN, 0, "W", "INV"),
    ):  # fmt: skip
        _, _, obr, obx, *_ = written(row(("heart_rate", 71, 0, absent, int(flags)))).split("\r")
        fields = obx.split("|")
        is_number = not (absent or flags & (Flag.INVALID | Flag.WITHDRAWN))
        assert (fields[11], fields[8], bool(fields[5])) == (status, marks, is_number), flags
        assert obr.split("|")[25] == {"X": "F", "W": "C"}.get(status, status)


def remarks(*rows: ObservationRow) -> list[str]:
    """Texts of NTE."""
    lines = [line.split("|") for line in written(*rows).split("\r")]
    return [line[3] for line in lines if line[0] == "NTE"]


def test_what_the_device_said_is_told() -> None:
    """As FHIR tells it: why there is no number, alarms, flags of the measurement."""
    for absent, flags, marks, said in (
        (Absent.OVER_RANGE, 0, ">", ["no number: above what the device can measure (over-range)"]),
        (Absent.UNDER_RANGE, 0, "<",
         ["no number: below what the device can measure (under-range)"]),
        (Absent.POSITIVE_INFINITY, 0, ">",
         ["no number: above what the device can measure (positive-infinity)"]),
        (Absent.NEGATIVE_INFINITY, 0, "<",
         ["no number: below what the device can measure (negative-infinity)"]),
        (Absent.SENSOR_OFF, 0, "NAV", ["no number: sensor-off"]),
        (Absent.INVALID, 0, "INV", ["no number: invalid"]),
        (Absent.INVALID, Flag.WITHDRAWN, "NAV", []),
        (None, Flag.DEVICE_ALARM, "ALACT", ["measurement: device-alarm"]),
        (None, Flag.IRREGULAR_PULSE, "", ["measurement: irregular-pulse"]),
        (None, Flag.CUFF_LOOSE | Flag.PULSE_ABOVE_RANGE, "QUES",
         ["measurement: cuff-loose, pulse-above-range"]),
        (None, Flag.CORRECTED | Flag.EARLY, "EARLY", []),
    ):  # fmt: skip
        found = row(("heart_rate", 71, 0, ABSENT_BY_CODE.index(absent), int(flags)))
        fields = written(found).split("\r")[3].split("|")
        assert (fields[8], remarks(found)) == (marks, said), (absent, flags)
    for absent, flags, status in (
        (Absent.OVER_RANGE, 0, "F"), (Absent.UNDER_RANGE, Flag.CORRECTED, "C"),
        (Absent.OVER_RANGE, Flag.EARLY, "P"), (Absent.OVER_RANGE, Flag.INVALID, "X"),
        (Absent.OVER_RANGE, Flag.WITHDRAWN, "W"), (Absent.SENSOR_OFF, 0, "X"),
    ):  # fmt: skip
        found = row(("heart_rate", 71, 0, ABSENT_BY_CODE.index(absent), int(flags)))
        fields = written(found).split("\r")[3].split("|")
        assert (fields[5], fields[11]) == ("", status), "beyond its range it was measured"
    newer = row(("heart_rate", 0, 0, len(ABSENT_BY_CODE), 0))
    assert remarks(newer) == ["no number: unknown"]
    sides = (("systolic_bp", 120, 0, 0, int(Flag.IRREGULAR_PULSE)), ("diastolic_bp", 80, 0, 0, 0))
    names = [line[:3] for line in written(row(*sides, panel="blood_pressure")).split("\r")]
    assert names == ["MSH", "PID", "OBR", "OBX", "NTE", "OBX", ""]


def told(found: ObservationRow, **more: Any) -> ObservationRow:
    """With other circumstances."""
    return replace(found, circumstances=replace(found.circumstances, **more))


def test_how_sure_the_time_is() -> None:
    """A fraction of a second only where it says something; what is not certain is said."""
    pulse = row(("heart_rate", 71, 0, 0, 0))
    for clock, error_ms, flags, taken, said in (
        (3, 999, 0, "20260310125958.250+0100", []),
        (3, 1001, 0, "20260310125958+0100", ["time within 2 s"]),
        (3, -1, 0, "20260310125958+0100",
         ["time uncertain: the moment when the gateway received it"]),
        (0x20, -1, 0, "20260310125958+0100",
         ["time uncertain: the device's clock, which nobody compared; the gateway's clock was not "
          "set"]),
        (0xF3, 0, Flag.TIME_UNCERTAIN, "20260310125958.250+0100",
         ["time uncertain: it is not known how it was found"]),
    ):  # fmt: skip
        kinds = tuple(replace(each, flags=int(flags)) for each in pulse.circumstances.kinds)
        found = told(pulse, clock=clock, error_ms=error_ms, kinds=kinds)
        lines = [line.split("|") for line in written(found).split("\r")]
        (obr,), (obx,) = ([line for line in lines if line[0] == name] for name in ("OBR", "OBX"))
        assert (obr[7], obx[14], remarks(found)) == (taken, taken, said), (clock, error_ms)
    assert written(found).split("\r")[3].startswith("NTE|1|L|"), "of the OBR: before OBX"
    unset = int(Flag.DEVICE_CLOCK_UNSET)
    assert remarks(row(("heart_rate", 71, 0, 0, unset))) == ["measurement: device-clock-unset"]
    asked = replace(told(pulse, error_ms=-1), device_time="2001-01-01T00:00:00")
    assert remarks(asked)[0].endswith("; the device said 2001-01-01T00:00:00")


def test_circumstances_are_told() -> None:
    """Meal, body site, and the number before it was converted; nothing of them once withdrawn."""
    found = replace(
        row(("glucose_capillary_plasma", 99, 0, 0, 0)),
        context=(("meal", "fasting"), ("note", "a|b")), raw=("5.5", "mmol/L"),
    )  # fmt: skip
    found = told(found, origin=replace(found.origin, site="finger"))
    assert remarks(found) == [
        "meal=fasting", r"note=a\F\b", "as the device sent it: 5.5 mmol/L",
    ]  # fmt: skip
    (obx,) = [line for line in written(found).split("\r") if line.startswith("OBX")]
    assert obx.split("|")[20] == "^finger"
    assert not remarks(withdrawn(found, NOW))
    invalid = replace(row(("heart_rate", 0, 0, 0, int(Flag.INVALID))), raw=("400", "/min"))
    assert not remarks(invalid), "a number that the device calls invalid is told nowhere"


def test_a_number_keeps_its_sub_id() -> None:
    """Wherever its OBR stood, and whichever other numbers the panel had then."""

    def sub_ids(*rows: ObservationRow) -> list[str]:
        return [line.split("|")[4] for line in written(*rows).split("\r") if line.startswith("OBX")]

    both = row(("systolic_bp", 120, 0, 0, 0), ("diastolic_bp", 80, 0, 0, 0), panel="blood_pressure")
    pulse = row(("heart_rate", 71, 0, 0, 0))
    assert sub_ids(pulse, both) == ["1.0.1.1", "1.0.1.1", "1.0.1.2"]
    assert sub_ids(withdrawn(both, NOW)) == sub_ids(both) == ["1.0.1.1", "1.0.1.2"]
    one = row(("diastolic_bp", 80, 0, 0, 0), panel="blood_pressure")
    assert sub_ids(one) == ["1.0.1.2"]


@given(
    st.sampled_from(READ), st.integers(0, 4), st.integers(30_0000, 42_0000),
    st.sampled_from([0, int(Flag.CUFF_LOOSE)]),
)  # fmt: skip
def test_another_reader_finds_the_same(name: str, digits: int, value: int, flags: int) -> None:
    """To the last digit, among numbers that each of them can measure."""
    mantissa, scale = value // 10 ** (4 - digits), -digits
    found = observations(parse(written(row((name, mantissa, scale, 0, flags))).encode()))
    assert not found.unfit
    (event,) = found.events
    (reading,) = event.readings
    assert isinstance(reading, Reading)
    metric = METRICS[name]
    assert (reading.metric, reading.unit) == (name, metric.unit)
    assert isinstance(reading.value, Decimal)
    assert str(reading.value) == format(decimal_from_parts(mantissa, scale), "f")
    assert bool(reading.flags & Flag.QUESTIONABLE) is bool(flags)


@pytest.mark.parametrize("absent", [Absent.OVER_RANGE, Absent.UNDER_RANGE])
def test_another_reader_finds_what_is_beyond_range(absent: Absent) -> None:
    """And not that nothing was measured."""
    sent = row(("heart_rate", 0, 0, ABSENT_BY_CODE.index(absent), 0))
    (event,) = observations(parse(written(sent).encode())).events
    (reading,) = event.readings
    assert isinstance(reading, Reading) and reading.value is absent


@given(st.text(max_size=40), st.text(max_size=40))
def test_texts_come_back(family: str, given_name: str) -> None:
    """Any name, but for what no field can hold: ends of segments are spaces, controls nothing."""
    family, given_name = (f"x{each}" for each in (family, given_name))
    if any(0xD800 <= ord(each) <= 0xDFFF for each in family + given_name):
        return
    read = parse(written(row(("heart_rate", 71, 0, 0, 0)), to=patient(family, given_name)).encode())
    (segment,) = [each for each in read.segments if each.name == "PID"]
    assert read.part(segment, 5, 1).strip() == plain(family)
    assert read.part(segment, 5, 2).strip() == plain(given_name)
    assert len([each for each in read.segments if each.name == "OBX"]) == 1


def plain(text: str) -> str:
    for each in "\r\n\t":
        text = text.replace(each, " ")
    return "".join(each for each in text if ord(each) >= 0x20 and ord(each) != 0x7F).strip()


@given(st.integers(0, 7_000_000_000_000), st.integers(-840, 840))
def test_times_are_the_same_instant(milliseconds: int, offset_min: int) -> None:
    text = moment(local(milliseconds * 1000, offset_min))
    form = "%Y%m%d%H%M%S.%f%z" if "." in text else "%Y%m%d%H%M%S%z"
    since = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    assert datetime.strptime(text, form).astimezone(UTC) == since
