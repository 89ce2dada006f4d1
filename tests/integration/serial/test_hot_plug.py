"""Adapters pulled out in the middle of a frame and plugged in again, on every kind of serial line.

Each line is a pseudo-terminal with its own profile of firmware-configs/ and the whole gateway
behind it. What was whole is stored, the cut frame is not, the loss of a stream is named.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from support.block_reader import samples
from support.recording_outbox import RecordingOutbox
from support.running_gateway import Running, running_gateway
from support.tree import ROOT
from support.vectors import cases, octets
from support.waiting import wait_until
from wardlight_edge import profiles
from wardlight_edge.config import DeviceSettings
from wardlight_edge.devices._astm.frames import Frame, encode_frame
from wardlight_lab.serialport import contec, masimo
from wardlight_lab.serialport.nonin import Format, Oximetry, packet
from wardlight_lab.serialport.pty_port import PtyPort
from wardlight_shared.codes import BY_WIRE
from wardlight_shared.records import BlockBody

AT = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
PLETH = [30_000] * 25
PERFUSION = Decimal("3.60")


def _bci(spo2: int) -> bytes:
    return contec.first_generation(spo2, 72, 30) * contec.FRAMES_A_SECOND


def _v46(spo2: int) -> bytes:
    return contec.version_4_6(spo2, 72, 30) * contec.FRAMES_A_SECOND


def _line(spo2: int) -> bytes:
    return masimo.line(spo2, 72, PERFUSION, AT)


def _df2(spo2: int) -> bytes:
    return packet(Format.DF2, Oximetry(spo2, 72), PLETH) * 3


def _df7(spo2: int) -> bytes:
    return packet(Format.DF7, Oximetry(spo2, 72), PLETH) * 3


def _df8(spo2: int) -> bytes:
    return bytes((0x80, 72, spo2, 0))


SECONDS = {
    "contec-cms50d-plus": _bci,
    "contec-cms50d-plus-v46": _v46,
    "masimo-rad-8": _line,
    "masimo-radical-7": _line,
    "nonin-xpod": _df2,
    "nonin-xpod-df7": _df7,
    "nonin-4100": _df8,
}


@asynccontextmanager
async def _gateway(folder: Path, name: str) -> AsyncIterator[tuple[PtyPort, Running]]:
    loaded = profiles.load(ROOT / "firmware-configs", [name])
    with PtyPort(folder / "port") as port:
        device = DeviceSettings(identity="serial:bed", profile=name, port=str(port.path))
        async with running_gateway(folder, loaded, device) as run:
            await wait_until(lambda: run.state() == "connected" and port.is_open)
            yield port, run


async def _replug(port: PtyPort, run: Running) -> None:
    links = run.runner.board.devices()[0].counts.links
    port.unplug()
    await wait_until(lambda: run.state() in {"absent", "lost"})
    port.plug_in()
    await wait_until(lambda: run.runner.board.devices()[0].counts.links > links)
    await wait_until(lambda: port.is_open)


def _saturations(outbox: RecordingOutbox) -> list[Decimal]:
    found = []
    for record, body in zip(outbox.records, outbox.bodies(), strict=True):
        if isinstance(body, BlockBody):
            for sample in samples(body, record.mono_ms, {}):
                if BY_WIRE[outbox.key(sample.series).metric].name == "spo2":
                    assert isinstance(sample.value, Decimal)
                    found.append(sample.value)
    return found


async def _play(port: PtyPort, run: Running, second: bytes, readings: int) -> None:
    """The same second until so many more readings are there; a line holds back its last frame."""
    wanted = run.runner.board.devices()[0].counts.readings + readings

    def is_there() -> bool:
        port.write(second)
        return run.runner.board.devices()[0].counts.readings >= wanted

    await wait_until(is_there)


@pytest.mark.parametrize("name", SECONDS)
async def test_a_stream_cut_in_the_middle_of_a_frame(name: str, tmp_path: Path) -> None:
    """Before it 97 %, after it 93 %, and 55 % in the frame that was cut and nowhere else."""
    second = SECONDS[name]
    async with _gateway(tmp_path, name) as (port, run):
        await _play(port, run, second(97), 2)
        cut = second(55)
        port.write(cut[: min(len(cut) - 1, 8)])
        await _replug(port, run)
        await _play(port, run, second(93), 2)
        await wait_until(run.outbox.gaps)
        counts = run.runner.board.devices()[0].counts
        assert (counts.link_losses, counts.lost, counts.restarts) == (1, 0, 0)
    (gap,) = run.outbox.gaps()
    assert (gap.cause, gap.device) == ("link-lost", "serial:bed")
    found = _saturations(run.outbox)
    assert set(found) == {Decimal(97), Decimal(93)}
    assert found == sorted(found, reverse=True), "none of the first comes after the second"


async def test_a_result_cut_in_the_middle_is_stored_once_when_it_is_sent_again(
    tmp_path: Path,
) -> None:
    """ASTM: the instrument was told nothing, so it begins anew on the next link."""
    records = (
        b"H|\\^&|||Meter^1.0^SN7\r",
        b"P|1\r",
        b"R|1|^^^Glucose|93|mg/dL^P||||20260105115000\r",
        b"L|1|N\r",
    )
    frames = [
        encode_frame(Frame(1 + place, each, is_last=True)) for place, each in enumerate(records)
    ]
    async with _gateway(tmp_path, "generic-astm") as (port, run):
        await _exchange(port, b"\x05")
        for each in frames[:2]:
            await _exchange(port, each)
        port.write(frames[2][:12])
        await _replug(port, run)
        await _exchange(port, b"\x05")
        for each in frames:
            assert (await _exchange(port, each))[:1] == b"\x06"
        await wait_until(lambda: port.write(b"\x04"))
        await wait_until(run.outbox.events)
    (event,) = run.outbox.events()
    assert event.mantissas == [93]


async def test_a_report_cut_in_the_middle_is_stored_once_after_a_new_association(
    tmp_path: Path,
) -> None:
    """ISO/IEEE 11073-20601 over a serial line: the agent associates again and reports again."""
    # Association with standard configuration 02BC and one report: signove/antidote.
    whole = next(octets(each) for each in cases("apdu") if each["name"].startswith("blood press"))
    associate, report = whole[:54], whole[54:]
    async with _gateway(tmp_path, "generic-20601-serial") as (port, run):
        assert (await _exchange(port, associate))[:2] == b"\xe3\x00"
        port.write(report[:20])
        await _replug(port, run)
        assert (await _exchange(port, associate))[:2] == b"\xe3\x00"
        assert not run.outbox.events()
        await _exchange(port, report)
        await wait_until(run.outbox.events)
    (event,) = run.outbox.events()
    assert event.mantissas == [120, 80, 100, 600]


async def _exchange(port: PtyPort, sent: bytes) -> bytes:
    """What the gateway answers."""
    heard = bytearray()
    await wait_until(lambda: port.write(sent))

    def is_answered() -> bool:
        heard.extend(port.read())
        return bool(heard)

    await wait_until(is_answered, what="the gateway answers")
    return bytes(heard)
