"""A scale with users: bonded links through the fake BlueZ, consent for one user after another."""

import logging
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from support.running_gateway import Running, running_gateway
from support.tree import ROOT
from support.waiting import wait_until
from wardlight_edge.config import DeviceSettings, UserSettings
from wardlight_edge.devices import _user_consent
from wardlight_edge.profiles import load_file
from wardlight_edge.sessions import dialogue, session
from wardlight_lab.bluez import FakeBluez
from wardlight_lab.devices.emulated import Equipment
from wardlight_lab.devices.user_scale import NOBODY, UserScale
from wardlight_shared.codes import BY_WIRE
from wardlight_shared.errors import ConfigError
from wardlight_shared.floats import decimal_from_parts
from wardlight_shared.model import Flag

pytestmark = pytest.mark.dbus

PROFILES = {"scale": load_file(ROOT / "firmware-configs" / "beurer-bf720.toml")}
START = datetime(2026, 10, 1, 7, tzinfo=UTC)
CODES = {1: 1234, 2: 42}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns of a tenth of a second; come back at once to a scale that is still there."""
    monkeypatch.setattr(_user_consent, "QUIET_MS", 150)
    monkeypatch.setattr(_user_consent, "STAY_MS", 500)
    monkeypatch.setattr(session, "TICK_S", 0.05)
    monkeypatch.setattr(dialogue, "REST_S", 0.1)


@pytest.fixture
async def scale(bluez: FakeBluez) -> UserScale:
    """A scale in range that knows two users."""
    made = UserScale("patient", CODES, equipment=Equipment(advertising_interval_s=0.05))
    bluez.add(made)
    return made


def settings_of(scale: UserScale, folder: Path, codes: dict[int, int]) -> DeviceSettings:
    """The scale with its users; a code file each."""
    users = []
    for user, code in codes.items():
        file = folder / f"user-{user}.code"
        file.write_text(f"{code:04}\n")
        file.chmod(0o600)
        users.append(UserSettings(index=user, consent_code_file=file))
    identity = scale.identity_text
    return DeviceSettings(identity=identity, profile="scale", users=tuple(users))


def fill(scale: UserScale) -> None:
    """Three days: user 1 of 70 to 72 kg, user 2 of 80 to 82 kg."""
    for day in range(3):
        at = START + timedelta(days=day)
        scale.weigh(1, Decimal(70 + day), Decimal("21.5"), at)
        scale.weigh(2, Decimal(80 + day), Decimal("30.5"), at + timedelta(minutes=1))


def weights(run: Running) -> list[tuple[int | None, Decimal]]:
    """User and kilograms of each accepted weight of a body composition."""
    found = []
    for event in run.outbox.events():
        keys = [run.outbox.key(series) for series in event.series]
        if BY_WIRE[keys[0].metric].name != "body_fat":
            continue
        for key, mantissa, scale in zip(keys, event.mantissas, event.scales, strict=True):
            if BY_WIRE[key.metric].name == "body_weight":
                found.append((key.user, decimal_from_parts(mantissa, scale)))
    return found


def memory(run: Running) -> dict[str, object]:
    """What was said last of the scale's memory."""
    said = run.outbox.statuses("memory")
    return dict(said[-1].data) if said else {}


