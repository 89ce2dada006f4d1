"""Messages that waited or were dead: what has ended since is not told as if it still held."""

from dataclasses import replace

from support.hl7_sending import destination, has_settled, sending, status
from support.mllp_receiver import SILENT, MllpReceiver
from support.readings import SECOND, One
from support.served_ward import ANNA, BERT, CUFF, MINUTE, START, Ward
from support.waiting import wait_until
from wardlight_cloud.hl7.retrying import Retried, retry
from wardlight_cloud.hl7.sender import Hl7Sender
from wardlight_cloud.store.batch import Detail
from wardlight_shared.model import Flag

NAMES = {str(ANNA): "Anna", str(BERT): "Bert"}
NUMBERS = "urn:test:mrn"


def told(receiver: MllpReceiver) -> list[tuple[str, str, str]]:
    """Each result that was taken: whose, OBX-5, OBX-11."""
    return [
        (NAMES[each.patient], obx.field(5), obx.field(11))
        for each in receiver.taken()
        for obx in each.segments("OBX")
    ]


def number(receiver: MllpReceiver) -> str:
    """The first identifier of the newest message."""
    return receiver.received[-1].part("PID", 3)


async def identify(ward: Ward, given: str, number: str) -> None:
    """Give a patient this number, and no other one."""
    rows, _ = await ward.store.patients(count=9)
    (row,) = [row for row in rows if row.given == given]
    await ward.store.put_patient(replace(row, identifiers=((NUMBERS, number),)))


async def all_settled(ward: Ward) -> None:
    await wait_until(lambda: has_settled(ward), what="nothing waits")


async def test_a_dead_value_of_the_wrong_patient_is_not_sent_again(
    ward: Ward, receiver: MllpReceiver
) -> None:
    """Its withdrawal was the last word on it."""
    receiver.answers = ["AR"]
    async with sending(ward, receiver):
        await ward.store_event(One("heart_rate", START, 70, device=CUFF))
        await wait_until(lambda: receiver.received, what="it is refused")
        await all_settled(ward)
        await ward.store.assign(ward.devices[CUFF], BERT, user=None, valid_from=START)
        await wait_until(lambda: len(receiver.taken()) == 2, what="it is withdrawn, and his")
        await all_settled(ward)
        words = told(receiver)
        assert words == [("Anna", "", "W"), ("Bert", "70", "F")]
        assert await retry(ward.store, None, None) == Retried(0, 1)
        assert await retry(ward.store, None, None) == Retried(0, 0), "it is gone"
        await ward.store_event(One("heart_rate", START + MINUTE, 71, device=CUFF))
        await wait_until(lambda: len(receiver.taken()) == 3, what="the next one")
        await all_settled(ward)
    assert told(receiver) == [*words, ("Bert", "71", "F")]


async def test_what_left_after_it_was_let_go_again(ward: Ward, receiver: MllpReceiver) -> None:
    """A message that waits again is looked at when it is sent, too; a refusal does not end that."""
    receiver.answers = ["AR"]
    async with sending(ward, receiver):
        await ward.store_event(One("heart_rate", START, 70, device=CUFF))
        await wait_until(lambda: receiver.received, what="it is refused")
        await all_settled(ward)
    assert await retry(ward.store, "ehr", None) == Retried(1, 0)
    (waiting,) = await ward.store.take_hl7("ehr", count=9)
    await ward.store.settle_hl7_failed(waiting.message_id, "AE 207", again_in_s=0)
    await ward.store.assign(ward.devices[CUFF], BERT, user=None, valid_from=START)
    async with sending(ward, receiver):
        await wait_until(lambda: len(receiver.taken()) == 2, what="it is withdrawn, and his")
        await all_settled(ward)
    assert told(receiver) == [("Anna", "", "W"), ("Bert", "70", "F")]
    assert (await status(ward)).dead == 0


async def test_a_dead_withdrawal_is_sent_again(ward: Ward, receiver: MllpReceiver) -> None:
    """As it was: the reading is not hers."""
    receiver.answers = ["AA", "AR"]
    async with sending(ward, receiver):
        await ward.store_event(One("heart_rate", START, 70, device=CUFF))
        await wait_until(lambda: len(receiver.taken()) == 1, what="it has arrived")
        await all_settled(ward)
        await ward.store.assign(ward.devices[CUFF], BERT, user=None, valid_from=START)
        await wait_until(lambda: len(receiver.received) == 3, what="his, and her refusal")
        await all_settled(ward)
        assert await retry(ward.store, None, None) == Retried(1, 0)
        await ward.store_event(One("heart_rate", START + MINUTE, 71, device=CUFF))  # wakes it
        await wait_until(lambda: len(receiver.taken()) == 4, what="it is withdrawn")
        await all_settled(ward)
    assert sorted(told(receiver)) == [
        ("Anna", "", "W"), ("Anna", "70", "F"), ("Bert", "70", "F"), ("Bert", "71", "F"),
    ]  # fmt: skip


