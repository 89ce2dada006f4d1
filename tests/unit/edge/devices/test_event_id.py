"""The event id: same event, same id; no name for what nothing names."""

from decimal import Decimal
from hashlib import blake2b

from wardlight_edge.devices import event_id, load_gatt
from wardlight_shared.model import DeviceTime, Flag, Reading

IDENTITY = "ble:00112233AABB"
TIME = DeviceTime(2024, 6, 15, 17, 17, 27)
RAW = bytes.fromhex("167C0056006100E807060F11111B33000000")
READINGS = load_gatt("blood_pressure").decode("0x2A35", RAW)


def _reading(**fields: object) -> tuple[Reading, ...]:
    return (Reading("spo2", Decimal(97), "%", **fields),)  # type: ignore[arg-type]


def test_it_is_the_hash_its_docstring_describes() -> None:
    seconds = 771_787_047  # 2024-06-15T17:17:27 after 2000-01-01, by hand: 8932 days 62247 s
    assert seconds == 8932 * 86_400 + 62_247
    parts = [IDENTITY.encode(), f"time {seconds};".encode(), RAW]
    framed = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    expected = blake2b(framed, digest_size=16, person=b"wardlight-event").digest()
    assert event_id(IDENTITY, READINGS, RAW) == expected


def test_a_repeat_has_the_same_id() -> None:
    assert event_id(IDENTITY, READINGS, RAW) == event_id(IDENTITY, READINGS, RAW)


def test_every_part_counts() -> None:
    base = event_id(IDENTITY, _reading(time=TIME, record=7), b"raw")
    others = [
        event_id("ble:00112233AABC", _reading(time=TIME, record=7), b"raw"),
        event_id(IDENTITY, _reading(time=TIME, record=8), b"raw"),
        event_id(IDENTITY, _reading(time=TIME), b"raw"),
        event_id(IDENTITY, _reading(record=7), b"raw"),
        event_id(IDENTITY, _reading(time=DeviceTime(2024, 6, 15, 17, 17, 28), record=7), b"raw"),
        event_id(IDENTITY, _reading(time=TIME, record=7), b"raw "),
    ]
    assert base is not None
    assert len({base, *others}) == len(others) + 1


def test_a_stream_has_none() -> None:
    assert event_id(IDENTITY, _reading(), b"raw") is None
    assert event_id(IDENTITY, (), b"raw") is None


def test_a_clock_that_is_not_set_names_nothing() -> None:
    """Two true readings, each 5 s after power-on, would share time and bytes."""
    unset = _reading(time=DeviceTime(2000, 1, 1, 0, 0, 5), flags=int(Flag.DEVICE_CLOCK_UNSET))
    assert event_id(IDENTITY, unset, b"raw") is None
    assert event_id(IDENTITY, _reading(time=DeviceTime(0, 6, 15, 17, 17, 27)), b"raw") is None


def test_a_record_number_names_even_then() -> None:
    time = DeviceTime(0, 0, 0, 0, 0, 5)
    unset = _reading(time=time, flags=int(Flag.DEVICE_CLOCK_UNSET), record=3)
    assert event_id(IDENTITY, unset, b"raw") == event_id(IDENTITY, _reading(record=3), b"raw")
