"""View models: no value without its age, no old value that passes for a fresh one."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from wardlight_cloud.dashboard import views
from wardlight_cloud.live.routes import latest_json
from wardlight_cloud.store.base import LatestRow, LedgerReport, Patient
from wardlight_shared.codes import METRICS
from wardlight_shared.model import CODE_BY_ABSENT, Absent, Flag

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
ANNA = Patient(UUID(int=1), "Almeida", "Anna", None, "female", (), 1, NOW)


def row(metric: str, mantissa: int, scale: int = 0, **changes: object) -> LatestRow:
    found = METRICS[metric]
    plain = LatestRow(
        ANNA.patient_id, found.wire, UUID(int=9), found.wire, found.unit, None, NOW, NOW,
        mantissa, scale, 0, 0, 250, 1,
    )  # fmt: skip
    return replace(plain, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("mantissa", "scale", "text"), [(3650, -2, "36.50"), (97, 0, "97"), (12, 1, "120")]
)
def test_value_keeps_its_digits(mantissa: int, scale: int, text: str) -> None:
    assert views.tile(row("body_temperature", mantissa, scale)).value == text


@pytest.mark.parametrize("absent", list(Absent))
def test_absent_shows_its_reason_and_no_number(absent: Absent) -> None:
    tile = views.tile(row("spo2", 0, absent=CODE_BY_ABSENT[absent]))
    assert tile.is_absent
    assert tile.value == str(absent).replace("-", " ")
    assert views.tile(row("spo2", 0, absent=200)).value == "no value"


def test_a_number_that_the_device_calls_invalid_is_not_shown() -> None:
    """On the page and in what it is told live; the store gives such a one as absent."""
    invalid = CODE_BY_ABSENT[Absent.INVALID]
    wrong = row("spo2", 12, absent=invalid, flags=int(Flag.INVALID | Flag.SIGNAL_POOR))
    tile = views.tile(wrong)
    assert (tile.is_absent, tile.value, tile.marks) == (True, "invalid", ("poor signal",))
    told = latest_json(wrong)
    assert (told["value"], told["absent"]) == (None, "invalid")
    pressure = row("systolic_bp", 120), row("diastolic_bp", 10, absent=invalid)
    cells = [cell for cell in views.patient_line(ANNA, pressure).cells if cell is not None]
    assert [cell.value for cell in cells] == ["120/invalid"]


def test_a_metric_that_a_later_version_stored_has_its_number_for_a_name() -> None:
    later = replace(row("spo2", 97), metric=1 << 30)
    assert views.tile(later).label == "Metric-1073741824"
    assert views.newest_by_metric([later]) == {"metric-1073741824": later}
    assert latest_json(later)["metric"] == "metric-1073741824"


def test_streams_grow_stale_sooner_than_single_measurements() -> None:
    assert views.stale_after("spo2") < timedelta(minutes=5) < views.stale_after("body_weight")
    assert views.tile(row("spo2", 97)).stale_after_s == 120
    assert views.stale_after("glucose_cgm") == timedelta(minutes=15)


@pytest.mark.parametrize(
    ("age", "text"),
    [
        (timedelta(seconds=-1), "just now"),
        (timedelta(0), "0 s ago"),
        (timedelta(seconds=59.9), "59 s ago"),
        (timedelta(minutes=1), "1 min ago"),
        (timedelta(hours=1, minutes=5), "1 h 5 min ago"),
        (timedelta(days=6, hours=23), "6 d 23 h ago"),
        (timedelta(days=7), "7 days ago"),
    ],
)
def test_ages(age: timedelta, text: str) -> None:
    assert views.age_text(age) == text


def test_an_old_value_says_so_before_any_script_runs() -> None:
    tile = views.tile(row("spo2", 97))
    assert tile.age_text(NOW + timedelta(seconds=120)) == "2 min ago"
    assert tile.age_text(NOW + timedelta(seconds=121)) == "not current: 2 min ago"
    assert tile.is_stale(NOW + timedelta(seconds=121))


@pytest.mark.parametrize(
    ("flags", "error_ms", "marks"),
    [
        (0, 250, ()),
        (0, -1, ("time uncertain",)),
        (int(Flag.TIME_UNCERTAIN), 120_000, ("time uncertain",)),
        (int(Flag.IMPLAUSIBLE | Flag.LATE), 0, ("questionable", "sent late")),
        (int(Flag.CORRECTED), 0, ("corrected",)),
        (int(Flag.WITHDRAWN), 0, ("taken back",)),
    ],
)
def test_marks(flags: int, error_ms: int, marks: tuple[str, ...]) -> None:
    assert views.tile(row("spo2", 97, flags=flags, error_ms=error_ms)).marks == marks


def test_the_browser_gets_the_same_rules() -> None:
    assert [text for _, text in views.LIVE_RULES["marks"]] == [  # type: ignore[attr-defined]
        "questionable", "irregular pulse", "poor signal", "measured badly", "sent late",
        "time uncertain", "corrected", "taken back", "released by a person",
    ]  # fmt: skip
    ages: dict[str, int] = views.LIVE_RULES["stale_after_s"]  # type: ignore[assignment]
    for metric in METRICS:
        known = ages.get(metric, views.LIVE_RULES["else_stale_after_s"])
        assert known == views.stale_after(metric).total_seconds()


def test_a_line_shows_the_newest_of_each_column() -> None:
    old = row("heart_rate", 60, time=NOW - timedelta(hours=1))
    line = views.patient_line(ANNA, [old, row("pulse_rate_oximeter", 72)])
    cells = dict(zip([name for name, _ in views.COLUMNS], line.cells, strict=True))
    heart = cells["Heart rate"]
    assert heart is not None
    assert (heart.value, heart.metric) == ("72", "pulse_rate_oximeter")
    assert cells["Weight"] is None


def test_pressures_stand_together_only_when_measured_together() -> None:
    upper, lower = row("systolic_bp", 138), row("diastolic_bp", 86)
    earlier = replace(lower, time=NOW - timedelta(minutes=1))
    for rows, text in (([upper, lower], "138/86"), ([upper, earlier], "138"), ([upper], "138")):
        cell = views.patient_line(ANNA, rows).cells[2]
        assert cell is not None
        assert cell.value == text


def test_tiles_begin_with_vital_signs() -> None:
    found = views.tiles([row("battery", 80), row("spo2", 97), row("heart_rate", 60)])
    assert [tile.metric for tile in found] == ["heart_rate", "spo2", "battery"]


def test_ledger_line_counts_ranges_and_names_causes() -> None:
    report = LedgerReport("gw", 1, 10, 5, 0, {"thinned": 2}, ((6, 6), (9, 10)), {})
    line = views.ledger_line(report)
    assert (line.missing, line.removed, line.losses) == (3, "2 thinned", "none")
