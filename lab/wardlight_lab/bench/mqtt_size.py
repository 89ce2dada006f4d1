"""What a PUBLISH costs beside its payload. Pure.

Source  MQTT 3.1.1, 2.2 (fixed header, remaining length) and 3.3 (topic name, packet identifier)
"""

from typing import Final

_PACKET_ID: Final = 2  # QoS 1
_TOPIC_LENGTH: Final = 2


def publish_bytes(topic: str, payload: bytes) -> int:
    """Bytes of one PUBLISH at QoS 1, without TLS and TCP."""
    remaining = _TOPIC_LENGTH + len(topic.encode()) + _PACKET_ID + len(payload)
    length = 1
    rest = remaining >> 7
    while rest:
        length += 1
        rest >>= 7
    return 1 + length + remaining
