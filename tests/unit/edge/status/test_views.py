"""The status page and its terminal form say what is wrong, in words, and escape foreign text."""

import html
import re
from datetime import date
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardlight_edge.enrolment.calibration import Calibration
from wardlight_edge.health import (
    DeviceSnapshot,
    RadioSnapshot,
    Snapshot,
    UplinkSnapshot,
    health_body,
    trouble_of,
)
from wardlight_edge.outbox.base import Level, OutboxStatus
from wardlight_edge.status import views
from wardlight_shared.records import encode_body

OUTBOX = OutboxStatus(
    epoch=1, boot=1, records=3, leased=0, rejected=0, lowest=1, highest=3, oldest_wall_ms=None,
    size_bytes=2048, quota_bytes=1 << 30, free_disk_bytes=1 << 40, level=Level.NORMAL,
    appended=3, refused=0, settled=0, thinned=0, salvaging=False,
)  # fmt: skip
UPLINK = UplinkSnapshot(
    connected=False, state_age_s=5, last_ack_age_s=None, round_trip_ms=None, in_flight_batches=0,
    reason="no route to host",
)  # fmt: skip
DEVICE = DeviceSnapshot(
    identity="ble:AABBCCDDEEFF", profile="<b>cuff</b>", state="absent", reason="no system D-Bus",
    last_data_age_s=None, battery_percent=80, readings=0, decode_errors=0, lost=0,
)  # fmt: skip


def snapshot(*devices: DeviceSnapshot, outbox: OutboxStatus = OUTBOX) -> Snapshot:
    return Snapshot(
        gateway="gw-test", software="0", uptime_s=61, clock_quality="ntp", clock_error_ms=3,
        memory_bytes=40 << 20, open_files=12, uplink=UPLINK, outbox=outbox, devices=devices,
        trouble=trouble_of(outbox, UPLINK, devices),
    )  # fmt: skip


def test_page_escapes_what_comes_from_outside() -> None:
    page = views.page(snapshot(DEVICE))
    assert "<b>cuff</b>" not in page
    assert "&lt;b&gt;cuff&lt;/b&gt;" in page


@given(st.text())
def test_escaping_is_that_of_the_standard_library(text: str) -> None:
    assert views.escape(text) == html.escape(text)


def test_radios_are_shown_with_why_they_do_not_serve() -> None:
    radios = (
        RadioSnapshot("hci0", None, 2, 3.0),
        RadioSnapshot("proxy <hall>", None, None, 70.0),
        RadioSnapshot("proxy attic", "proxy attic cannot be reached at 192.0.2.7:6053", 0, None),
    )
    shown = msgspec.structs.replace(snapshot(DEVICE), radios=radios)
    text = views.text(shown)
    assert re.search(r"^hci0 +3 s ago +2 +serves$", text, re.MULTILINE)
    assert re.search(r"^proxy <hall> +1 min ago +none: it only hears +serves$", text, re.MULTILINE)
    assert re.search(r"^proxy attic +never +0 +proxy attic cannot be reached", text, re.MULTILINE)
    page = views.page(shown)
    assert "<td>proxy &lt;hall&gt;</td>" in page
    assert "cannot be reached at 192.0.2.7" in page
    assert "Radios" not in views.page(snapshot(DEVICE)), "a gateway without Bluetooth has none"


def test_trouble_is_said_in_words_with_what_waits() -> None:
    text = views.text(snapshot(DEVICE))
    assert "! Not connected to the broker (no route to host); 3 records wait on this disk." in text
    assert "! ble:AABBCCDDEEFF: absent: no system D-Bus" in text


def test_a_collector_that_does_not_answer_is_trouble_after_a_while() -> None:
    connected = msgspec.structs.replace(UPLINK, connected=True, reason=None)
    for age_s, is_trouble in ((None, False), (59.0, False), (61.0, True)):
        silent = msgspec.structs.replace(connected, unacked_age_s=age_s)
        found = trouble_of(OUTBOX, silent, ())
        assert bool(found) is is_trouble, age_s
    assert "no collector has answered for 61 s; 3 records wait" in found[0]


