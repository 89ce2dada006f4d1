"""The topic grammar, both ways; shards by hand with CRC-32 (zlib's, of the ASCII bytes)."""

import pytest

from wardlight_shared import topics
from wardlight_shared.errors import EnvelopeError
from wardlight_shared.records import Lane
from wardlight_shared.topics import Down, Topic

GATEWAY = "gateway-1"


def test_shard_follows_from_the_gateway_alone() -> None:
    # crc32 check value of the ASCII digits 1 to 9 is 0xCBF43926 (every CRC catalogue); 6 mod 16.
    assert topics.shard_of("123456789") == 6


def _topic(rest: str) -> str:
    return f"wl/1/{topics.shard_of(GATEWAY)}/{GATEWAY}/{rest}"


def test_topics_are_those_of_the_design() -> None:
    assert topics.up(GATEWAY, Lane.LIVE) == _topic("up/live")
    assert topics.up(GATEWAY, Lane.BULK) == _topic("up/bulk")
    assert topics.hello(GATEWAY) == _topic("up/hello")
    assert topics.down(GATEWAY, Down.ACK) == _topic("down/ack")
    assert topics.down_filter(GATEWAY) == _topic("down/+")
    assert topics.state(GATEWAY) == _topic("state")
    assert topics.shard_filters(3) == ("wl/1/3/+/up/+", "wl/1/3/+/state")


@pytest.mark.parametrize("lane", Lane)
def test_lanes_are_parsed_back(lane: Lane) -> None:
    parsed = topics.parse(topics.up(GATEWAY, lane))
    assert parsed == Topic(topics.shard_of(GATEWAY), GATEWAY, lane=lane)


@pytest.mark.parametrize("flow", Down)
def test_flows_are_parsed_back(flow: Down) -> None:
    parsed = topics.parse(topics.down(GATEWAY, flow))
    assert parsed == Topic(topics.shard_of(GATEWAY), GATEWAY, down=flow)


def test_hello_and_state_are_parsed_back() -> None:
    shard = topics.shard_of(GATEWAY)
    assert topics.parse(topics.hello(GATEWAY)) == Topic(shard, GATEWAY, is_hello=True)
    assert topics.parse(topics.state(GATEWAY)) == Topic(shard, GATEWAY, is_state=True)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "wl/1",
        _topic(""),
        _topic("up"),
        _topic("up/"),
        _topic("up/other"),
        _topic("up/live/more"),
        _topic("down/other"),
        _topic("down/ACK"),
        _topic("sideways/live"),
        _topic("state/x"),
        _topic("up/live").replace("wl/1", "wl/2"),
        _topic("up/live").replace(GATEWAY, "Gateway-1"),
        _topic("up/live").replace(GATEWAY, "-x1"),
        _topic("up/live").replace(GATEWAY, "gw"),
        _topic("up/live").replace(GATEWAY, "+"),
        f"/{_topic('up/live')}",
        _topic("up/live").replace(GATEWAY, f"{GATEWAY}\n"),
    ],
)
def test_other_topics_are_refused(topic: str) -> None:
    with pytest.raises(EnvelopeError, match="topic: not a topic"):
        topics.parse(topic)


def test_the_wrong_shard_is_refused() -> None:
    other = (topics.shard_of(GATEWAY) + 1) % topics.SHARDS
    with pytest.raises(EnvelopeError, match="belongs to shard"):
        topics.parse(f"wl/1/{other}/{GATEWAY}/state")
    with pytest.raises(EnvelopeError, match="belongs to shard"):
        topics.parse(f"wl/1/0{topics.shard_of(GATEWAY)}/{GATEWAY}/state")


@pytest.mark.parametrize("name", ["gw1", "0-0", "a" * 32])
def test_gateway_ids(name: str) -> None:
    assert topics.is_gateway_id(name)


@pytest.mark.parametrize(
    "name", ["", "gw", "a" * 33, "-gw", "Gw1", "g_1", "gw1\n", "gw/1", "größe"]
)
def test_other_names_are_no_gateway_ids(name: str) -> None:
    assert not topics.is_gateway_id(name)
