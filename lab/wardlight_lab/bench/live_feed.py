"""From bytes notified at the gateway to the clinician's live feed, while somebody watches.

Emulated oximeters notify once a second over the system bus; the gateway, broker, collector and API
are processes of their own; the feed is read as a browser reads it (server-sent events). A sample's
latency is from the emulator's ledger (`sent_at`) to the arrival of its event. While a patient is
watched a 1 Hz sample is a block of its own, so nothing is subtracted for a block's length.
"""

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID, uuid4

from wardlight_cloud.security.tokens import new_token, token_hash
from wardlight_cloud.store.base import Patient
from wardlight_lab.bench.emulated import Emulated, Sent, read_ledger, start_bluetooth
from wardlight_lab.bench.event_stream import events, rows
from wardlight_lab.bench.figures import Aim, Row, quantile
from wardlight_lab.bench.gateway_status import is_connected
from wardlight_lab.bench.http_load import get
from wardlight_lab.bench.setting import Setting, UnfitMachine, Unsound
from wardlight_lab.bench.site import Site, module
from wardlight_lab.supervise import Child

NAME: Final = "live"
_P99: Final = Aim(1, at_least=False)
_GATEWAY: Final = "gw-live"
_METRIC: Final = "pulse_rate_oximeter"
_LONG_AGO: Final = datetime(2000, 1, 1, tzinfo=UTC)
_NEAR_S: Final = 0.5  # samples are a second apart
_FIRST_WITHIN_S: Final = 120.0
_SETTLED_S: Final = 10.0  # until the gateway knows that somebody watches


class Shown(NamedTuple):
    """One sample as it came in the feed."""

    patient: UUID
    measured: float
    arrived: float


def measure(setting: Setting) -> Iterator[Row]:
    """The rows of this measurement."""
    if shutil.which("dbus-daemon") is None:
        raise UnfitMachine("dbus-daemon is missing: apt install dbus")
    oximeters, seconds = setting.size(5, 1), setting.size(120, 5)
    found, sent = asyncio.run(_measure(setting, oximeters, seconds))
    notes = {"samples_sent": sent, "samples_seen": len(found), "oximeters": oximeters}
    what = "bytes notified to live feed"
    yield Row(NAME, f"{what}, p99", "s", (quantile(found, 0.99),), aim=_P99, notes=notes)
    yield Row(NAME, f"{what}, p50", "s", (quantile(found, 0.5),))


async def _measure(setting: Setting, oximeters: int, seconds: int) -> tuple[list[float], int]:
    """Seconds from sending to arrival of each sample, and how many were sent."""
    async with AsyncExitStack() as stack:
        site = await stack.enter_async_context(Site(setting.folder, gateways=[_GATEWAY]))
        await site.start_database()
        await site.start_broker()
        bus_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wardlight-")))
        kinds = [("pulse_oximeter", f"bed-{place}") for place in range(oximeters)]
        radio = await start_bluetooth(site, bus_dir, kinds)
        patients, token = await _register(site, radio)
        await site.start_collector()
        await site.start_api()
        await _start_gateway(site, radio)
        shown: list[Shown] = []
        async with _watching(site.http_port, token, patients.values(), shown):
            setting.say("waiting for the first samples")
            await _first(shown, oximeters)
            await asyncio.sleep(_SETTLED_S if seconds > _SETTLED_S else 2.0)
            begins = time.time()
            setting.say(f"{oximeters} oximeters for {seconds} s")
            await asyncio.sleep(seconds)
            ends = time.time()
            await asyncio.sleep(2.0)
    sent = [one for one in read_ledger(radio.ledger) if begins <= one.at < ends]
    return waits(sent, shown, patients), len(sent)


async def _register(site: Site, radio: Emulated) -> tuple[dict[str, UUID], str]:
    """Patients by device identity, and a token for the feed."""
    store = await site.open_store()
    token = new_token()
    patients = {device.identity: uuid4() for device in radio.devices}
    try:
        await store.put_client("bench", token_hash(token), ("system/*.rs",))
        for identity, patient_id in patients.items():
            await store.put_patient(
                Patient(patient_id, "Family", "Given", None, "unknown", (), 0, _LONG_AGO)
            )
            device = await store.put_device(identity, gateway=_GATEWAY)
            await store.assign(device, patient_id, user=None, valid_from=_LONG_AGO)
    finally:
        await store.close()
    return patients, token


async def _start_gateway(site: Site, radio: Emulated) -> None:
    file = site.gateway_toml(_GATEWAY, radio.devices, ["hci0"])

    async def is_ready() -> bool:
        return await is_connected(file.parent / "data")

    command = module("wardlight_edge", "run", "--config", file)
    await site.start(Child(name="gateway", command=command, env=radio.environment, ready=is_ready))


@asynccontextmanager
async def _watching(
    port: int, token: str, patients: Iterable[UUID], shown: list[Shown]
) -> AsyncIterator[None]:
    """Watch all patients, each over a connection of its own, as open dashboard pages do."""
    tasks = [
        asyncio.create_task(_watch(port, token, patient, shown), name=f"watching {place}")
        for place, patient in enumerate(patients)
    ]
    try:
        yield
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _watch(port: int, token: str, patient: UUID, shown: list[Shown]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(get(f"/api/v1/live?patient={patient}", token))
        async for event in events(reader):
            arrived = time.time()
            for row in rows(event):
                if row["metric"] == _METRIC and row["value"] is not None:
                    measured = datetime.fromisoformat(row["time"]).timestamp()
                    shown.append(Shown(patient, measured, arrived))
    finally:
        writer.close()


async def _first(shown: list[Shown], devices: int) -> None:
    """Return when every device has been seen. Errors: TimeoutError."""
    async with asyncio.timeout(_FIRST_WITHIN_S):
        while len({one.patient for one in shown}) < devices:  # noqa: ASYNC110 - a list has no event
            await asyncio.sleep(0.1)


def waits(sent: list[Sent], shown: list[Shown], patients: Mapping[str, UUID]) -> list[float]:
    """Seconds from sending to the first arrival of each sample that was seen.

    A slow browser gets fewer updates, never old ones, so a few may be missing.
    Errors  Unsound: more than one of ten was not seen
    """
    by_patient: dict[UUID, list[Shown]] = {}
    for one in shown:
        by_patient.setdefault(one.patient, []).append(one)
    found = []
    for sample in sent:
        candidates = by_patient.get(patients[sample.identity], [])
        near = [one for one in candidates if abs(one.measured - sample.at) < _NEAR_S]
        if near:
            found.append(min(one.arrived for one in near) - sample.at)
    if len(found) < 0.9 * len(sent):
        raise Unsound(f"{len(found)} of {len(sent)} samples were seen in the live feed")
    return found
