"""Senders that break the rules: the gateway goes on, keeps nothing half, says what was wrong."""

import random
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.dicom_wire import (
    CT,
    EXPLICIT,
    IMPLICIT,
    VERIFICATION,
    Wire,
    command,
    context,
    data,
    instance,
    pdu,
    pdv,
    request,
    store,
)
from support.imaging_process import data_set_of, imaging, stored
from support.waiting import wait_until_sync
from wardlight_edge.dicom.process import Imaging
from wardlight_edge.spool.segments import HEAD_BYTES

NOISE = random.Random(7)
OBJECT = instance("1.2.3", NOISE.randbytes(50_000))
BY_PROVIDER = 7, bytes((0, 0, 2, 0))  # A-ABORT, reason not specified
LAST = instance("1.9.9", OBJECT)
RELEASE = bytes.fromhex("05000000000400000000")
ABORT = bytes.fromhex("07000000000400000000")


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Imaging]:
    """DICOM services that must still serve a good sender after each test."""
    with imaging(tmp_path, max_pdu=16_384) as running:
        yield running
        with Wire(running.port) as wire:
            assert wire.associate()[0] == 2
            wire.send(data(pdv(1, 3, store("1.9.9"))), *_data_set(LAST))
            assert wire.status() == 0
            wire.send(RELEASE)
            assert wire.receive()[0] == 6
        kept = stored(tmp_path)
        assert data_set_of(kept.pop("1.9.9")[1]) == LAST
        assert {uid: data_set_of(file) for uid, (_, file) in kept.items()} in (
            {},
            {"1.2.3": OBJECT},
        )
        begun = (tmp_path / "dicom" / "objects").glob("*.part")
        assert all(file.stat().st_size <= HEAD_BYTES for file in begun), "made for what comes next"


def _data_set(octets: bytes, number: int = 1) -> list[bytes]:
    step = 16_000
    ends = range(0, len(octets), step)
    return [
        data(pdv(number, 2 * (at + step >= len(octets)), octets[at : at + step])) for at in ends
    ]


def _good(port: int) -> Wire:
    wire = Wire(port)
    assert wire.associate(context(1, CT, EXPLICIT), context(3, VERIFICATION, IMPLICIT))[0] == 2
    return wire


def test_fragments_cut_in_every_odd_way(running: Imaging) -> None:
    """Empty ones, one octet, several in a PDU, a command over several PDUs."""
    head = store("1.2.3")
    pieces = [
        pdv(1, 1, head[:7]), pdv(1, 1, b""), pdv(1, 1, head[7:20]), pdv(1, 3, head[20:]),
        pdv(1, 0, b""), pdv(1, 0, OBJECT[:1]), pdv(1, 0, OBJECT[1:8000]),
        pdv(1, 0, OBJECT[8000:16001]),
    ]  # fmt: skip
    with _good(running.port) as wire:
        wire.send(data(*pieces[:2]), data(pieces[2]), data(pieces[3], pieces[4]))
        for piece in pieces[5:]:
            wire.send(data(piece))
        wire.send(*_data_set(OBJECT[16001:])[:-1], data(_last(OBJECT[16001:]), pdv(1, 2, b"")))
        assert wire.status() == 0


