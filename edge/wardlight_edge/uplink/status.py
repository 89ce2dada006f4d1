"""What is known of the uplink now: written by the uplink, read by status page and CLI."""

from dataclasses import dataclass


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

    def expects_ack(self, now_ms: int) -> None:
        """Something was sent that a collector answers."""
        if self.unacked_mono_ms is None:
            self.unacked_mono_ms = now_ms

    def acked(self, now_ms: int) -> None:
        """A collector has answered: what is still on its way waits from now on."""
        self.last_ack_mono_ms = now_ms
        self.unacked_mono_ms = None if self.in_flight == 0 else now_ms