def test_records_that_wait_for_a_newer_collector_are_said() -> None:
    waiting = msgspec.structs.replace(UPLINK, connected=True, reason=None, withheld=7)
    (sentence,) = trouble_of(OUTBOX, waiting, ())
    assert sentence.startswith("7 records")
    assert "update the collector" in sentence


def test_a_device_in_doubt_is_said_with_what_waits() -> None:
    doubt = msgspec.structs.replace(
        DEVICE, state="unverified", reason="its serial number could not be read", waiting=3
    )
    sentence = "ble:AABBCCDDEEFF: unverified: its serial number could not be read (3 readings wait)"
    assert sentence in views.text(snapshot(doubt))
    assert sentence in views.page(snapshot(doubt))


def test_a_device_shows_when_and_how_well_it_was_heard() -> None:
    heard = msgspec.structs.replace(DEVICE, heard_age_s=12.4, signal_dbm=-48)
    assert "12 s ago, -48 dBm" in views.text(snapshot(heard))
    assert "12 s ago, -48 dBm" in views.page(snapshot(heard))
    wired = msgspec.structs.replace(DEVICE, heard_age_s=12.4)
    assert "12 s ago  " in views.text(snapshot(wired))


def test_empty_state_explains_itself() -> None:
    assert "wardlight-edge devices add" in views.text(snapshot())
    assert "wardlight-edge devices add" in views.page(snapshot())


def test_an_overdue_calibration_is_trouble_and_one_that_is_due_is_shown() -> None:
    good = msgspec.structs.replace(DEVICE, state="waiting", reason=None)
    due = msgspec.structs.replace(
        good, calibration_due=date(2027, 3, 1), calibration=Calibration.DUE
    )
    assert "2027-03-01 due" in views.text(snapshot(due))
    assert "2027-03-01 due" in views.page(snapshot(due))
    assert not any("calibration" in line for line in snapshot(due).trouble)
    overdue = msgspec.structs.replace(due, calibration=Calibration.OVERDUE)
    (line,) = [line for line in snapshot(overdue).trouble if "calibration" in line]
    assert "was due on 2027-03-01" in line
    assert health_body(snapshot(overdue, due)).data["calibration_overdue"] == 1


@pytest.mark.parametrize(
    ("age_s", "text"),
    [
        (None, "never"),
        (-3, "0 s ago"),
        (59.9, "59 s ago"),
        (60, "1 min ago"),
        (3600, "1 h 0 min ago"),
        (90_000, "1 d 1 h ago"),
    ],
)
def test_ages(age_s: float | None, text: str) -> None:
    assert views.age_text(age_s) == text


@pytest.mark.parametrize("level", [Level.WARN, Level.THIN, Level.FULL])
def test_each_level_of_the_outbox_has_its_sentence(level: Level) -> None:
    fields = {name: getattr(OUTBOX, name) for name in OUTBOX.__struct_fields__}
    outbox = OutboxStatus(**{**fields, "level": level, "rejected": 2, "salvaging": True})
    trouble = snapshot(outbox=outbox).trouble
    assert len(trouble) == 4
    assert "outbox" in trouble[0].lower()


def test_health_record_is_small_and_holds_no_text_of_devices() -> None:
    body = encode_body(health_body(snapshot(DEVICE)))
    assert len(body) < 300
    assert b"AABBCCDDEEFF" not in body


def test_design_of_the_page_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    page = views.page(snapshot(DEVICE))
    assert "http" not in page.replace("http-equiv", "")
    assert "<script" not in page


def test_why_images_do_not_go_up_is_said() -> None:
    uplink = UplinkSnapshot(True, 5.0, 1.0, 12, 0, None, images="the cloud asks to wait (busy)")
    (sentence,) = trouble_of(OUTBOX, uplink, ())
    assert sentence == "Images do not go up: the cloud asks to wait (busy)."
