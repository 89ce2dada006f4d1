"""Bytes of a PUBLISH, counted by hand from MQTT 3.1.1, figures 2.1 and 3.10."""

import pytest

from wardlight_lab.bench.mqtt_size import publish_bytes


@pytest.mark.parametrize(
    ("topic", "payload", "total"),
    [
        # 1 type and flags, 1 remaining length, 2 + 3 topic, 2 packet identifier, 7 payload
        ("a/b", 7, 16),
        ("a/b", 120, 129),  # remaining length 127: one byte
        ("a/b", 121, 131),  # 128: two bytes
        ("a/b", 16_376, 16_386),  # 16,383: the last of two bytes (table 2.4)
        ("a/b", 16_377, 16_388),
        ("ü", 0, 8),  # two bytes of UTF-8
    ],
)
def test_publish_bytes(topic: str, payload: int, total: int) -> None:
    assert publish_bytes(topic, bytes(payload)) == total
