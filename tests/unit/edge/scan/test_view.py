"""The table and the document of a scan."""

import io
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardlight_edge import scan_view
from wardlight_edge.scan import LATELY_S, MOST_DEVICES, Survey
from wardlight_edge.scan_view import (
    LiveTable,
    Reception,
    Row,
    address_kind,
    document,
    printable,
    table,
)
from wardlight_edge.transports.adverts import Advert, Sighting


def row(name: str | None = "cuff", address: str = "C0:00:00:00:00:01", **other: object) -> Row:
    values: dict[str, object] = {
        "address_kind": "static", "radios": (Reception("hci0", -60),), "heard": 3,
        "services": ("0x1810", "0xABCD"), "adverts": (), "profiles": ("a", "b"),
        "is_enrolled": False, "age_s": 2.4,
    }  # fmt: skip
    return Row(address=address, name=name, **{**values, **other})  # type: ignore[arg-type]


def test_a_row_says_who_how_well_and_what() -> None:
    heads, line = table([row()])
    assert heads.split() == [
        "name", "address", "kind", "signal", "radio", "heard", "services", "profile"
    ]  # fmt: skip
    assert re.split(r" {2,}", line) == [
        "cuff", "C0:00:00:00:00:01", "static", "-60 dBm", "hci0", "2 s ago",
        "Blood Pressure, 0xABCD", "a +1",
    ]  # fmt: skip
    enrolled = table([row(None, is_enrolled=True, profiles=(), services=(), age_s=0.2)])[1]
    assert re.split(r" {2,}", enrolled)[0] == "-"
    assert enrolled.endswith("enrolled")
    assert "now" in enrolled


def test_the_radio_that_hears_best_is_shown_and_the_others_are_counted() -> None:
    heard = row(radios=(Reception("proxy hall", -50), Reception("hci0", -80)))
    assert re.split(r" {2,}", table([heard])[1])[3:5] == ["-50 dBm", "proxy hall +1"]
    (device,) = json.loads(document(["hci0", "proxy hall"], 1, [heard]))["devices"]
    assert (device["adapter"], device["signal_dbm"]) == ("proxy hall", -50)
    assert device["radios"] == [
        {"radio": "proxy hall", "signal_dbm": -50},
        {"radio": "hci0", "signal_dbm": -80},
    ]


def test_nobody_heard_is_said() -> None:
    assert "nobody is heard" in table([])[0]


@pytest.mark.parametrize("name", ["\x1b[2J", "a\nb", "\u202eabc", "tab\there", "\x9b5A", "\x00"])
def test_a_name_cannot_write_into_the_terminal(name: str) -> None:
    assert printable(name).isprintable()
    (_, line) = table([row(name)])
    assert line.isprintable()
    assert json.loads(document(["hci0"], 1, [row(name)]))["devices"][0]["name"] == name
    assert document(["hci0"], 1, [row(name)]).replace("\n", "").isprintable()


@given(names=st.lists(st.text(max_size=60), min_size=1, max_size=5))
def test_columns_stand_below_one_another_whatever_the_names(names: list[str]) -> None:
    lines = table([row(name or None, f"C0:00:00:00:00:{at:02X}") for at, name in enumerate(names)])
    places = {scan_view._width(line[: line.index("C0:")]) for line in lines[1:]}
    assert places == {scan_view._width(lines[0][: lines[0].index("address")])}
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize(
    ("address", "kind", "shown"),
    [
        ("00:11:22:33:44:55", "public", "public"),
        ("C0:11:22:33:44:55", "random", "static"),
        ("FF:11:22:33:44:55", "random", "static"),
        ("4F:11:22:33:44:55", "random", "private"),
        ("3F:11:22:33:44:55", "random", "non-res."),
        ("80:11:22:33:44:55", "random", "random"),
    ],
)
def test_an_address_says_whether_it_lasts(address: str, kind: str, shown: str) -> None:
    """Core 5.4, Vol 6, Part B, 1.3.2: the two highest bits."""
    assert address_kind(address, kind) == shown


def test_the_live_table_is_drawn_over_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("LINES", "6")
    output = io.StringIO()
    live = LiveTable(output)
    rows = [row(address=f"C0:00:00:00:00:{at:02X}") for at in range(9)]
    live.show(rows)
    first = output.getvalue()
    assert first.count("\n") == 4
    assert "... and 7 more" in first
    assert all(len(line) < 60 for line in first.splitlines())
    live.show(rows, is_last=True)
    assert output.getvalue()[len(first) :].startswith("\x1b[4F\x1b[J")
    assert output.getvalue().count("C0:00:00:00:00:08") == 1


class Moving:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def seen(address: str, name: str | None = None, rssi: int = -60, *kinds: str) -> Sighting:
    return Sighting(address, "public", name, rssi, (), tuple(Advert(each, b"") for each in kinds))


def test_what_is_said_once_is_kept_and_the_enrolled_come_first() -> None:
    clock = Moving()
    survey = Survey({}, {"00:00:00:00:00:03"}, clock)
    survey.sighted(seen("00:00:00:00:00:01", "one", -80, "manufacturer:0x0001"), "hci0")
    survey.sighted(seen("00:00:00:00:00:02", None, -50), "hci0")
    clock.now_s = 2.0
    survey.sighted(seen("00:00:00:00:00:01", None, -70), "hci1")
    survey.sighted(seen("00:00:00:00:00:03", None, -90), "hci0")
    enrolled, strong, weak = survey.rows()
    assert enrolled.is_enrolled
    assert (strong.signal_dbm, strong.age_s, strong.heard) == (-50, 2.0, 1)
    assert (weak.name, weak.adapter, weak.heard) == ("one", "hci1", 2)
    assert weak.adverts == ("manufacturer:0x0001",)


def test_a_radio_that_has_not_heard_a_device_for_long_is_named_no_more() -> None:
    clock = Moving()
    survey = Survey({}, (), clock)
    survey.sighted(seen("00:00:00:00:00:01", None, -40), "hci0")
    survey.sighted(seen("00:00:00:00:00:01", None, -70), "proxy hall")
    assert survey.rows()[0].radios == (Reception("hci0", -40), Reception("proxy hall", -70))
    clock.now_s = LATELY_S + 1
    survey.sighted(seen("00:00:00:00:00:01", None, -71), "proxy hall")
    assert survey.rows()[0].radios == (Reception("proxy hall", -71),)


def test_a_crowd_of_changing_addresses_is_bounded() -> None:
    survey = Survey({}, frozenset(), Moving())
    for number in range(MOST_DEVICES + 10):
        survey.sighted(seen(f"40:00:00:00:{number >> 8:02X}:{number & 255:02X}"), "hci0")
    assert len(survey.rows()) == MOST_DEVICES
