"""How much of an image is on its way: against a line with a rate, a delay and a long buffer."""

import heapq

import pytest

from wardlight_edge.uplink.blob_pace import TARGET_S, BlobPace
from wardlight_shared.blobs import GRAIN_BYTES, LARGEST_CHUNK_BYTES


class Line:
    """A line that images have to themselves, unless ``load`` takes a share of it."""

    def __init__(self, pace: BlobPace, bytes_a_second: float, round_trip_s: float) -> None:
        self.pace = pace
        self.rate = bytes_a_second
        self.round_trip_s = round_trip_s
        self.now_s = 0.0
        self.free_at_s = 0.0
        self.queued_s: list[float] = []
        self.octets = 0
        self.on_way: list[tuple[float, float, int, int]] = []

    def run(self, seconds: float) -> None:
        """Send whatever the pace allows."""
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            while self.pace.room_bytes:
                size = self.pace.chunk_bytes
                mark = self.pace.sent(size)
                self.free_at_s = max(self.free_at_s, self.now_s) + size / self.rate
                self.queued_s.append(self.free_at_s - self.now_s)
                heapq.heappush(
                    self.on_way, (self.free_at_s + self.round_trip_s, self.now_s, size, mark)
                )
            at_s, sent_s, size, mark = heapq.heappop(self.on_way)
            self.now_s = at_s
            self.octets += size
            self.pace.taken(size, at_s - sent_s, mark)


@pytest.mark.parametrize(
    ("bytes_a_second", "round_trip_s"),
    [(8_000, 0.3), (32_000, 0.1), (125_000, 0.05), (1_250_000, 0.6), (12_500_000, 0.02)],
)
def test_the_line_is_kept_busy_and_its_buffer_short(
    bytes_a_second: float, round_trip_s: float
) -> None:
    line = Line(BlobPace(), bytes_a_second, round_trip_s)
    line.run(20)
    before, line.queued_s = line.octets, []
    line.run(60)
    most = min(bytes_a_second, 8 * LARGEST_CHUNK_BYTES / (round_trip_s + TARGET_S))
    assert line.octets - before > 0.7 * most * 60
    # What a record finds before it; on a line slower than a grain in that time, two grains.
    assert max(line.queued_s) < max(3.2 * TARGET_S, 2.6 * GRAIN_BYTES / bytes_a_second)


def test_a_chunk_takes_a_quarter_of_a_second_at_most() -> None:
    line = Line(BlobPace(), 100_000, 0.05)
    line.run(30)
    assert GRAIN_BYTES <= line.pace.chunk_bytes <= 100_000 * TARGET_S * 1.2
    assert line.pace.chunk_bytes % GRAIN_BYTES == 0


def test_images_give_way_when_something_else_fills_the_line() -> None:
    line = Line(BlobPace(), 200_000, 0.05)
    line.run(30)
    wide = line.pace.chunk_bytes
    line.round_trip_s = 0.05 + 0.6  # the backlog of records keeps 0.6 s of the line's buffer
    line.run(10)
    assert line.pace.chunk_bytes < wide / 4


def test_one_chunk_is_always_allowed() -> None:
    pace = BlobPace()
    mark = pace.sent(pace.chunk_bytes)
    pace.taken(GRAIN_BYTES, 0.1, mark)
    for _ in range(50):
        assert pace.room_bytes > 0
        pace.taken(GRAIN_BYTES, 30.0, pace.sent(GRAIN_BYTES))
    assert pace.chunk_bytes == GRAIN_BYTES
    assert pace.room_bytes >= GRAIN_BYTES
