"""No clock that runs ahead of the others makes images old."""

from datetime import UTC, datetime, timedelta

from wardlight_cloud.imaging.removal_clock import RemovalClock

NOW = datetime(2026, 1, 10, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


class Clocks:
    """Of this machine, of the database, and its newest commit."""

    def __init__(self) -> None:
        self.wall, self.database, self.steady = NOW, NOW, 0.0
        self.newest: datetime | None = NOW

    async def times(self) -> tuple[datetime, datetime | None]:
        return self.database, self.newest

    def pass_by(self, span: timedelta, *, wall: timedelta | None = None) -> None:
        """Time goes by; ``wall``: as the wall clock has it."""
        self.wall += span if wall is None else wall
        self.database += span
        self.newest = self.database
        self.steady += span.total_seconds()


async def test_the_earliest_clock_counts() -> None:
    clocks = Clocks()
    clock = RemovalClock(clocks, wall=lambda: clocks.wall, steady=lambda: clocks.steady)
    clocks.database = NOW + 400 * DAY
    assert await clock.now() == NOW, "this machine"
    ahead = Clocks()
    ahead.wall, ahead.newest = NOW + 400 * DAY, NOW - DAY  # so it was when the process began
    clock = RemovalClock(ahead, wall=lambda: ahead.wall, steady=lambda: ahead.steady)
    assert await clock.now() == NOW, "the database"
    ahead.database = NOW + 400 * DAY
    assert await clock.now() == NOW + DAY, "the newest commit and two days"
    ahead.newest = None
    assert await clock.now() == NOW + 400 * DAY, "with nothing committed there is nothing to lose"


async def test_a_clock_that_is_moved_is_not_believed_for_a_day() -> None:
    clocks = Clocks()
    clock = RemovalClock(clocks, wall=lambda: clocks.wall, steady=lambda: clocks.steady)
    clocks.pass_by(30 * DAY)
    assert await clock.now() == NOW + 30 * DAY
    clocks.pass_by(HOUR, wall=-5 * HOUR)
    assert await clock.now() == clocks.wall, "back is harmless"
    clocks.pass_by(HOUR, wall=3 * HOUR)
    assert await clock.now() is None
    clocks.pass_by(HOUR, wall=-HOUR)
    assert await clock.now() is not None, "it was put right"
    clocks.pass_by(HOUR, wall=3 * HOUR)
    for _ in range(24):
        assert await clock.now() is None
        clocks.pass_by(HOUR)
    clocks.pass_by(HOUR)
    assert await clock.now() is not None, "whoever minds has had a day to say so"
