"""Reading the live feed and finding each sent sample in it."""

import asyncio
from uuid import UUID

import pytest

from wardlight_lab.bench.emulated import Sent
from wardlight_lab.bench.event_stream import events, rows
from wardlight_lab.bench.live_feed import Shown, waits
from wardlight_lab.bench.setting import Unsound

ANNA, BERT = UUID(int=1), UUID(int=2)
PATIENTS = {"ble:A": ANNA, "ble:B": BERT}


async def _events(octets: bytes) -> list[bytes]:
    reader = asyncio.StreamReader()
    reader.feed_data(octets)
    reader.feed_eof()
    found: list[bytes] = []
    with pytest.raises((Unsound, asyncio.IncompleteReadError)):
        async for event in events(reader):
            found.append(event)
    return found


async def test_each_chunk_is_an_event() -> None:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    body = b"5\r\nfirst\r\n6\r\nse\ncnd\r\n0\r\n\r\n"
    assert await _events(head + body) == [b"first", b"se\ncnd"]


async def test_a_refusal_is_no_stream() -> None:
    assert await _events(b"HTTP/1.1 401 Unauthorized\r\n\r\n0\r\n\r\n") == []


def test_rows_come_out_of_the_data_line() -> None:
    assert rows(b'id: 7\nevent: latest\ndata: [{"value": "61"}]\n\n') == [{"value": "61"}]
    assert rows(b"event: alive\ndata: {}\n\n") == []
    assert rows(b": comment\n\n") == []


def test_a_sample_waits_until_its_first_arrival() -> None:
    sent = [Sent("ble:A", 100.0, {}), Sent("ble:A", 101.0, {}), Sent("ble:B", 100.0, {})]
    shown = [
        Shown(ANNA, 100.01, 100.05),
        Shown(ANNA, 100.01, 107.0),  # told again by a later connection
        Shown(ANNA, 101.02, 101.30),
        Shown(BERT, 99.99, 100.20),
    ]
    assert waits(sent, shown, PATIENTS) == pytest.approx([0.05, 0.30, 0.20])


def test_a_sample_of_another_second_or_patient_does_not_count() -> None:
    sent = [Sent("ble:A", 100.0, {})]
    shown = [Shown(ANNA, 101.0, 101.1), Shown(BERT, 100.0, 100.1)]
    with pytest.raises(Unsound, match="0 of 1 samples"):
        waits(sent, shown, PATIENTS)


def test_one_of_ten_may_be_left_out_by_the_feed() -> None:
    sent = [Sent("ble:A", 100.0 + second, {}) for second in range(10)]
    shown = [Shown(ANNA, 100.0 + second, 100.5 + second) for second in range(9)]
    assert len(waits(sent, shown, PATIENTS)) == 9
    with pytest.raises(Unsound):
        waits(sent, shown[1:], PATIENTS)
