"""The MQTT topic grammar; nothing else writes or reads a topic string.

    wl/1/{shard}/{gateway}/up/{hello|blob|alarm|live|backfill|bulk}
    wl/1/{shard}/{gateway}/down/{ack|config|worklist|receipt}
    wl/1/{shard}/{gateway}/state            retained, with will

A shard is a number 0..SHARDS-1 that follows from the gateway id, so that both sides know it.
"""

import re
from enum import StrEnum
from typing import Final
from zlib import crc32

import msgspec

from wardlight_shared.errors import EnvelopeError
from wardlight_shared.records import Lane

ROOT: Final = "wl/1"
SHARDS: Final = 16
_GATEWAY: Final = re.compile(r"[a-z0-9][a-z0-9-]{2,31}")
_LANE_NAMES: Final = {lane.name.lower(): lane for lane in Lane}


class Down(StrEnum):
    """The four flows back to a gateway."""

    ACK = "ack"
    CONFIG = "config"
    WORKLIST = "worklist"
    RECEIPT = "receipt"


class Topic(msgspec.Struct, frozen=True):
    """A parsed topic: exactly one of lane, down, is_hello, is_blob, is_state is set."""

    shard: int
    gateway: str
    lane: Lane | None = None
    down: Down | None = None
    is_hello: bool = False
    is_blob: bool = False
    is_state: bool = False


def is_gateway_id(text: str) -> bool:
    """3 to 32 of a-z, 0-9 and '-', not starting with '-'."""
    return _GATEWAY.fullmatch(text) is not None


def shard_of(gateway: str) -> int:
    """The shard of a gateway: CRC-32 of the id modulo SHARDS."""
    return crc32(gateway.encode()) % SHARDS


def base(gateway: str) -> str:
    """The subtree of one gateway, without a trailing slash."""
    return f"{ROOT}/{shard_of(gateway)}/{gateway}"


def up(gateway: str, lane: Lane) -> str:
    """Topic of a lane."""
    return f"{base(gateway)}/up/{lane.name.lower()}"


def hello(gateway: str) -> str:
    """Topic of the hello."""
    return f"{base(gateway)}/up/hello"


def blob(gateway: str) -> str:
    """Topic of offers and chunks of blobs."""
    return f"{base(gateway)}/up/blob"


def down(gateway: str, flow: Down) -> str:
    """Topic of one flow back."""
    return f"{base(gateway)}/down/{flow}"


def down_filter(gateway: str) -> str:
    """Subscription filter of a gateway: all that comes down to it."""
    return f"{base(gateway)}/down/+"


def state(gateway: str) -> str:
    """Topic of the retained presence."""
    return f"{base(gateway)}/state"


def shard_filters(shard: int) -> tuple[str, str]:
    """Subscription filters of a collector for one shard: everything up, and states."""
    return f"{ROOT}/{shard}/+/up/+", f"{ROOT}/{shard}/+/state"


def parse(topic: str) -> Topic:
    """Parse a topic; EnvelopeError when it is not ours or the shard is not the gateway's."""
    parts = topic.split("/")
    if len(parts) not in (5, 6) or "/".join(parts[:2]) != ROOT or not is_gateway_id(parts[3]):
        raise EnvelopeError("not a topic of this grammar", where="topic")
    shard, gateway = shard_of(parts[3]), parts[3]
    if parts[2] != str(shard):
        raise EnvelopeError(f"gateway belongs to shard {shard}", where="topic")
    match parts[4:]:
        case ["state"]:
            return Topic(shard, gateway, is_state=True)
        case ["up", "hello"]:
            return Topic(shard, gateway, is_hello=True)
        case ["up", "blob"]:
            return Topic(shard, gateway, is_blob=True)
        case ["up", lane] if lane in _LANE_NAMES:
            return Topic(shard, gateway, lane=_LANE_NAMES[lane])
        case ["down", flow] if flow in set(Down):
            return Topic(shard, gateway, down=Down(flow))
    raise EnvelopeError("not a topic of this grammar", where="topic")
