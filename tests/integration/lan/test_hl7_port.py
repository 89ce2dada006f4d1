"""The HL7 port: accepted means committed, and no peer harms another."""

import asyncio
import io
from pathlib import Path

import pytest

from support.lan_port import GatedOutbox, HeldPort, open_port
from support.waiting import let_run, wait_until
from wardlight_edge.cli import main
from wardlight_edge.config import Hl7Settings
from wardlight_edge.devices import Subject
from wardlight_edge.outbox.key import read
from wardlight_edge.sessions.subject_keys import SubjectKeys
from wardlight_edge.transports.base import LinkState
from wardlight_edge.transports.lan import LanListener
from wardlight_edge.transports.links import Link
from wardlight_shared.codes import METRICS

MESSAGE = (
    "MSH|^~\\&|MON^00A037009B023649^EUI-64|MAKER|||20260105120000+0100||ORU^R01|{control}|P|2.6\r"
    "PID|||{patient}^^^CLINIC^MR||Lovelace^Ada\r"
    "OBR|1|||x|||20260105120000+0100\r"
    "OBX|1|NM|150456^MDC_PULS_OXIM_SAT_O2^MDC|1.1|{spo2}|262688^MDC_DIM_PERCENT^MDC|||||R\r"
    "OBX|2|NM|149530^MDC_PULS_OXIM_PULS_RATE^MDC|1.2|72|264864^MDC_DIM_BEAT_PER_MIN^MDC|||||R"
)


def _message(control: int = 1, patient: str = "MRN-90210", spo2: str = "97") -> str:
    return MESSAGE.format(control=control, patient=patient, spo2=spo2)


async def _told(held: HeldPort, message: str) -> list[str]:
    async with held.sender() as sender:
        await sender.send(message)
        return (await sender.answer())[1]


async def test_accepted_is_said_only_after_the_commit(tmp_path: Path) -> None:
    outbox = GatedOutbox()
    async with open_port(tmp_path, outbox) as held, held.sender() as sender:
        await sender.send(_message(control=4711))
        await wait_until(lambda: outbox.asked)
        await let_run()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):  # as long as it is not committed, nothing comes
                await sender.reader.read(1)
        assert not outbox.records
        outbox.gate.set()
        assert (await sender.answer())[1] == ["MSA", "AA", "4711"]
        assert len(outbox.events()) == 1


async def test_readings_are_stored_under_an_opaque_key(tmp_path: Path) -> None:
    async with open_port(tmp_path) as held:
        assert (await _told(held, _message()))[1] == "AA"
        (event,) = held.outbox.events()
        keys = [held.outbox.key(number) for number in event.series]
    secret = read(tmp_path / "patients.key")
    expected = SubjectKeys(secret).key(Subject("patient", "CLINIC", "MRN-90210"))
    assert {key.device for key in keys} == {f"lan:hl7.{expected}"}
    assert [key.metric for key in keys] == [
        METRICS["spo2"].wire,
        METRICS["pulse_rate_oximeter"].wire,
    ]
    assert (event.mantissas, event.device_time) == ([97, 72], "2026-01-05T12:00:00+01:00")
    (info,) = held.outbox.statuses("info")
    assert info.data == {
        "manufacturer": "MAKER", "model": "MON", "system_id": "00A037009B023649",
    }  # fmt: skip


async def test_the_operator_s_command_names_the_same_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_port(tmp_path) as held:
        await _told(held, _message())
        (event,) = held.outbox.events()
        stored = held.outbox.key(event.series[0]).device
    settings = tmp_path / "edge.toml"
    settings.write_text(
        'gateway = "gw-1"\ndata_dir = "."\nprofiles_dir = "."\n[lan.hl7]\n[uplink]\n'
        'host = "h"\nca_file = "a"\ncert_file = "b"\nkey_file = "c"\n'
    )
    monkeypatch.setattr("sys.stdin", io.StringIO("MRN-90210\n"))
    arguments = ["patient-key", "--config", str(settings), "--authority", "CLINIC"]
    assert await asyncio.to_thread(main, arguments) == 0
    assert capsys.readouterr().out.strip() == stored


