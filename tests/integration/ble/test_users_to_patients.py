"""Two persons and one device, from the radio to two patients: what is nobody's is no patient's."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest

from support.ble_visits import CUFF, WatchedCuff
from support.recording_outbox import RecordingOutbox
from support.running_gateway import running_gateway
from support.store import Place, admit
from support.tree import ROOT
from support.waiting import wait_until
from wardlight_cloud.ingest.pipeline import open_message
from wardlight_cloud.store.base import Store
from wardlight_cloud.store.queries import ObservationQuery
from wardlight_edge.config import DeviceSettings, UserSettings
from wardlight_edge.devices import _user_consent
from wardlight_edge.profiles import load_file
from wardlight_edge.sessions import dialogue, session
from wardlight_lab.bluez import FakeBluez
from wardlight_lab.devices.blood_pressure_cuff import encode
from wardlight_lab.devices.emulated import Equipment
from wardlight_lab.devices.patient import BloodPressure
from wardlight_lab.devices.stored_records import Record as Stored
from wardlight_lab.devices.user_scale import NOBODY, UserScale
from wardlight_shared.codes import BY_WIRE
from wardlight_shared.envelope import Clock, SendHeader, seal
from wardlight_shared.floats import decimal_from_parts
from wardlight_shared.records import Record

pytestmark = pytest.mark.dbus

GATEWAY = "gw-test"
START = datetime(2026, 10, 1, 7, tzinfo=UTC)
CODES = {1: 1234, 2: 42}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_user_consent, "QUIET_MS", 150)
    monkeypatch.setattr(_user_consent, "STAY_MS", 500)
    monkeypatch.setattr(session, "TICK_S", 0.05)
    monkeypatch.setattr(dialogue, "REST_S", 0.1)


async def collect(outbox: RecordingOutbox, store: Store) -> None:
    """What the outbox holds, in one envelope, through the collector's pipeline into the store."""
    now_ms = max(record.wall_ms for record in outbox.records)
    records = [
        Record(seq, each.lane, each.event_id, 1, each.mono_ms, each.wall_ms, each.body)
        for seq, each in enumerate(outbox.records, start=1)
    ]
    times_ms = [each.wall_ms for each in outbox.records]
    series = outbox.series(range(1, len(outbox._series) + 1))
    header = SendHeader(GATEWAY, outbox.epoch, 1, now_ms, 60, [Clock(3, 20)])
    message = seal(header, series, records, times_ms)
    await store.put_gateway(GATEWAY)
    await store.ingest(list(open_message(GATEWAY, message, now_ms)))


async def newest(store: Store, patient: UUID) -> dict[str, Decimal]:
    """The newest value of each metric that a dashboard shows of this patient."""
    return {
        BY_WIRE[row.metric].name: decimal_from_parts(row.mantissa, row.scale)
        for row in await store.latest([patient])
    }


async def stored(place: Place) -> dict[int | None, int]:
    """Readings in the store, by user index, whoever's they are."""
    rows = await place.execute(
        "SELECT s.user_index, count(*) AS n FROM reading JOIN series AS s USING (series_id) "
        "GROUP BY s.user_index"
    )
    return {row["user_index"]: row["n"] for row in rows}


async def test_two_users_of_a_scale_are_two_patients(
    bluez: FakeBluez, native_place: Place, tmp_path: Path
) -> None:
    scale = UserScale("patient", CODES, equipment=Equipment(advertising_interval_s=0.05))
    bluez.add(scale)
    for day in range(3):
        at = START + timedelta(days=day)
        scale.weigh(1, Decimal(70 + day), Decimal("21.5"), at)
        scale.weigh(2, Decimal(80 + day), Decimal("30.5"), at + timedelta(minutes=1))
    scale.weigh(NOBODY, Decimal(55), Decimal("25.0"), START + timedelta(days=4))
    identity = scale.identity_text
    users = []
    for user, code in CODES.items():
        file = tmp_path / f"user-{user}.code"
        file.write_text(f"{code}\n")
        file.chmod(0o600)
        users.append(UserSettings(index=user, consent_code_file=file))
    settings = DeviceSettings(identity=identity, profile="scale", users=tuple(users))
    profiles = {"scale": load_file(ROOT / "firmware-configs" / "beurer-bf720.toml")}
    async with running_gateway(tmp_path, profiles, settings) as run:
        await wait_until(lambda: len(run.outbox.events()) == 14)
    store = await native_place.open()
    ann = await admit(store, device=identity, user=1)
    bob = await admit(store, device=identity, user=2)
    await collect(run.outbox, store)
    assert await stored(native_place) == {1: 9, 2: 9, None: 3}
    assert await newest(store, ann.patient) == {
        "body_weight": Decimal("72.000"), "body_fat": Decimal("21.5"),
    }  # fmt: skip
    assert await newest(store, bob.patient) == {
        "body_weight": Decimal("82.000"), "body_fat": Decimal("30.5"),
    }  # fmt: skip
    for patient in (ann.patient, bob.patient):
        assert await store.observation_count(ObservationQuery(patients=(patient,))) == 9
    assert await store.observation_count(ObservationQuery()) == 18, "nobody's are no patient's"


def pressures(systolic: int) -> BloodPressure:
    values = (systolic, systolic - 40, systolic - 25, 60)
    return BloodPressure(*map(Decimal, values))


async def test_a_cuff_with_two_buttons_and_a_guest(
    cuff: WatchedCuff, native_place: Place, tmp_path: Path
) -> None:
    """Indexes 1 and 2; 255, and a value that has no index."""
    for minute, user in enumerate((1, 2, 255, None)):
        at = START + timedelta(minutes=minute)
        payload = encode(pressures(120 + minute), at, user=user)
        cuff.store(Stored(at, payload, {}))
    settings = DeviceSettings(identity=cuff.identity_text, profile="cuff")
    async with running_gateway(tmp_path, {"cuff": CUFF}, settings) as run:
        await wait_until(lambda: len(run.outbox.events()) == 4)
    store = await native_place.open()
    ann = await admit(store, device=cuff.identity_text, user=1)
    bob = await admit(store, device=cuff.identity_text, user=2)
    await collect(run.outbox, store)
    assert await stored(native_place) == {1: 4, 2: 4, None: 8}
    assert (await newest(store, ann.patient))["systolic_bp"] == 120
    assert (await newest(store, bob.patient))["systolic_bp"] == 121
    assert await store.observation_count(ObservationQuery()) == 4, "two pressures, two pulses"
