"""Messages over MLLP: each Observation, as FHIR has it, whatever the receiver does."""

import asyncio
import json
import ssl
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import pytest

from support.hl7_sending import destination, has_settled, sending, status
from support.mllp_receiver import CLOSES, OTHER, SILENT, MllpReceiver, mllp_receiver
from support.readings import One
from support.served_ward import ANNA, BERT, CLIP, CUFF, MINUTE, SCALE, START, Ward
from support.waiting import wait_until
from wardlight_cloud.cli import main
from wardlight_cloud.config import load
from wardlight_cloud.hl7 import kept, messages
from wardlight_cloud.hl7.destinations import destinations
from wardlight_cloud.hl7.retrying import Retried, retry
from wardlight_cloud.hl7.sender import Hl7Sender
from wardlight_cloud.security.ca import CertificateAuthority
from wardlight_cloud.security.roles import Role
from wardlight_cloud.store.audit import AuditQuery
from wardlight_cloud.store.observation_rows import ObservationRow
from wardlight_shared.codes import METRICS
from wardlight_shared.model import Flag

METRIC = METRICS["heart_rate"].wire


def control_ids(receiver: MllpReceiver) -> set[str]:
    return {each.control_id for each in receiver.received}


async def test_a_receiver_that_reads_all_again_is_called_anew(
    ward: Ward, receiver: MllpReceiver
) -> None:
    """Else the thousandth message would be read a thousand times."""
    receiver.replays = True
    async with sending(ward, receiver):
        for number in range(12):
            await ward.store_event(
                One("spo2", START + number * MINUTE, 90 + number % 9, device=CLIP)
            )
        await wait_until(lambda: len(control_ids(receiver)) == 12, what="twelve messages")
        await wait_until(lambda: has_settled(ward), what="nothing waits")
    assert len(receiver.received) == 24, "three messages a connection: 1 + 2 + 3 readings"


async def test_values_are_those_of_fhir(ward: Ward, receiver: MllpReceiver) -> None:
    await ward.store_event(One("heart_rate", START - MINUTE, 60, device=CUFF))  # before it began
    async with sending(ward, receiver):
        await ward.store_event(
            One("systolic_bp", START, 1205, -1, device=CUFF),
            One("diastolic_bp", START, 80, device=CUFF),
        )
        await ward.store_event(One("body_temperature", START, 3650, -2, device=CLIP))
        await ward.store_event(One("spo2", START, 97, device=CLIP, flags=int(Flag.EARLY)))
        await ward.store_event(One("spo2", START + MINUTE, 0, absent=1, device=CLIP))
        await ward.store_event(
            One("glucose_capillary_plasma", START, 55, -1, unit="mmol/L", device=SCALE)
        )
        await ward.store_event(One("heart_rate", START, 300, device=CUFF, flags=int(Flag.TEST)))
        await wait_until(lambda: len(receiver.received) >= 5, what="five messages")
        await wait_until(lambda: has_settled(ward), what="nothing waits")
    assert len(receiver.received) == 5
    assert [each.part("MSH", 18) for each in receiver.received] == ["UNICODE UTF-8"] * 5
    async with ward.client() as client:
        start = f"{START:%Y-%m-%dT%H:%M:%SZ}"
        page = await client.get(f"/fhir/Observation?date=ge{start}")
    served = {
        entry["resource"]["id"]: entry["resource"]
        for entry in json.loads(page.text, parse_float=Decimal, parse_int=Decimal)["entry"]
    }
    assert len(served) == 5
    for each in receiver.received:
        resource = served.pop(each.part("OBR", 3))
        assert resource["subject"]["reference"] == f"Patient/{each.patient}"
        told = resource.get("component", [resource])
        for obx, part in zip(each.segments("OBX"), told, strict=True):
            fields = {n: each.message.part(obx, n, 1) for n in (2, 3, 5, 6, 11, 18)}
            codes = {(c["system"].rpartition("/")[2], c["code"]) for c in part["code"]["coding"]}
            assert ("urn:iso:std:iso:11073:10101", fields[3]) in codes or not fields[3].isdigit()
            loinc = each.message.part(obx, 3, 4)
            assert not loinc or ("loinc.org", loinc) in codes, (codes, loinc)
            assert loinc or not any(system == "loinc.org" for system, _ in codes)
            assert resource["device"]["reference"] == f"Device/{fields[18]}"
            if "valueQuantity" in part:
                assert fields[5] == str(part["valueQuantity"]["value"])
                assert fields[6] == part["valueQuantity"]["code"]
                early = resource["status"] == "preliminary"
                assert fields[11] == ("P" if early else "F")
            else:
                assert (fields[5], fields[11]) == ("", "X")