def _last(octets: bytes) -> bytes:
    return pdv(1, 0, octets[(len(octets) - 1) // 16_000 * 16_000 :])


@pytest.mark.parametrize("how", ["abort", "release", "hang up", "reset"])
def test_an_object_that_does_not_come_to_its_end(running: Imaging, how: str) -> None:
    with _good(running.port) as wire:
        wire.send(data(pdv(1, 3, store("1.2.3"))), *_data_set(OBJECT)[:-1])
        if how == "abort":
            wire.send(ABORT)
        elif how == "release":
            wire.send(RELEASE)
            assert wire.receive()[0] == 6
        elif how == "reset":
            linger = struct.pack("ii", 1, 0)
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    wait_until_sync(lambda: running.status().open == 0)
    assert running.status().associations_aborted == 1


@pytest.mark.parametrize(
    "octets",
    [
        struct.pack(">BBI", 4, 0, 0xFFFFFFFF),
        struct.pack(">BBI", 4, 0, 16_385),
        data(),
        pdu(4, struct.pack(">IBB", 0xFFFFFFFF, 1, 3)),
        pdu(4, struct.pack(">IBB", 1, 1, 3)),
        pdu(4, pdv(1, 3, b"ab") + b"\0\0"),
        data(pdv(5, 3, store("1.2.3"))),
        data(pdv(1, 3, b"\0" * 4)),
        data(pdv(1, 3, struct.pack("<HHI", 0, 0x100, 0xFFFFFFF0) + b"\1\0")),
        data(pdv(1, 2, b"data without a command")),
        data(pdv(1, 3, store("1.2.3"))) + data(pdv(3, 2, b"of another context")),
        data(pdv(1, 3, store("1.2.3"))) + data(pdv(1, 0, b"ab")) + data(pdv(1, 3, store("1.2.4"))),
        data(pdv(1, 1, store("1.2.3")[:30])) + data(pdv(3, 3, store("1.2.3")[30:])),
        data(pdv(1, 3, command(c=CT, f=0x8001, m=1, d=0x0101))),
        data(pdv(1, 3, command(c=CT, f=0x0001, d=0x0101))),
        pdu(1, b"a second request"),
        pdu(2, b""),
        pdu(9, b""),
        NOISE.randbytes(64),
    ],
    ids=lambda octets: octets[:12].hex(),
)  # fmt: skip
def test_what_breaks_the_protocol_ends_the_association(running: Imaging, octets: bytes) -> None:
    with _good(running.port) as wire:
        wire.send(octets)
        kind, body = wire.receive()
        assert kind == 7, "an A-ABORT of the provider"
        assert body[2] == 2


@pytest.mark.parametrize(
    "octets",
    [
        b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", NOISE.randbytes(100),
        data(pdv(1, 3, store("1.2.3"))), RELEASE, pdu(1, b""), pdu(1, NOISE.randbytes(200)),
        struct.pack(">BBI", 1, 0, 0xFFFFFFFF), request(context(2, CT, EXPLICIT)),
        request(context(1, "x" * 300, EXPLICIT)), request(calling=b"\\\\\r\n"), b"",
    ],
    ids=lambda octets: octets[:12].hex() or "nothing",
)  # fmt: skip
def test_what_is_no_request_is_not_served(running: Imaging, octets: bytes) -> None:
    with Wire(running.port) as wire:
        wire.send(octets)
        wire.socket.shutdown(socket.SHUT_WR)
        assert wire.is_over()


def test_who_only_looks_whether_the_port_is_open_is_no_trouble(running: Imaging) -> None:
    with Wire(running.port) as looker:
        looker.socket.shutdown(socket.SHUT_WR)
        assert looker.is_over()
    wait_until_sync(lambda: running.status().open == 0)
    assert running.status().associations_aborted == 0


def test_a_silent_peer_is_hung_up(tmp_path: Path) -> None:
    """One that asks for nothing, one within a PDU, and one that has nothing more to say."""
    short = {"artim_timeout_s": 1.0, "pdu_timeout_s": 1.0, "idle_timeout_s": 2.0}
    with (
        imaging(tmp_path, **short) as running,
        Wire(running.port) as silent,
        _good(running.port) as half,
        _good(running.port) as idle,
    ):
        half.send(data(pdv(1, 3, store("1.2.3")))[:9])
        assert silent.receive() == (0, b""), "PS3.8, 9.1.4: there is no association to abort"
        assert half.receive() == BY_PROVIDER
        assert idle.receive() == BY_PROVIDER


def test_who_has_sent_something_may_pause(tmp_path: Path) -> None:
    """An exam of an ultrasound is one association; one that only asks C-ECHO holds no place."""
    with (
        imaging(tmp_path, idle_timeout_s=1.0, pause_timeout_s=600.0) as running,
        _good(running.port) as working,
        _good(running.port) as echoing,
        _good(running.port) as within,
    ):
        working.send(data(pdv(1, 3, store("1.2.3"))), *_data_set(OBJECT))
        assert working.status() == 0
        echoing.send(data(pdv(3, 3, command(c=VERIFICATION, f=0x30, m=8, d=0x0101))))
        assert echoing.status() == 0
        within.send(data(pdv(1, 3, store("1.2.3"))), *_data_set(OBJECT))
        assert within.status() == 0
        within.send(data(pdv(1, 3, store("1.2.4"))))
        assert (echoing.receive(), within.receive()) == (BY_PROVIDER, BY_PROVIDER)
        working.send(data(pdv(1, 3, store("1.2.3"))), *_data_set(OBJECT))
        assert working.status() == 0


def test_a_pause_has_its_end(tmp_path: Path) -> None:
    with (
        imaging(tmp_path, idle_timeout_s=1.0, pause_timeout_s=2.0) as running,
        _good(running.port) as working,
    ):
        working.send(data(pdv(1, 3, store("1.2.3"))), *_data_set(OBJECT))
        assert working.status() == 0
        assert working.receive() == BY_PROVIDER


def test_contexts_that_are_proposed_twice(running: Imaging) -> None:
    with Wire(running.port) as wire:
        twice = context(1, CT, EXPLICIT), context(1, VERIFICATION, IMPLICIT)
        assert wire.associate(*twice, context(3, CT, EXPLICIT))[0] == 2
        wire.send(data(pdv(3, 3, store("1.2.3"))), *_data_set(OBJECT, 3))
        assert wire.status() == 0


def test_the_same_object_on_two_associations_at_once(running: Imaging, tmp_path: Path) -> None:
    with _good(running.port) as one, _good(running.port) as two:
        parts = [data(pdv(1, 3, store("1.2.3"))), *_data_set(OBJECT)]
        for part in parts:
            one.send(part)
            two.send(part)
        assert (one.status(), two.status()) == (0, 0)
    assert len(stored(tmp_path)) == 1


def test_a_cancel_that_is_too_late_is_nothing(running: Imaging) -> None:
    with _good(running.port) as wire:
        wire.send(data(pdv(3, 3, command(f=0x0FFF, b=7, d=0x0101))))
        wire.send(data(pdv(3, 3, command(c=VERIFICATION, f=0x30, m=8, d=0x0101))))
        assert wire.status() == 0


def test_a_store_request_without_a_data_set(running: Imaging) -> None:
    with _good(running.port) as wire:
        wire.send(data(pdv(1, 3, store("1.2.3", data_set=0x0101))))
        assert wire.status() == 0xC000


def test_an_operation_that_nobody_serves(running: Imaging) -> None:
    with _good(running.port) as wire:
        wire.send(data(pdv(3, 3, command(c=VERIFICATION, f=0x0021, m=8, d=0x0101))))
        assert wire.status() == 0x0211
        wire.send(data(pdv(1, 3, command(c=CT, f=0x0021, m=9, d=0x0101))))
        assert wire.status() == 0x0122


def test_requests_that_do_not_wait_for_their_answers(running: Imaging) -> None:
    with _good(running.port) as wire:
        echo = data(pdv(3, 3, command(c=VERIFICATION, f=0x30, m=8, d=0x0101)))
        wire.send(echo * 20, RELEASE)
        assert [wire.status() for _ in range(20)] == [0] * 20
        assert wire.receive()[0] == 6
