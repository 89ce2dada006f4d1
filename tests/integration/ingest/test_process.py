"""What an operator and a hostile gateway meet in a collector process on a real database."""

import asyncio
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from support.collector_world import CollectorWorld
from support.envelopes import event, record, sealed
from support.ports import free_port
from support.speaking_gateway import SpeakingGateway
from support.waiting import wait_until
from wardlight_cloud.ingest.pipeline import UNREADABLE_EPOCH
from wardlight_lab.broker import NatsServer
from wardlight_shared.timestamps import utc_ms_from_datetime

Speak = Callable[..., SpeakingGateway]
pytestmark = pytest.mark.parametrize("broker", [NatsServer], indirect=True, ids=["nats"])
COLLECTOR = "collector-1"
REFUSED_VALUE = 666

# A stand-in for any value that passes our checks and not the database's.
TRAP = f"""
CREATE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF new.mantissa = {REFUSED_VALUE} THEN
        RAISE EXCEPTION 'a value that no log may show' USING ERRCODE = '22003';
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER trap BEFORE INSERT ON reading FOR EACH ROW EXECUTE FUNCTION trap();
"""


def message(values: dict[int, int]) -> bytes:
    """Records of sequence number to value, one second apart."""
    now_ms = utc_ms_from_datetime(datetime.now(UTC)) - 3_600_000
    records = [record(seq, event({0: str(value)})) for seq, value in values.items()]
    return sealed(records, times_ms=[now_ms + 1000 * seq for seq in values])


async def collecting(world: CollectorWorld, gateway: SpeakingGateway, *arguments: str) -> None:
    """Start a collector and wait until it answers the gateway."""
    world.start(COLLECTOR, *arguments)

    async def answered() -> bool:
        await asyncio.to_thread(gateway.say_hello)
        return bool(gateway.acks())

    heard: Callable[[], object] = answered
    await wait_until(heard, 60, "the collector answers")


async def test_a_record_that_the_database_refuses_is_put_aside_alone(
    world: CollectorWorld, speak: Speak
) -> None:
    await world.execute(TRAP)
    gateway = speak()
    await collecting(world, gateway)
    gateway.send(message({seq: seq for seq in range(1, 11)}))
    await wait_until(lambda: gateway.settled() == set(range(1, 11)))
    gateway.send(message({seq: REFUSED_VALUE if seq == 15 else seq for seq in range(11, 31)}))
    await wait_until(lambda: gateway.settled() == set(range(1, 31)))
    assert gateway.rejected() == {15: "refused by the database"}
    assert await world.rows() == 29
    (letter,) = await world.fetch("SELECT seq, body FROM dead_letter")
    assert (letter["seq"], letter["body"]) == (15, record(15, event({0: "666"})).body)
    log = (world.folder / f"{COLLECTOR}.log").read_text()
    assert "22003" in log
    assert "no log may show" not in log


async def test_unreadable_messages_are_seen_by_the_operator_and_kept_once(
    world: CollectorWorld, speak: Speak
) -> None:
    gateway = speak()
    await collecting(world, gateway)
    for payload in (b"junk", b"junk", b"other junk"):
        gateway.send(payload)
    gateway.send(message({1: 97}))
    await wait_until(lambda: gateway.settled() == {1})
    store = await world.open_store()
    letters = await store.dead_letters()
    await store.close()
    assert {(letter.epoch, letter.size_bytes) for letter in letters} == {
        (UNREADABLE_EPOCH, 4),
        (UNREADABLE_EPOCH, 10),
    }


async def test_a_gateway_that_is_switched_off_is_not_heard(
    world: CollectorWorld, speak: Speak
) -> None:
    gateway = speak()
    await collecting(world, gateway)
    store = await world.open_store()
    await store.put_gateway(gateway.gateway, enabled=False)

    def refused() -> bool:
        """The register's old answer is remembered for some seconds: send until it ends."""
        before = len(gateway.acks())
        gateway.say_hello()
        gateway.client.publish("wl/1/0/nobody/state", b"")  # QoS 1: the broker has the hello
        return len(gateway.acks()) == before

    await wait_until(refused, 60)
    gateway.send(message({1: 97}))
    await store.put_gateway(gateway.gateway)
    await store.close()

    def heard_again() -> bool:
        gateway.send(message({2: 97}))
        return 2 in gateway.settled()

    await wait_until(heard_again, 60)


async def test_metrics_are_served_on_the_loopback(world: CollectorWorld, speak: Speak) -> None:
    port, gateway = free_port(), speak()
    await collecting(world, gateway, "--metrics-port", str(port))
    gateway.send(message({1: 97, 2: 98}))
    await wait_until(lambda: gateway.settled() == {1, 2})

    def page() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=180) as answer:
            return str(answer.read().decode())

    await wait_until(lambda: 'wardlight_ingest_rows_total{outcome="stored"} 2.0' in page())
    text = page()
    assert 'wardlight_ingest_messages_total{kind="live"} 1.0' in text
    assert "wardlight_ingest_shards_held 16.0" in text
    assert gateway.gateway not in text