async def test_whatever_the_receiver_does(ward: Ward, receiver: MllpReceiver) -> None:
    receiver.answers = ["AE", "AA", CLOSES, SILENT, OTHER, "AE"]
    async with sending(ward, receiver):
        await ward.store_each(
            [One("heart_rate", START + n * MINUTE, 70 + n, device=CUFF) for n in range(4)]
            + [One("spo2", START + n * MINUTE, 90 + n, device=CLIP) for n in range(4)]
        )
        await wait_until(lambda: len(receiver.taken()) == 8, what="all have arrived")
        await wait_until(lambda: has_settled(ward), what="nothing waits")
        for patient, first in ((ANNA, 70), (BERT, 90)):
            own = [each for each in receiver.taken() if each.patient == str(patient)]
            assert [each.part("OBX", 5) for each in own] == [str(first + n) for n in range(4)]
        ids = [each.control_id for each in receiver.received]
        assert len(set(ids)) == 8 and len(ids) == 13  # tried again as they were
        bodies = {each.control_id: each.body for each in receiver.received}
        assert all(bodies[each.control_id] == each.body for each in receiver.received)

        # What is refused for good waits for a person, and holds up nobody.
        receiver.answers = ["AR"]
        await ward.store_each(
            [One("heart_rate", START + n * MINUTE, 70 + n, device=CUFF) for n in (5, 6)]
        )
        await wait_until(lambda: len(receiver.taken()) == 9, what="the second one")
        await wait_until(lambda: has_settled(ward), what="nothing waits")
        (dead,) = await ward.store.dead_hl7()
        assert (dead.reason, dead.attempts, dead.patient_id) == ("AR 204", 1, ANNA)
        body = await ward.store.hl7_body(dead.message_id)
        assert body is not None and b"|75|" in body
        assert (await retry(ward.store, "other", None)) == Retried(0, 0)
        assert (await retry(ward.store, None, dead.message_id)) == Retried(1, 0)
        await wait_until(lambda: len(receiver.taken()) == 10, 60, "it is sent again")
        assert receiver.taken()[-1].control_id == dead.control_id
    assert (await status(ward)).dead == 0


async def test_another_process_goes_on(ward: Ward, receiver: MllpReceiver) -> None:
    receiver.answers = [SILENT]
    async with sending(ward, receiver):
        await ward.store_event(One("heart_rate", START, 71, device=CUFF))
        await wait_until(lambda: receiver.received, what="it was sent")
    # It ended before it knew what became of the message.
    async with sending(ward, receiver):
        await ward.store_event(One("heart_rate", START + MINUTE, 72, device=CUFF))
        await wait_until(lambda: len(receiver.taken()) == 2, what="both have arrived")
    ids = [each.control_id for each in receiver.received]
    assert ids[0] == ids[1] and [each.part("OBX", 5) for each in receiver.taken()] == ["71", "72"]


async def test_a_message_an_interval(ward: Ward, receiver: MllpReceiver) -> None:
    progress = await ward.store.hl7_progress("ehr")
    for n in range(3):
        await ward.store_event(
            One("heart_rate", START + n * MINUTE, 70 + n, device=CUFF),
            One("spo2", START + n * MINUTE, 90 + n, device=CLIP),
        )
    sender = Hl7Sender(
        ward.store, destination(receiver, interval_s=60, metrics=frozenset({METRIC})),
    )  # fmt: skip
    seen = await ward.store.hl7_progress("ehr")
    assert (await sender.gather(seen)) > 0  # too early
    assert not await ward.store.take_hl7("ehr", count=10)
    due = type(seen)(**{f: getattr(seen, f) for f in seen.__slots__} | {"gathered_s": 61.0})
    await sender.gather(due)
    waiting = await ward.store.take_hl7("ehr", count=10)
    assert [(each.patient_id, each.body.count(b"OBX|")) for each in waiting] == [(ANNA, 3)]
    assert (await ward.store.hl7_progress("ehr")).commit_seq > progress.commit_seq
    assert not await ward.store.add_hl7("ehr", seen, (), commit_seq=0, place=None, is_gathered=True)


