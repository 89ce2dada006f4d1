"""What a session that ends by a fault leaves to the next one of its device.

Whether the outbox took its last records may not be known. Handed on is what cannot be stored twice:
events that have an id, and gaps, which may name a loss twice, but not never. Other events are told
as a gap, and so is one that was handed on already and not accepted then either: no single record
keeps its device out for ever. The blocks of a stream are named by the gap with which it goes on
(open_streams.py), and what a device says of itself is said again.
"""

from collections.abc import Sequence
from typing import Final

from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.sessions.records import gap_record
from wardlight_shared.records import EventBody, GapBody, decode_body

FAULT: Final = "fault"


def left_over(
    records: Sequence[NewRecord], handed_on: Sequence[NewRecord], device: str
) -> list[NewRecord]:
    """What to hand on of ``records``, which were not accepted as far as is known.

    handed_on  what the session was given itself
    """
    left: list[NewRecord] = []
    given_up: list[NewRecord] = []
    for one in records:
        body = decode_body(one.body)
        if isinstance(body, EventBody):
            is_last = one.event_id is None or one in handed_on
            (given_up if is_last else left).append(one)
        elif isinstance(body, GapBody):
            left.append(one)
    return [*_told(given_up, device), *left]


def _told(given_up: Sequence[NewRecord], device: str) -> list[NewRecord]:
    if not given_up:
        return []
    since_ms = min(one.mono_ms for one in given_up)
    newest = max(given_up, key=lambda one: one.mono_ms)
    return [gap_record(device, FAULT, len(given_up), since_ms, newest.mono_ms, newest.wall_ms)]