async def test_a_dead_withdrawal_of_what_is_hers_again(ward: Ward, receiver: MllpReceiver) -> None:
    """It does not take from her record what came back to it."""
    cuff = ward.devices[CUFF]
    receiver.answers = ["AA", "AR"]
    async with sending(ward, receiver):
        await ward.store_event(One("heart_rate", START, 70, device=CUFF))
        await wait_until(lambda: len(receiver.taken()) == 1, what="it has arrived")
        await all_settled(ward)
        await ward.store.assign(cuff, BERT, user=None, valid_from=START)
        await wait_until(lambda: len(receiver.received) == 3, what="his, and her refusal")
        await all_settled(ward)
        await ward.store.assign(cuff, ANNA, user=None, valid_from=START)
        await wait_until(lambda: len(receiver.taken()) == 4, what="withdrawn from him, hers")
        await all_settled(ward)
        assert await retry(ward.store, None, None) == Retried(1, 0)
        await ward.store_event(One("heart_rate", START + MINUTE, 71, device=CUFF))  # wakes it
        await wait_until(lambda: len(receiver.taken()) == 6, what="the one retried, a new one")
        await all_settled(ward)
    assert [each for each in told(receiver) if each[0] == "Anna"] == [
        ("Anna", "70", "F"), ("Anna", "70", "F"), ("Anna", "70", "F"), ("Anna", "71", "F"),
    ]  # fmt: skip


async def test_a_dead_value_that_was_corrected(ward: Ward, receiver: MllpReceiver) -> None:
    """It is sent as it is now: after its correction it would be the last word."""

    def at(detail: str, one: One) -> One:
        context = (("status", detail),) if detail else ()
        return replace(one, detail=Detail(0, None, None, "2026-03-10T13:00:00", None, context))

    receiver.answers = ["AR"]
    async with sending(ward, receiver):
        await ward.store_event(at("", One("heart_rate", START, 700, device=CUFF, ord=256)))
        await wait_until(lambda: receiver.received, what="it is refused")
        await all_settled(ward)
        new = One(
            "heart_rate", START + 40 * SECOND, 70, device=CUFF, ord=512, flags=int(Flag.CORRECTED)
        )
        await ward.store_event(at("corrected", new))
        await wait_until(lambda: len(receiver.taken()) == 1, what="its correction")
        await all_settled(ward)
        assert await retry(ward.store, None, None) == Retried(1, 0)
        await ward.store_event(One("heart_rate", START + MINUTE, 71, device=CUFF))  # wakes it
        await wait_until(lambda: len(receiver.taken()) == 3, what="all have arrived")
        await all_settled(ward)
    assert told(receiver) == [("Anna", "70", "C"), ("Anna", "70", "C"), ("Anna", "71", "F")]
    ids = [each.part("OBR", 3) for each in receiver.received]
    assert ids[:3] == [ids[0]] * 3


async def test_of_a_message_with_many_only_what_holds(ward: Ward, receiver: MllpReceiver) -> None:
    await ward.store.hl7_progress("ehr")
    for n in range(3):
        await ward.store_event(One("heart_rate", START + n * MINUTE, 70 + n, device=CUFF))
    sender = Hl7Sender(ward.store, destination(receiver, interval_s=60))
    seen = await ward.store.hl7_progress("ehr")
    await sender.gather(replace(seen, gathered_s=61.0))
    (waiting,) = await ward.store.take_hl7("ehr", count=9)
    assert waiting.body.count(b"OBX|") == 3
    await ward.store.settle_hl7_failed(waiting.message_id, "AR 204", again_in_s=None)
    cuff = ward.devices[CUFF]
    await ward.store.assign(cuff, BERT, user=None, valid_from=START + 2 * MINUTE)
    assert await retry(ward.store, None, waiting.message_id) == Retried(1, 0)
    async with sending(ward, receiver):
        await wait_until(lambda: len(receiver.taken()) == 3, what="hers, withdrawn, his")
        await all_settled(ward)
    (hers,) = [each for each in receiver.taken() if each.control_id == waiting.control_id]
    assert [each.field(1) for each in hers.segments("OBR")] == ["1", "2"]
    assert [each.field(5) for each in hers.segments("OBX")] == ["70", "71"]
    assert [each for each in told(receiver) if each[1] in ("", "72")] == [
        ("Anna", "", "W"), ("Bert", "72", "F"),
    ]  # fmt: skip


async def test_identifiers_are_those_of_the_moment_of_sending(
    ward: Ward, receiver: MllpReceiver
) -> None:
    """One that has become another patient's is not hers in a message that was made before."""
    await ward.store.hl7_progress("ehr")
    sender = Hl7Sender(ward.store, destination(receiver))
    await ward.store_event(One("heart_rate", START, 70, device=CUFF))
    await sender.gather(await ward.store.hl7_progress("ehr"))  # nobody can be reached
    await identify(ward, "Anna", "A-2")
    await identify(ward, "Bert", "A-1")
    receiver.answers = [SILENT]
    async with sending(ward, receiver):
        await wait_until(lambda: receiver.received, what="it was sent")
        assert number(receiver) == "A-2"
        await identify(ward, "Anna", "A-3")
        await wait_until(lambda: receiver.taken(), what="it has arrived")
        await all_settled(ward)
    assert number(receiver) == "A-3"
    first, last = receiver.received[0], receiver.received[-1]
    assert first.control_id == last.control_id and last.patient == str(ANNA)
    rest = [body.partition(b"\rOBR|")[2] for body in (first.body, last.body)]
    assert rest[0] == rest[1] and rest[0]