def _octets_below(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


async def test_the_identifier_is_nowhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with open_port(tmp_path) as held:
        await _told(held, _message())
        assert (await _told(held, _message(spo2="many")))[1] == "AA"  # all but that
        assert (await _told(held, _message().replace("|R\r", "|Q\r")))[1] == "AE"
        assert (await _told(held, _message().replace("R01", "R99")))[1] == "AR"
        kept = b"".join(record.body for record in held.outbox.records)
        kept += _octets_below(tmp_path)
        held_text = str(held.runner.board.devices())
    for secret in ("90210", "Lovelace", "CLINIC"):
        assert secret.encode() not in kept
        assert secret not in held_text
        assert secret not in caplog.text
        assert secret not in str([record.__dict__ for record in caplog.records])


async def test_a_message_sent_again_is_stored_once(tmp_path: Path) -> None:
    async with open_port(tmp_path) as held:
        for _ in range(3):
            assert (await _told(held, _message()))[1] == "AA"
        assert (await _told(held, _message(control=2, spo2="96")))[1] == "AA"
        assert len(held.outbox.events()) == 2


async def test_a_full_outbox_refuses_so_that_the_sender_keeps_it(tmp_path: Path) -> None:
    async with open_port(tmp_path, accept_timeout_s=0.2) as held:
        held.outbox.is_full = True
        async with held.sender() as sender:
            await sender.send(_message())
            answer = await sender.answer()
        assert answer[1][1] == "AE"
        assert answer[2][3].startswith("207^")
        held.outbox.is_full = False
        assert (await _told(held, _message()))[1] == "AA"


async def test_numbers_without_a_metric_are_told_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    quality = "160324^MDC_SPO2_SIGNAL_QUALITY_INDEX^MDC"
    message = _message().replace("150456^MDC_PULS_OXIM_SAT_O2^MDC", quality)
    async with open_port(tmp_path) as held:
        for _ in range(2):
            assert (await _told(held, message))[1] == "AA"
        assert held.runner.board.devices()[0].counts.ignored == 2
        only = "\r".join(message.split("\r")[:-1])  # nothing in it is stored
        assert (await _told(held, only))[1] == "AA"
    told = [each for each in caplog.records if "without a metric" in each.message]
    assert [each.__dict__["code"] for each in told] == ["160324-MDC_SPO2_SIGNAL_QUALITY_INDEX"]


async def test_what_does_not_fit_is_told_and_quarantined_and_the_rest_is_stored(
    tmp_path: Path,
) -> None:
    message = _message(control=5).replace("262688^MDC_DIM_PERCENT^MDC", "psi")
    async with open_port(tmp_path) as held:
        async with held.sender() as sender:
            await sender.send(message)
            _, answer, warning = await sender.answer()
        (event,) = held.outbox.events()
        stored = [held.outbox.key(number).metric for number in event.series]
        (told,) = held.outbox.statuses("quarantine")
    assert answer == ["MSA", "AA", "5"]
    assert (warning[2], warning[4]) == ("OBX^1^6", "W")
    assert stored == [METRICS["pulse_rate_oximeter"].wire]
    assert "OBX^1^6" in str(told.data["reason"])


async def test_two_patients_of_one_message_are_two_sources(tmp_path: Path) -> None:
    second = _message(patient="MRN-2").split("\r", 1)[1]
    async with open_port(tmp_path) as held:
        assert (await _told(held, f"{_message()}\r{second}"))[1] == "AA"
        sources = {held.outbox.key(event.series[0]).device for event in held.outbox.events()}
    assert len(sources) == 2


async def _is_served(held: HeldPort) -> None:
    assert (await _told(held, _message()))[1] == "AA"


async def test_a_message_that_never_ends_is_hung_up(tmp_path: Path) -> None:
    async with open_port(tmp_path, message_timeout_s=0.3) as held, held.sender() as slow:
        slow.writer.write(b"\x0bMSH|")
        await _is_served(held)
        assert await slow.is_hung_up()


async def test_a_message_that_is_too_long_is_refused_and_hung_up(tmp_path: Path) -> None:
    async with open_port(tmp_path, max_message_bytes=2048) as held, held.sender() as long:
        long.writer.write(b"\x0bMSH|" + b"x" * 10_000)
        assert (await long.answer())[1][1] == "AR"
        assert await long.is_hung_up()
        await _is_served(held)


async def test_noise_is_hung_up(tmp_path: Path) -> None:
    async with open_port(tmp_path) as held, held.sender() as noisy:
        noisy.writer.write(b"GET / HTTP/1.1\r\n" * 8000)
        assert await noisy.is_hung_up()
        await _is_served(held)


async def test_a_peer_that_reads_no_answers_is_hung_up(tmp_path: Path) -> None:
    async with open_port(tmp_path, write_timeout_s=0.3) as held, held.sender() as deaf:
        deaf.writer.transport.pause_reading()  # type: ignore[attr-defined]
        frame = b"\x0bMSH|^~\\&|" + b"x" * 200 + b"|||||||ORU^R99|1|P|2.6\x1c\r"

        async def flood() -> None:
            while True:
                deaf.writer.write(frame * 200)
                await deaf.writer.drain()

        flooding = asyncio.create_task(flood())
        try:
            await _is_served(held)
            await asyncio.wait({flooding}, timeout=180)
            assert flooding.done(), "the gateway keeps a peer that does not read"
            assert isinstance(flooding.exception(), ConnectionError)
        finally:
            flooding.cancel()
        await _is_served(held)


async def test_one_peer_does_not_take_every_place(tmp_path: Path) -> None:
    async with open_port(tmp_path, max_per_peer=2) as held:
        async with held.sender() as first, held.sender() as second:
            for sender in (first, second):
                await sender.send(_message())
                await sender.answer()
            async with held.sender() as third:
                assert await third.is_hung_up()
        await wait_until(lambda: held.state == "waiting")
        await _is_served(held)


async def test_only_the_peers_of_the_settings_are_heard(tmp_path: Path) -> None:
    async with (
        open_port(tmp_path, peers=("192.0.2.0/24",)) as held,
        held.sender() as stranger,
    ):
        assert await stranger.is_hung_up()


async def test_a_port_that_is_taken_is_a_state(tmp_path: Path) -> None:
    said: list[tuple[LinkState, str | None]] = []

    async def serve(link: Link) -> None:
        del link

    async with open_port(tmp_path) as held:
        settings = Hl7Settings(port=held.port)
        file = tmp_path / "other.port"
        listener = LanListener("x", settings, file, serve, lambda *each: said.append(each))
        task = asyncio.create_task(listener.run())
        await wait_until(lambda: said)
        task.cancel()
        await asyncio.wait({task})
    assert said[0][0] is LinkState.ABSENT
    assert str(held.port) in (said[0][1] or "")
    assert not file.exists()
