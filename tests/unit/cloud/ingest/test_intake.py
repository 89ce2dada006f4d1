"""The intake is bounded, serves live first and starves nobody."""

import asyncio

from wardlight_cloud.ingest.intake import Intake
from wardlight_shared import topics
from wardlight_shared.records import Lane

TOPIC = topics.parse(topics.up("gw-test-1", Lane.LIVE))


def filled(lanes: list[Lane], largest: int = 100) -> Intake:
    intake = Intake(largest)
    for place, lane in enumerate(lanes):
        assert intake.offer(TOPIC, lane, f"{lane.name}{place}".encode())
    return intake


def taken(intake: Intake) -> list[str]:
    payloads = []
    while (arrival := intake.take()) is not None:
        payloads.append(arrival.payload.decode().rstrip("0123456789"))
    return payloads


def test_live_goes_first_and_keeps_its_order() -> None:
    intake = filled([Lane.BACKFILL, Lane.LIVE, Lane.BULK, Lane.ALARM])
    assert taken(intake) == ["LIVE", "ALARM", "BACKFILL", "BULK"]


def test_backlog_gets_every_eighth_place() -> None:
    intake = filled([Lane.LIVE] * 30 + [Lane.BACKFILL] * 3)
    order = taken(intake)
    assert [place for place, name in enumerate(order, 1) if name == "BACKFILL"] == [8, 16, 24]


def test_a_full_intake_refuses_and_has_room_again() -> None:
    intake = filled([Lane.LIVE] * 2, largest=2)
    assert not intake.offer(TOPIC, Lane.LIVE, b"third")
    assert len(intake) == 2
    intake.take()
    assert intake.offer(TOPIC, Lane.LIVE, b"third")


def test_the_oldest_is_measured_over_both_queues() -> None:
    now = 10.0
    intake = Intake(10, clock=lambda: now)
    assert intake.oldest_s == 0
    intake.offer(TOPIC, Lane.BACKFILL, b"")
    now = 12.5
    intake.offer(TOPIC, Lane.LIVE, b"")
    assert intake.oldest_s == 2.5


async def test_waiting_ends_with_an_offer() -> None:
    intake = Intake(10)
    waiting = asyncio.create_task(intake.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    intake.offer(TOPIC, Lane.LIVE, b"")
    await asyncio.wait_for(waiting, 180)