async def test_two_users_on_one_link(
    bluez: FakeBluez, scale: UserScale, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    fill(scale)
    async with running_gateway(tmp_path, PROFILES, settings_of(scale, tmp_path, CODES)) as run:
        await wait_until(lambda: memory(run) == {"state": "ok", "reason": None})
        assert run.runner.board.devices()[0].counts.links == 1
    of_one = [(1, Decimal(70 + day)) for day in range(3)]
    of_two = [(2, Decimal(80 + day)) for day in range(3)]
    assert weights(run) == of_one + of_two
    assert scale.requests[:2] == [bytes.fromhex("0201D204"), bytes.fromhex("02022A00")]
    assert {request[0] for request in scale.requests} == {2}, "nothing but consents"
    assert not any(scale.kept.values())
    bonded = bluez.device(scale.address)
    assert bonded is not None
    assert "1234" not in caplog.text
    assert "D204" not in caplog.text.upper()


async def test_a_wrong_code_is_tried_once_and_told(scale: UserScale, tmp_path: Path) -> None:
    """The other user's values come; the next links do not try again."""
    fill(scale)
    wrong = settings_of(scale, tmp_path, {1: 1234, 2: 4711})
    async with running_gateway(tmp_path, PROFILES, wrong) as run:
        await wait_until(lambda: run.runner.board.devices()[0].counts.links >= 3)
        status = run.runner.board.devices()[0]
    assert weights(run) == [(1, Decimal(70 + day)) for day in range(3)]
    assert scale.requests.count(bytes.fromhex("0202 6712".replace(" ", ""))) == 1
    assert memory(run)["state"] == "incomplete"
    reason = str(memory(run)["reason"])
    assert reason.startswith("user 2: the device refuses the consent code")
    assert "4711" not in reason
    assert status.last_error == reason
    assert len(scale.kept[2]) == 3, "they are still on the scale"


async def test_a_link_lost_between_consent_and_values(scale: UserScale, tmp_path: Path) -> None:
    fill(scale)
    scale.faults.drop_after.append(1)  # the answer to the first consent, and nothing after it
    async with running_gateway(tmp_path, PROFILES, settings_of(scale, tmp_path, CODES)) as run:
        await wait_until(lambda: len(weights(run)) == 6)
        await wait_until(lambda: memory(run).get("state") == "ok")
    assert sorted(weights(run), key=str) == sorted(
        [(user, Decimal(10 * user + 60 + day)) for user in (1, 2) for day in range(3)], key=str
    )


async def test_a_link_lost_between_two_values_stores_none_twice(
    scale: UserScale, tmp_path: Path
) -> None:
    """The scale sends a weighing again from its beginning: the events have the same names."""
    fill(scale)
    scale.faults.drop_after.append(4)
    scale.faults.acknowledge_last = False
    async with running_gateway(tmp_path, PROFILES, settings_of(scale, tmp_path, CODES)) as run:
        await wait_until(lambda: memory(run).get("state") == "ok")
        await wait_until(lambda: not any(scale.kept.values()))
        await wait_until(lambda: len({name for name in _names(run)}) == 12)
    assert len(set(weights(run))) == 6


def _names(run: Running) -> list[bytes | None]:
    return [each.event_id for each in run.outbox.records if each.event_id is not None]


async def test_a_person_who_steps_on_the_scale_is_there_at_once(
    scale: UserScale, tmp_path: Path
) -> None:
    """While the scale is linked, whichever user it is whose turn it is."""
    scale.start_advertising(60)
    async with running_gateway(tmp_path, PROFILES, settings_of(scale, tmp_path, CODES)) as run:
        await wait_until(lambda: len(scale.requests) >= 2)
        scale.weigh(2, Decimal("81.5"), Decimal("30.1"))
        await wait_until(lambda: weights(run) == [(2, Decimal("81.500"))])


async def test_a_person_the_scale_does_not_know_is_nobody(scale: UserScale, tmp_path: Path) -> None:
    scale.weigh(NOBODY, Decimal("55.5"), Decimal("25.0"), START)
    async with running_gateway(tmp_path, PROFILES, settings_of(scale, tmp_path, CODES)) as run:
        await wait_until(lambda: weights(run))
    assert weights(run) == [(None, Decimal("55.500"))]
    for event in run.outbox.events():
        assert event.flags is not None
        assert all(flags & Flag.USER_UNKNOWN for flags in event.flags)


async def test_a_body_composition_in_two_packets_is_one_event(
    scale: UserScale, tmp_path: Path
) -> None:
    scale.weigh(1, Decimal("70.5"), Decimal("21.5"), START, packets=True)
    async with running_gateway(tmp_path, PROFILES, settings_of(scale, tmp_path, CODES)) as run:
        await wait_until(lambda: len(run.outbox.events()) == 2)
    assert weights(run) == [(1, Decimal("70.500"))]


async def test_a_restarted_gateway_asks_again_and_stores_nothing_twice(
    scale: UserScale, tmp_path: Path
) -> None:
    fill(scale)
    settings = settings_of(scale, tmp_path, CODES)
    async with running_gateway(tmp_path, PROFILES, settings) as first:
        await wait_until(lambda: len(weights(first)) >= 2)
    async with running_gateway(tmp_path, PROFILES, settings) as second:
        await wait_until(lambda: memory(second).get("state") == "ok")
    names = {*_names(first), *_names(second)}
    assert len(names) == 12
    assert len({*weights(first), *weights(second)}) == 6


async def test_a_scale_that_has_no_users_in_the_settings_says_so(
    scale: UserScale, tmp_path: Path
) -> None:
    fill(scale)
    async with running_gateway(tmp_path, PROFILES, settings_of(scale, tmp_path, {})) as run:
        await wait_until(lambda: memory(run).get("state") == "incomplete")
    assert "[[device.users]]" in str(memory(run)["reason"])
    assert scale.requests == []
    assert not run.outbox.events()


async def test_users_of_a_device_that_asks_none(scale: UserScale, tmp_path: Path) -> None:
    cuff = {"scale": load_file(ROOT / "firmware-configs" / "silvercrest-sbm69.toml")}
    with pytest.raises(ConfigError, match="asks no user for consent"):
        async with running_gateway(tmp_path, cuff, settings_of(scale, tmp_path, CODES)):
            pass
