"""Devices that only advertise: from the fake BlueZ to the outbox, over restarts and refusals."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

import msgspec
import pytest

from support.recording_outbox import RecordingOutbox
from support.running_gateway import Running, running_gateway
from support.tree import ROOT
from support.waiting import wait_until
from wardlight_edge.config import DeviceSettings
from wardlight_edge.profiles import load
from wardlight_edge.sessions import advert_session, gateway, serving
from wardlight_edge.sessions.gateway import Gateway
from wardlight_edge.sessions.inbox import Inbox
from wardlight_lab.bluez import FakeBluez
from wardlight_lab.devices.advertisers import (
    BATTERY,
    BTHOME,
    MASS_KG,
    REMOVED,
    STABILISED,
    TEMPERATURE,
    Advertiser,
    BTHomeSensor,
    MiBodyCompositionScale,
)
from wardlight_shared.codes import BY_WIRE
from wardlight_shared.records import EventBody

pytestmark = pytest.mark.dbus

NAMES = ("generic-bthome", "xiaomi-mi-body-composition-scale")
PROFILES = load(ROOT / "firmware-configs", NAMES)
ADDRESS = "54:48:E6:8F:80:A5"
KEY = bytes.fromhex("231d39c1d7cc1ab1aee224cd096db932")
SOON_S = 0.02


def key_file(folder: Path, key: bytes = KEY) -> Path:
    """A bind key as an operator puts it there."""
    file = folder / "bind.key"
    file.write_text(key.hex() + "\n", encoding="ascii")
    file.chmod(0o600)
    return file


def enrolled(
    advertiser: Advertiser, profile: str = "generic-bthome", key: Path | None = None
) -> DeviceSettings:
    return DeviceSettings(identity=advertiser.identity_text, profile=profile, bind_key_file=key)


def sensor(bluez: FakeBluez, key: bytes | None = None, counter: int = 0) -> BTHomeSensor:
    """A scale that speaks BTHome, in range and still silent."""
    made = BTHomeSensor(ADDRESS, "scale", key=key, counter=counter, interval_s=SOON_S)
    bluez.add(made)
    return made


def values(outbox: RecordingOutbox) -> list[str]:
    """What is in the outbox, in order."""
    return [value for event in outbox.events() for value in _values(event)]


def _values(event: EventBody) -> Iterable[str]:
    for mantissa, scale in zip(event.mantissas, event.scales, strict=True):
        yield str(Decimal(mantissa).scaleb(scale))


def metrics(outbox: RecordingOutbox) -> list[str]:
    return [
        BY_WIRE[outbox.key(number).metric].name
        for event in outbox.events()
        for number in event.series
    ]


async def said_often(bluez: FakeBluez, advertiser: Advertiser, times: int = 5) -> None:
    """Return when the adapter has heard the newest advertisement several times."""
    adapter = bluez.adapter("hci0")
    enough = adapter.heard_count(advertiser.address) + times
    await wait_until(lambda: adapter.heard_count(advertiser.address) >= enough)


async def taken(run: Running, count: int) -> None:
    """Return when so many values are in the outbox."""
    await wait_until(lambda: len(values(run.outbox)) >= count)


async def test_an_advert_becomes_one_event_however_often_it_is_said(
    bluez: FakeBluez, tmp_path: Path
) -> None:
    scale = sensor(bluez)
    async with running_gateway(tmp_path, PROFILES, enrolled(scale)) as run:
        scale.weigh(Decimal("80.30"))
        await taken(run, 1)
        await said_often(bluez, scale)
        scale.say((MASS_KG, 8030), (BATTERY, 61), packet=9)
        await taken(run, 2)
        await said_often(bluez, scale)
        scale.weigh(Decimal("80.35"), packet=10)
        await taken(run, 3)
        status = run.runner.board.devices()[0]
        assert status.state == "waiting"
        assert status.reason is None
        assert status.battery_percent == 61
        assert status.last_data_mono_ms is not None
        assert status.heard_mono_ms is not None
        assert status.signal_dbm is not None
        assert -66 <= status.signal_dbm <= -54
        assert status.counts.decode_errors == 0
        assert run.outbox.statuses("battery")[0].data == {"percent": 61}
    assert values(run.outbox) == ["80.30", "80.30", "80.35"]
    assert set(metrics(run.outbox)) == {"body_weight"}, "a battery is no vital sign"
    names = [record.event_id for record in run.outbox.records if record.event_id]
    assert len(set(names)) == 3
    assert scale.visits == 0
    assert scale.link is None


async def test_a_weighing_of_a_scale_is_taken_when_it_stands(
    bluez: FakeBluez, tmp_path: Path
) -> None:
    scale = MiBodyCompositionScale("C8:0F:10:00:00:01", "MIBFS", interval_s=SOON_S)
    bluez.add(scale)
    device = enrolled(scale, "xiaomi-mi-body-composition-scale")
    now = datetime.now(UTC).astimezone()
    async with running_gateway(tmp_path, PROFILES, device) as run:
        scale.weigh(Decimal("40.15"), now, flags=0)
        await said_often(bluez, scale)
        scale.weigh(Decimal("72.45"), now)
        await taken(run, 1)
        scale.weigh(Decimal("72.45"), now, impedance=478)
        await said_often(bluez, scale)
        scale.weigh(Decimal("72.45"), now, flags=STABILISED | REMOVED, impedance=478)
        await said_often(bluez, scale)
        scale.weigh(Decimal("72.45"), now + timedelta(seconds=50))
        await taken(run, 2)
    assert values(run.outbox) == ["72.450", "72.450"]


async def test_an_encrypted_advert_is_opened_with_the_right_key(
    bluez: FakeBluez, tmp_path: Path
) -> None:
    scale = sensor(bluez, KEY)
    async with running_gateway(tmp_path, PROFILES, enrolled(scale, key=key_file(tmp_path))) as run:
        for kilograms in ("80.30", "80.30", "80.40"):
            scale.weigh(Decimal(kilograms))
            count = len(values(run.outbox)) + 1
            await taken(run, count)
    assert values(run.outbox) == ["80.30", "80.30", "80.40"], "each counter is a measurement"


@pytest.mark.parametrize(
    ("sends", "knows", "state"),
    [
        (KEY, None, "no-key"),
        (KEY, bytes(16), "wrong-key"),
        (None, KEY, "not-encrypted"),
    ],
    ids=["no key", "another key", "plain though it must not be"],
)
async def test_what_cannot_be_believed_is_no_value_and_says_why(
    bluez: FakeBluez,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    sends: bytes | None,
    knows: bytes | None,
    state: str,
) -> None:
    scale = sensor(bluez, sends)
    file = None if knows is None else key_file(tmp_path, knows)
    async with running_gateway(tmp_path, PROFILES, enrolled(scale, key=file)) as run:
        scale.weigh(Decimal("80.30"))
        await wait_until(lambda: run.state() == state)
        await said_often(bluez, scale)
        status = run.runner.board.devices()[0]
        assert "key" in (status.reason or "")
        assert status.counts.decode_errors == 1, "one advert, however often and by whom it is heard"
        assert run.outbox.statuses("link")[-1].data["state"] == state
        assert run.outbox.statuses("quarantine")
    assert not run.outbox.events()
    assert len(list((tmp_path / "quarantine").iterdir())) == 1
    assert KEY.hex() not in caplog.text
    assert bytes(16).hex() not in caplog.text


async def test_a_recording_is_refused_and_the_device_goes_on(
    bluez: FakeBluez, tmp_path: Path
) -> None:
    scale = sensor(bluez, KEY, counter=1000)
    async with running_gateway(tmp_path, PROFILES, enrolled(scale, key=key_file(tmp_path))) as run:
        recorded = scale.weigh(Decimal("120.00"))
        await taken(run, 1)
        for count in range(2, 20):
            scale.weigh(Decimal(80))
            await taken(run, count)
        scale.advertise({BTHOME: recorded})
        board = run.runner.board
        await wait_until(lambda: board.devices()[0].counts.decode_errors == 1)
        assert run.state() == "waiting", "what a stranger sends is no trouble while it goes on"
        scale.weigh(Decimal(81))
        await taken(run, 20)
    assert values(run.outbox) == ["120.00", *["80.00"] * 18, "81.00"]


async def test_the_counter_outlives_the_gateway(bluez: FakeBluez, tmp_path: Path) -> None:
    scale = sensor(bluez, KEY, counter=1000)
    device = enrolled(scale, key=key_file(tmp_path))
    async with running_gateway(tmp_path, PROFILES, device) as run:
        recorded = scale.weigh(Decimal("120.00"))
        await taken(run, 1)
        for count in range(2, 20):
            last = scale.weigh(Decimal(80))
            await taken(run, count)
    (file,) = (tmp_path / "adverts").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600

    scale.advertise({BTHOME: recorded})
    async with running_gateway(tmp_path, PROFILES, device) as run:
        await wait_until(lambda: run.state() == "replayed")
        scale.advertise({BTHOME: last})
        await said_often(bluez, scale)
        assert not run.outbox.events(), "what is still said was taken before the restart"
        scale.weigh(Decimal("81.00"))
        await taken(run, 1)
        await wait_until(lambda: run.state() == "waiting")
    assert values(run.outbox) == ["81.00"]


async def test_a_restarted_device_waits_for_an_operator(bluez: FakeBluez, tmp_path: Path) -> None:
    scale = sensor(bluez, KEY, counter=1000)
    device = enrolled(scale, key=key_file(tmp_path))
    async with running_gateway(tmp_path, PROFILES, device) as run:
        scale.weigh(Decimal("80.00"))
        await taken(run, 1)
    scale.counter = 0
    async with running_gateway(tmp_path, PROFILES, device) as run:
        scale.weigh(Decimal("80.50"))
        await wait_until(lambda: run.state() == "replayed")
        assert "repair" in (run.runner.board.devices()[0].reason or "")
        await run.runner.repair(scale.identity_text)
        await taken(run, 1)
        scale.weigh(Decimal("80.60"))
        await taken(run, 2)
    assert values(run.outbox) == ["80.50", "80.60"]


async def test_a_plain_advert_that_is_still_said_is_no_new_one_after_a_restart(
    bluez: FakeBluez, tmp_path: Path
) -> None:
    scale = sensor(bluez)
    async with running_gateway(tmp_path, PROFILES, enrolled(scale)) as run:
        scale.weigh(Decimal("80.30"))
        await taken(run, 1)
    async with running_gateway(tmp_path, PROFILES, enrolled(scale)) as run:
        await said_often(bluez, scale)
        scale.weigh(Decimal("80.35"))
        await taken(run, 1)
    assert values(run.outbox) == ["80.35"]


async def test_after_a_silence_the_same_weight_is_a_new_weighing(
    bluez: FakeBluez, tmp_path: Path
) -> None:
    profile = PROFILES["generic-bthome"]
    assert profile.transport.adverts is not None
    quick = msgspec.structs.replace(profile.transport.adverts, silence_s=0.3)
    transport = msgspec.structs.replace(profile.transport, adverts=quick)
    profiles = {"generic-bthome": msgspec.structs.replace(profile, transport=transport)}
    scale = sensor(bluez)
    async with running_gateway(tmp_path, profiles, enrolled(scale)) as run:
        scale.weigh(Decimal("80.30"))
        await taken(run, 1)
        scale.stop_advertising()
        await asyncio.sleep(0.5)  # the silence itself
        scale.start_advertising()
        await taken(run, 2)
    assert values(run.outbox) == ["80.30", "80.30"]


async def test_adverts_that_find_no_room_are_a_named_gap(
    bluez: FakeBluez, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(advert_session, "Inbox", partial(Inbox, capacity=3))
    monkeypatch.setattr(gateway, "Gateway", partial(Gateway, retry_s=0.05))
    scale = sensor(bluez)
    async with running_gateway(tmp_path, PROFILES, enrolled(scale)) as run:
        run.outbox.is_full = True
        scale.weigh(Decimal(70))
        await wait_until(lambda: run.outbox.refused)
        assert run.state() == "outbox-full"
        for kilograms in range(71, 81):
            scale.weigh(Decimal(kilograms))
            await said_often(bluez, scale)
        run.outbox.is_full = False
        await wait_until(lambda: run.outbox.gaps())
        await wait_until(lambda: run.state() == "waiting")
        await said_often(bluez, scale)
        (gap,) = run.outbox.gaps()
        assert (gap.cause, gap.count) == ("outbox-full", 7)
        assert run.runner.board.devices()[0].counts.lost == 7
        assert values(run.outbox)[:4] == ["70.00", "71.00", "72.00", "73.00"]
        assert values(run.outbox)[4:] == ["80.00"], "what is still said when there is room is taken"


async def test_a_gateway_that_stops_while_it_refuses_says_so_afterwards(
    bluez: FakeBluez, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "STOP_S", 0.1)
    scale = sensor(bluez)
    async with running_gateway(tmp_path, PROFILES, enrolled(scale)) as run:
        run.outbox.is_full = True
        scale.weigh(Decimal(70))
        await wait_until(lambda: run.outbox.refused)
    async with running_gateway(tmp_path, PROFILES, enrolled(scale)) as run:
        await taken(run, 1)
    assert [(gap.cause, gap.count) for gap in run.outbox.gaps()] == [("outbox-full", 0)]
    assert values(run.outbox) == ["70.00"], "not committed before, so it is still news"
    async with running_gateway(tmp_path, PROFILES, enrolled(scale)) as run:
        await said_often(bluez, scale)
    assert run.outbox.gaps() == []
    assert values(run.outbox) == []


async def test_two_sensors_and_a_stranger_are_told_apart(bluez: FakeBluez, tmp_path: Path) -> None:
    scale = sensor(bluez)
    other = BTHomeSensor("54:48:E6:8F:80:A6", interval_s=SOON_S)
    stranger = BTHomeSensor("54:48:E6:8F:80:A7", interval_s=SOON_S)
    bluez.add(other)
    bluez.add(stranger)
    async with running_gateway(tmp_path, PROFILES, enrolled(scale), enrolled(other)) as run:
        stranger.weigh(Decimal("1.00"))
        other.say((TEMPERATURE, 3650), (MASS_KG, 6000))
        scale.weigh(Decimal("80.30"))
        await taken(run, 3)
        await said_often(bluez, stranger)
    assert sorted(values(run.outbox)) == ["36.50", "60.00", "80.30"]


async def test_without_a_radio_it_is_absent_and_comes_back(
    bluez: FakeBluez, tmp_path: Path
) -> None:
    scale = sensor(bluez)
    scale.weigh(Decimal("80.30"))
    await bluez.unplug("hci0")
    async with running_gateway(tmp_path, PROFILES, enrolled(scale)) as run:
        await wait_until(lambda: run.state() == "absent")
        assert "hci0" in (run.runner.board.devices()[0].reason or "")
        bluez.plug_in("hci0")
        await taken(run, 1)
        await wait_until(partial(_is_waiting, run))


def _is_waiting(run: Running) -> bool:
    return run.state() == "waiting"
