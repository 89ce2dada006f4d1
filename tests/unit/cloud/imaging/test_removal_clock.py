"""No clock that runs ahead of the others makes images old."""

from datetime import UTC, datetime, timedelta

from wardlight_cloud.imaging.removal_clock import RemovalClock
from wardlight_cloud.store.image_keeping import Times

NOW = datetime(2026, 1, 10, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


class Clocks:
    """Of this machine, of the database, and its newest commit."""

    def __init__(self) -> None:
        self.wall, self.database, self.steady = NOW, NOW, 0.0
        self.newest: datetime | None = NOW
        self.before: datetime | None = None
        self.received: datetime | None = None

    async def times(self) -> Times:
        return Times(self.database, self.newest, self.before, self.received)

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


async def test_a_commit_under_a_wrong_clock_lifts_nothing() -> None:
    """Machine and database begin in another year, and something is committed there."""
    far = NOW + 4000 * DAY
    clocks = Clocks()
    clocks.wall = clocks.database = far
    clock = RemovalClock(clocks, wall=lambda: clocks.wall, steady=lambda: clocks.steady)
    for hours in (0, 1, 46):  # that go by, with a commit at the end
        clocks.pass_by(hours * HOUR)
        clocks.before = NOW
        assert await clock.now() == NOW + 2 * DAY, "the last commit before the gap"
    # After a long rest of which nobody knows it is the same; then the time is what all say.
    clocks.pass_by(2 * HOUR)
    clocks.before = far
    assert await clock.now() == far + 49 * HOUR


async def test_commits_of_a_clock_that_was_put_right_say_nothing() -> None:
    clocks = Clocks()
    clocks.newest, clocks.before = NOW + 4000 * DAY, NOW - DAY
    clock = RemovalClock(clocks, wall=lambda: clocks.wall, steady=lambda: clocks.steady)
    assert await clock.now() == NOW


async def test_gateways_have_clocks_too() -> None:
    """Days go by under the wrong clock, and images come from where it is another year."""
    clocks = Clocks()
    far = clocks.wall = clocks.database = clocks.newest = NOW + 4000 * DAY
    clocks.before = far - 3 * DAY
    clock = RemovalClock(clocks, wall=lambda: clocks.wall, steady=lambda: clocks.steady)
    assert await clock.now() == far
    clocks.received = NOW
    assert await clock.now() == NOW + 2 * DAY
    clocks.received = far + 4000 * DAY
    assert await clock.now() == far, "one that runs ahead lifts nothing"


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
