"""The judge of readings that their device forgets: each is stored once, or a kill says why not."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from wardlight_lab.chaos.radio import EventVerdict, judge_events
from wardlight_lab.devices.ledger import INDICATE, Entry

START = datetime(2026, 8, 1, 12, tzinfo=UTC)
BEGAN_MS = START.timestamp() * 1000


def reading(second: float, *, acknowledged: bool = True) -> Entry:
    """A thermometer's indication, its value told by its second."""
    at = START + timedelta(seconds=second)
    values = {"body_temperature": str(Decimal(36) + Decimal(str(second)) / 100)}
    return Entry(
        sent_at=at,
        device="C0:00:00:00:00:01",
        characteristic="2a1c",
        payload=f"{second}",
        kind=INDICATE,
        acknowledged=acknowledged,
        delivered=True,
        values=values,
        measured_at=at.isoformat(),
    )


def row(entry: Entry) -> tuple[float, Decimal]:
    return entry.sent_at.timestamp() * 1000, Decimal(entry.values["body_temperature"])


READINGS = [reading(second) for second in (0, 5, 10, 15)]


def test_all_of_them_stored_once() -> None:
    verdict = judge_events(READINGS, [row(each) for each in READINGS], [])
    assert verdict == EventVerdict(acknowledged=4, stored=4)
    assert verdict.is_good


def test_a_reading_that_is_gone_without_a_kill_is_lost() -> None:
    far = [BEGAN_MS + 4_000, BEGAN_MS + 7_000]
    for kills in ([], far):
        verdict = judge_events(
            READINGS, [row(each) for each in READINGS if each.payload != "5"], kills
        )
        assert (verdict.lost, verdict.in_hand) == (1, 0)
        assert verdict.first_lost == (READINGS[1].sent_at.isoformat(), 2_000 if kills else None)
        assert not verdict.is_good


def test_a_kill_takes_one_reading_that_was_just_acknowledged() -> None:
    kills = [BEGAN_MS + 5_400]
    verdict = judge_events(READINGS, [row(each) for each in READINGS if each.payload != "5"], kills)
    assert (verdict.lost, verdict.in_hand) == (0, 1)
    assert verdict.is_good
    close = [reading(5), reading(5.2)]
    verdict = judge_events(close, [], kills)
    assert (verdict.lost, verdict.in_hand) == (1, 1)
    assert not verdict.is_good


def test_a_reading_stored_twice_is_double() -> None:
    rows = [row(each) for each in READINGS]
    assert judge_events(READINGS, [*rows, rows[0]], []).double == 1
    unconfirmed = reading(20, acknowledged=False)
    assert judge_events([*READINGS, unconfirmed], [*rows, row(unconfirmed)], []).is_good
