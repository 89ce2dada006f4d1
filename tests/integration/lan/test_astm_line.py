"""An instrument on a serial line: ACK means committed; unplugging loses nothing it was told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from support.edge_settings import settings_for
from support.lan_port import GatedOutbox
from support.recording_outbox import RecordingOutbox
from support.tree import ROOT
from support.waiting import let_run, wait_until
from wardlight_edge import profiles
from wardlight_edge.clock import SystemClock
from wardlight_edge.config import DeviceSettings
from wardlight_edge.devices._astm.frames import Frame, encode_frame
from wardlight_edge.sessions.runner import DeviceRunner
from wardlight_lab.serialport.pty_port import PtyPort

ENQ, ACK, EOT = b"\x05", b"\x06", b"\x04"
RECORDS = (
    b"H|\\^&|||Meter^1.0^SN7\r",
    b"P|1||90210||Lovelace^Ada\r",
    b"R|1|^^^Glucose|93|mg/dL^P||||20260105115000\r",
    b"L|1|N\r",
)


@asynccontextmanager
async def _line(folder: Path, outbox: RecordingOutbox) -> AsyncIterator[PtyPort]:
    name = "generic-astm"
    loaded = profiles.load(ROOT / "firmware-configs", [name])
    with PtyPort(folder / "port") as port:
        device = DeviceSettings(identity="serial:meter", profile=name, port=str(port.path))
        runner = DeviceRunner(
            settings_for(folder, device), loaded, outbox, SystemClock(), lambda: None
        )
        task = asyncio.create_task(runner.run())
        try:
            await wait_until(lambda: runner.board.devices()[0].state == "connected")
            yield port
        finally:
            task.cancel()
            await asyncio.wait({task})


async def _answer(port: PtyPort) -> bytes:
    found = bytearray()

    def has_come() -> bool:
        found.extend(port.read())
        return bool(found)

    await wait_until(has_come, what="the gateway answers")
    return bytes(found)


async def _send(port: PtyPort, octets: bytes) -> None:
    """Until the line takes it: a port that was just opened may not listen yet."""
    await wait_until(lambda: port.write(octets))


async def test_a_result_is_acknowledged_after_its_commit(tmp_path: Path) -> None:
    outbox = GatedOutbox()
    outbox.gate.set()
    async with _line(tmp_path, outbox) as port:
        await _send(port, ENQ)
        assert await _answer(port) == ACK
        for number, record in enumerate(RECORDS, 1):
            if record[:1] == b"R":
                outbox.gate.clear()
                asked = outbox.asked
            await _send(port, encode_frame(Frame(number, record, is_last=True)))
            if record[:1] == b"R":
                await wait_until(lambda: outbox.asked > asked)  # noqa: B023 - used at once
                await let_run()
                assert port.read() == b"", "no ACK before the COMMIT"
                assert not outbox.events()
                outbox.gate.set()
            assert await _answer(port) == ACK
        await _send(port, EOT)
    (event,) = outbox.events()
    assert event.mantissas == [93]
    assert outbox.key(event.series[0]).device.startswith("serial:meter.p-")
    kept = b"".join(record.body for record in outbox.records)
    assert b"90210" not in kept
    assert b"Lovelace" not in kept


async def test_the_line_is_opened_again_after_it_was_pulled_out(tmp_path: Path) -> None:
    outbox = RecordingOutbox()
    async with _line(tmp_path, outbox) as port:
        await _send(port, ENQ)
        assert await _answer(port) == ACK
        port.unplug()
        port.plug_in()

        def is_answered() -> bool:
            port.write(ENQ)  # what comes while the port is being opened is lost
            return bool(port.read())

        await wait_until(is_answered)