async def test_a_reading_that_left_its_patient_is_withdrawn(
    ward: Ward, receiver: MllpReceiver
) -> None:
    """What was told of the wrong patient, and nothing else: with the id that it was told by."""
    cuff = ward.devices[CUFF]
    await ward.store_event(One("heart_rate", START + 3 * MINUTE, 60, device=CUFF))  # before it
    async with sending(ward, receiver):
        await ward.store_event(One("heart_rate", START, 70, device=CUFF))
        await ward.store_event(
            One("systolic_bp", START + MINUTE, 120, device=CUFF),
            One("diastolic_bp", START + MINUTE, 80, device=CUFF),
        )
        await wait_until(lambda: len(receiver.taken()) == 2, what="both have arrived")
        told = receiver.taken()[1]
        await ward.store.assign(cuff, BERT, user=None, valid_from=START + MINUTE)
        await ward.store_event(One("heart_rate", START + 2 * MINUTE, 72, device=CUFF))
        await wait_until(lambda: len(receiver.taken()) == 6, what="hers, his three")
        await wait_until(lambda: has_settled(ward), what="nothing waits")
        assert len(receiver.taken()) == 6
        (gone,) = [each for each in receiver.taken()[2:] if each.patient == str(ANNA)]
        assert receiver.taken()[2] is gone
        assert gone.part("OBR", 3) == told.part("OBR", 3)
        assert gone.part("OBR", 25) == "C"
        for before, after in zip(told.segments("OBX"), gone.segments("OBX"), strict=True):
            for field in (2, 3, 4, 6, 14, 18):
                assert told.message.part(before, field, 1) == gone.message.part(after, field, 1)
            assert gone.message.part(after, 11, 1) == "W" and not after.field(5)
        his = [each for each in receiver.taken() if each.patient == str(BERT)]
        assert len(his) == 3 and told.part("OBR", 3) in [each.part("OBR", 3) for each in his]
        assert {each.part("OBX", 11) for each in his} == {"F"}

        # Shortened: it is nobody's, which only he who was told of it hears.
        (held,) = [
            each for each in await ward.store.assignments(device_id=cuff)
            if each.patient_id == BERT
        ]  # fmt: skip
        await ward.store.unassign(held.assignment_id, valid_to=START + 2 * MINUTE)
        await wait_until(lambda: len(receiver.taken()) == 8, what="two are withdrawn")
        await wait_until(lambda: has_settled(ward), what="nothing waits")
        last = receiver.taken()[6:]
        assert {(each.patient, each.part("OBX", 11)) for each in last} == {(str(BERT), "W")}


async def test_each_message_is_on_record(ward: Ward, receiver: MllpReceiver) -> None:
    """With what became of it, each time that it was sent: also where no answer came."""
    receiver.answers = ["AE", SILENT, "AA", "AR"]
    async with sending(ward, receiver):
        await ward.store_event(One("heart_rate", START, 70, device=CUFF))
        await wait_until(lambda: len(receiver.taken()) == 1, what="it has arrived")
        await wait_until(lambda: has_settled(ward), what="nothing waits")
        await ward.store_event(One("spo2", START, 97, device=CLIP))
        await wait_until(lambda: len(receiver.received) == 4, what="it was refused")
        await wait_until(lambda: has_settled(ward), what="nothing waits")
    rows = await ward.store.audit_events(AuditQuery(None, faces=("hl7",)))
    assert [(row.status, row.client, row.patients) for row in reversed(rows)] == [
        (400, "ehr", (ANNA,)), (500, "ehr", (ANNA,)), (0, "ehr", (ANNA,)), (400, "ehr", (BERT,)),
    ]  # fmt: skip
    assert [row.resource_id for row in reversed(rows)] == [e.control_id for e in receiver.received]


async def test_what_left_before_anybody_was_told(ward: Ward, receiver: MllpReceiver) -> None:
    await ward.store.hl7_progress("ehr")
    await ward.store_event(One("heart_rate", START, 70, device=CUFF))
    await ward.store.assign(ward.devices[CUFF], BERT, user=None, valid_from=START)
    async with sending(ward, receiver):
        await wait_until(lambda: receiver.taken(), what="it has arrived")
        await wait_until(lambda: has_settled(ward), what="nothing waits")
    assert [(each.patient, each.part("OBX", 5)) for each in receiver.taken()] == [(str(BERT), "70")]


