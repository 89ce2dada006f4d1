"""Pseudo-terminals read through pyserial, as the gateway reads a real port."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import serial

from support.waiting import wait_until
from wardlight_lab.devices import PatientVitals, read_ledger
from wardlight_lab.serialport import (
    Disturbance,
    Fault,
    Format,
    NoninOximeter,
    Player,
    PtyPort,
)
from wardlight_lab.serialport.pty_port import UnpluggedError

Piece = tuple[bytes, dict[str, str]]


def nonin(count: int, format_: Format = Format.DF2) -> list[Piece]:
    """The first packets of an oximeter."""
    packets: Iterator[Piece] = NoninOximeter(PatientVitals("p"), format_=format_).packets()
    return [next(packets) for _ in range(count)]


def joined(pieces: list[Piece]) -> bytes:
    return b"".join(raw for raw, _ in pieces)


class Reader:
    """Reads a port without blocking; `received` grows while the test waits."""

    def __init__(self, path: Path) -> None:
        self.port = serial.Serial(str(path), 9600, timeout=0)
        self.received = bytearray()

    def take(self) -> bytearray:
        self.received += self.port.read(4096)
        return self.received


@asynccontextmanager
async def playing(port: PtyPort, pieces: list[Piece], **options: object) -> AsyncIterator[Player]:
    player = Player(port, pieces, **options)  # type: ignore[arg-type]
    task = asyncio.create_task(player.play())
    try:
        yield player
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("format_", Format)
@pytest.mark.parametrize("chunk", [1, 7, 15, 125])
async def test_what_is_played_is_what_is_read(tmp_path: Path, format_: Format, chunk: int) -> None:
    pieces = nonin(4, format_)
    with PtyPort(tmp_path / "usb-Nonin") as port:
        reader = Reader(port.path)
        heard: list[bool] = []

        def on_sent(raw: bytes, values: dict[str, str], taken: bool) -> None:
            del raw, values
            heard.append(taken)

        async with playing(port, pieces, speed=100, chunk=chunk, on_sent=on_sent):
            await wait_until(lambda: len(reader.take()) >= len(joined(pieces)))
            await wait_until(lambda: len(heard) == 4)  # the last is told after it is read
        assert bytes(reader.received) == joined(pieces)
        assert heard == [True] * 4
        assert port.lost == 0
        reader.port.close()


async def test_the_pace_is_that_of_the_line(tmp_path: Path) -> None:
    pieces = nonin(3)  # one second of the line
    with PtyPort(tmp_path / "port") as port:
        reader = Reader(port.path)
        loop = asyncio.get_running_loop()
        before = loop.time()
        async with playing(port, pieces, speed=4):
            await wait_until(lambda: len(reader.take()) >= 375)
        assert loop.time() - before >= 0.2
        reader.port.close()


async def test_what_nobody_listens_to_is_lost(tmp_path: Path) -> None:
    pieces = nonin(2)
    with PtyPort(tmp_path / "port") as port:
        assert not port.is_open
        await Player(port, pieces, speed=1000).play()
        assert port.lost == 250
        reader = Reader(port.path)
        assert port.is_open
        assert bytes(reader.take()) == b""
        reader.port.close()
        await wait_until(lambda: not port.is_open)
        reader = Reader(port.path)  # the same name can be opened again
        assert port.write(b"x")
        await wait_until(lambda: bytes(reader.take()) == b"x")
        reader.port.close()


async def test_a_reader_that_does_not_read_loses_bytes_and_stops_nobody(tmp_path: Path) -> None:
    with PtyPort(tmp_path / "port") as port:
        reader = Reader(port.path)
        for _ in range(40):
            port.write(bytes(1000))
        assert port.lost > 0
        reader.port.close()


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault.DROP, lambda raw: raw[:7] + raw[8:]),
        (Fault.GARBLE, lambda raw: raw[:7] + bytes([raw[7] ^ 0xFF]) + raw[8:]),
        (Fault.INSERT, lambda raw: raw[:7] + b"\xa5" + raw[7:]),
    ],
)
async def test_bytes_are_disturbed_where_told(
    tmp_path: Path, fault: Fault, expected: object
) -> None:
    pieces = nonin(1)
    wanted = expected(joined(pieces))  # type: ignore[operator]
    with PtyPort(tmp_path / "port") as port:
        reader = Reader(port.path)
        async with playing(port, pieces, speed=100, disturbances=[Disturbance(7, fault)]):
            await wait_until(lambda: len(reader.take()) >= len(wanted))
        assert bytes(reader.received) == wanted
        reader.port.close()


async def test_unplugged_in_the_middle_of_a_frame_and_plugged_in_again(tmp_path: Path) -> None:
    pieces = nonin(200)
    path = tmp_path / "by-id" / "usb-Nonin"
    cut = 125 + 7
    with PtyPort(path) as port:
        reader = Reader(path)
        unplug = Disturbance(cut, Fault.UNPLUG, pause_s=0.1)
        async with playing(port, pieces, speed=20, disturbances=[unplug]):
            with pytest.raises(serial.SerialException):
                await wait_until(lambda: bool(reader.take()) and not path.exists())
                while True:
                    reader.take()
                    await asyncio.sleep(0)
            assert bytes(reader.received) == joined(pieces)[: len(reader.received)]
            assert len(reader.received) <= cut
            reader.port.close()
            await wait_until(path.exists)
            again = Reader(path)
            await wait_until(lambda: len(again.take()) > 250)
            again.port.close()
    assert not path.is_symlink()
    with pytest.raises(UnpluggedError):
        port.write(b"x")
    with pytest.raises(UnpluggedError):
        port.read()


async def test_commands_of_the_host_reach_the_device(tmp_path: Path) -> None:
    with PtyPort(tmp_path / "port") as port:
        assert port.read() == b""
        reader = Reader(port.path)
        reader.port.write(b"\x7d\x81\xa1")
        await wait_until(lambda: port.read() == b"\x7d\x81\xa1")
        reader.port.close()


async def test_the_process_plays_until_it_is_told_to_stop(tmp_path: Path) -> None:
    folder, ledger = tmp_path / "serial", tmp_path / "ledger.jsonl"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "wardlight_lab.serialport", "--folder", str(folder)),
        *("--ledger", str(ledger), "--ready-file", str(tmp_path / "ready.json")),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        ready = json.loads(await asyncio.wait_for(process.stdout.readline(), 180))
        assert json.loads((tmp_path / "ready.json").read_text()) == ready
        (shown,) = ready["ports"]
        assert shown["protocol"] == "nonin-df2"
        shown_path = Path(shown["path"])
        reader = Reader(shown_path)
        await wait_until(lambda: len(reader.take()) >= 250)
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 180) == 0
        reader.port.close()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
    assert list(folder.iterdir()) == []  # nothing else runs any more
    assert any(each.delivered and each.values["spo2"] for each in read_ledger(ledger))
