"""What is known of the uplink now: written by the uplink, read by status page and CLI."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

_MOST_REMEMBERED: Final = 1024


@dataclass
class ImageState:
    """Counters of images and procedure steps in this process's life; all 0 without imaging.

    open_items    offered, or about to be, and without receipt
    set_aside     the collector keeps them, and nobody sees them
    refused       the collector will not take them; ``unreadable``: the disk did not give them
    octets        sent in chunks; ``octets_again`` of them for another time, over any connection
    sent_bytes    messages whole
    rate          bytes a second that the link takes of images, None = not known
    reason        why nothing goes on, None = it does
    """

    open_items: int = 0
    delivered: int = 0
    set_aside: int = 0
    refused: int = 0
    unreadable: int = 0
    offers: int = 0
    octets: int = 0
    octets_again: int = 0
    sent_bytes: int = 0
    rate: float | None = None
    reason: str | None = None
    _sent_upto: OrderedDict[bytes, int] = field(default_factory=OrderedDict, repr=False)

    def sent(self, sha256: bytes, offset: int, length: int) -> None:
        """A chunk of a blob was sent, from front to back unless it was sent before."""
        upto = self._sent_upto.pop(sha256, 0)
        self.octets += length
        self.octets_again += max(0, min(upto, offset + length) - offset)
        self._sent_upto[sha256] = max(upto, offset + length)
        if len(self._sent_upto) > _MOST_REMEMBERED:
            self._sent_upto.popitem(last=False)


@dataclass
class UplinkState:
    """Live counters; times are on the monotonic clock in ms.

    greeted           a collector has answered a hello in this process's life
    highest_at_start  the newest seq of the outbox when the uplink began
    collector_reads   the newest envelope version that the collector reads, as it last said
    withheld          records that wait for a collector of a newer version
    unacked_mono_ms   since when something is on its way without any answer, None = nothing is
    """

    connected: bool = False
    since_mono_ms: int | None = None
    last_ack_mono_ms: int | None = None
    round_trip_ms: int | None = None
    in_flight: int = 0
    sent_records: int = 0
    sent_bytes: int = 0
    connections: int = 0
    greeted: bool = False
    highest_at_start: int = 0
    collector_reads: int = 1
    withheld: int = 0
    unacked_mono_ms: int | None = None
    reason: str | None = None
    images: ImageState = field(default_factory=ImageState)

    def expects_ack(self, now_ms: int) -> None:
        """Something was sent that a collector answers."""
        if self.unacked_mono_ms is None:
            self.unacked_mono_ms = now_ms

    def acked(self, now_ms: int) -> None:
        """A collector has answered: what is still on its way waits from now on."""
        self.last_ack_mono_ms = now_ms
        self.unacked_mono_ms = None if self.in_flight == 0 else now_ms