async def test_over_tls_and_by_commands(
    ward: Ward, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    authority = CertificateAuthority.open(tmp_path)
    own = authority.ensure_server([], name="ehr")
    server, client = (
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
        authority.ensure_client("collector-1", Role.COLLECTOR),
    )
    server.load_cert_chain(own.certificate, own.key)
    server.load_verify_locations(authority.certificate_file)
    server.verify_mode = ssl.CERT_REQUIRED
    dsn = ward.settings.database.dsn
    assert dsn is not None
    monkeypatch.setenv("WARDLIGHT_DATABASE__DSN", dsn.get_secret_value())
    async with mllp_receiver(server) as receiver:
        config = tmp_path / "cloud.toml"
        config.write_text(
            '[[hl7.destinations]]\nname = "ehr"\nhost = "127.0.0.1"\ntls = true\n'
            f'port = {receiver.port}\nca_file = "{authority.certificate_file.name}"\n'
            f'cert_file = "{client.certificate}"\nkey_file = "{client.key}"\n'
        )

        async def said(*arguments: str) -> tuple[int, str]:
            code = await asyncio.to_thread(main, ["hl7", *arguments, "--config", str(config)])
            return code, capsys.readouterr().out

        assert await said("test", "ehr") == (0, "ehr takes connections\n")
        receiver.answers = ["AA", "AR", "AR"]
        assert (await said("test", "ehr", "--send"))[0] == 0
        assert receiver.received[0].part("MSH", 11) == "T"
        assert await said("test", "ehr", "--send") == (
            1,
            "ehr takes connections\nit answers AR 204\n",
        )
        (to,) = destinations(load(config).hl7)
        await ward.store.hl7_progress("ehr")
        sender = asyncio.create_task(Hl7Sender(ward.store, to).run())
        await ward.store_event(One("heart_rate", START, 71, device=CUFF))
        await wait_until(lambda: has_settled(ward), what="it was refused")
        listed = (await said("list"))[1]
        assert " 1 " in listed and "Observations that others wrote by FHIR are not sent" in listed
        (dead,) = await ward.store.dead_hl7()
        assert "AR 204" in (await said("dead"))[1]
        assert "|71|" in (await said("show", str(dead.message_id)))[1]
        assert (await said("retry", "ehr"))[1] == "1 messages wait again\n"
        await ward.store_event(One("heart_rate", START + MINUTE, 72, device=CUFF))
        await wait_until(lambda: len(receiver.taken()) == 3, what="both have arrived")
        sender.cancel()
        await asyncio.gather(sender, return_exceptions=True)
        assert (await said("drop", str(dead.message_id)))[0] == 2

        await ward.store_event(One("heart_rate", START + 2 * MINUTE, 73, device=CUFF))
        seen = await ward.store.hl7_progress("ehr")
        await Hl7Sender(ward.store, to).gather(seen)
        (waiting,) = await ward.store.take_hl7("ehr", count=9)
        await ward.store.settle_hl7_failed(waiting.message_id, "AR 204", again_in_s=None)
        moved = START + 2 * MINUTE
        await ward.store.assign(ward.devices[CUFF], BERT, user=None, valid_from=moved)
        assert (await said("retry", "other"))[1] == "0 messages wait again\n"
        assert (await said("retry"))[1] == (
            "0 messages wait again\n"
            "1 messages are dropped: what they told is their patient's no longer\n"
        )
    assert (await said("test", "ehr"))[0] == 1


@pytest.mark.parametrize("interval_s", [0, 1])
async def test_what_cannot_be_written_is_dead_alone(
    ward: Ward, receiver: MllpReceiver, monkeypatch: pytest.MonkeyPatch, interval_s: int
) -> None:
    """The others arrive, of its patient, too; it does when it can be written again."""
    written = messages.observation_segments
    failing = True

    def fails(number: int, row: ObservationRow) -> Iterable[str]:
        if failing and row.mantissas == (71,):
            raise KeyError
        return written(number, row)

    for module in (messages, kept):
        monkeypatch.setattr(module, "observation_segments", fails)
    async with sending(ward, receiver, interval_s=interval_s):
        await ward.store_each(
            [One("heart_rate", START + n * MINUTE, 70 + n, device=CUFF) for n in range(3)]
        )
        await wait_until(lambda: _told(receiver) == ["70", "72"], what="the others")
        (dead,) = await wait_until(ward.store.dead_hl7, what="it is dead")
        assert (dead.patient_id, dead.observations) == (ANNA, 1) and dead.reason
        await ward.store.retry_hl7(dead.message_id)
        await wait_until(lambda: has_settled(ward), what="it is dead again")
        assert await ward.store.dead_hl7()
        failing = False
        await ward.store.retry_hl7(dead.message_id)
        await wait_until(lambda: _told(receiver) == ["70", "72", "71"], what="it, too")


def _told(receiver: MllpReceiver) -> list[str]:
    return [
        each.message.part(segment, 5, 1)
        for each in receiver.taken()
        for segment in each.segments("OBX")
    ]
