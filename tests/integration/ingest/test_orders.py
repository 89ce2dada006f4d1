"""An order from the cloud to the modality and back: worklist, step, image, commitment.

Real are the database, the broker, the collector and the imaging process of the gateway; what a
modality does is done by pynetdicom.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from support.collector_world import CollectorWorld
from support.dicom_services import ImagingProcess
from support.imaging_gateway import delivering
from support.modality import Modality, begun, ended
from support.waiting import wait_until
from wardlight_cloud.imaging.orders import OrderedStep, data_set_of, new_entry
from wardlight_cloud.security.ca import CertificateAuthority
from wardlight_cloud.security.roles import Role
from wardlight_cloud.store.base import Store
from wardlight_cloud.store.orders import EntryState, StepStatus
from wardlight_edge.config import UplinkSettings
from wardlight_lab.broker import Broker, NatsServer

GATEWAY = "gw-test-1"
COLLECTOR = "collector-1"
pytestmark = pytest.mark.parametrize("broker", [NatsServer], indirect=True, ids=["nats"])
ORDERED = OrderedStep(
    accession="A1", name="Doe^Jane", patient_id="P1", modality="OT", station_ae="CT1",
    start="20260102 080000", study_uid="1.2.3",
)  # fmt: skip


def settings_of(authority: CertificateAuthority, broker: Broker) -> UplinkSettings:
    own = authority.ensure_client(GATEWAY, Role.GATEWAY)
    return UplinkSettings(
        host="127.0.0.1", port=broker.port, ca_file=own.authority, cert_file=own.certificate,
        key_file=own.key, ack_timeout_s=2.0,
    )  # fmt: skip


@asynccontextmanager
async def _gateway(
    folder: Path, settings: UplinkSettings
) -> AsyncIterator[tuple[ImagingProcess, Modality]]:
    """A gateway with its modality; the uplink runs as well."""
    modality = Modality("CT1")
    imaging = ImagingProcess(
        folder,
        f"""
min_free_bytes = 0
[[dicom.peer]]
calling_ae = "CT1"
networks = ["127.0.0.1"]
report_host = "127.0.0.1"
report_port = {modality.port}
""",
    )
    await asyncio.to_thread(imaging.start)
    modality.gateway_port = imaging.port
    try:
        async with delivering(imaging.data_dir, settings, GATEWAY):
            yield imaging, modality
    finally:
        modality.close()
        await asyncio.to_thread(imaging.stop)


async def _list(modality: Modality) -> list[str]:
    return await asyncio.to_thread(modality.worklist)


async def _is_done(store: Store) -> bool:
    return any(step.status is StepStatus.COMPLETED for step in await store.steps())


async def test_an_order_goes_to_the_modality_and_comes_back_done(
    world: CollectorWorld, authority: CertificateAuthority, broker: Broker, tmp_path: Path
) -> None:
    store = await world.open_store()
    await store.put_entries([new_entry(data_set_of(ORDERED), [GATEWAY])])
    world.start(COLLECTOR)
    async with _gateway(tmp_path / "gw", settings_of(authority, broker)) as (_, modality):

        async def listed(*accessions: str) -> bool:
            return await _list(modality) == list(accessions)

        await wait_until(lambda: listed("A1"), 60, "the order is on the modality's worklist")
        other = data_set_of(ORDERED)
        other.AccessionNumber = "A2"
        await store.put_entries([new_entry(other, [GATEWAY])])
        await wait_until(lambda: listed("A1", "A2"), 60, "a later order is pushed")
        step, image = generate_uid(), generate_uid()
        assert await asyncio.to_thread(modality.create_step, step, begun()) == 0
        assert await asyncio.to_thread(modality.store, image) == 0
        transaction, status = await asyncio.to_thread(modality.ask_commitment, image)
        assert status == 0
        assert await asyncio.to_thread(modality.set_step, step, ended()) == 0
        told = await wait_until(lambda: modality.report_of(transaction), 60, "a report")
        assert told == (1, [image], {})
        assert image in await store.receipts([image]), "committed is what the cloud has"
        await wait_until(lambda: _is_done(store), 60, "the step is known to be done")
        await wait_until(lambda: listed("A2"), 60, "and off the list")
        states = {each.accession: each.state for each in await store.entries(everything=True)}
        assert states == {"A1": EntryState.COMPLETED, "A2": EntryState.SCHEDULED}
    await store.close()


async def test_steps_taken_while_the_collector_is_away_arrive_in_order(
    world: CollectorWorld, authority: CertificateAuthority, broker: Broker, tmp_path: Path
) -> None:
    store = await world.open_store()
    async with _gateway(tmp_path / "gw", settings_of(authority, broker)) as (imaging, modality):
        steps = [generate_uid() for _ in range(3)]
        for step in steps:
            assert await asyncio.to_thread(modality.create_step, step, begun()) == 0
        change = Dataset()
        change.PerformedProcedureStepDescription = "half way"
        assert await asyncio.to_thread(modality.set_step, steps[0], change) == 0
        await asyncio.to_thread(imaging.kill)
        await asyncio.to_thread(imaging.start)
        modality.gateway_port = imaging.port
        assert await asyncio.to_thread(modality.set_step, steps[0], ended()) == 0
        assert await asyncio.to_thread(modality.set_step, steps[1], ended("DISCONTINUED")) == 0
        assert await store.steps() == ()
        world.start(COLLECTOR)
        await wait_until(lambda: _counts(store, 6), 60, "all events have arrived")
        events = [event.number for event in await store.step_events(steps[0])]
        assert events == [1, 2, 3]
        found = {step.sop_uid: step.status for step in await store.steps()}
        assert [found[step] for step in steps] == [
            StepStatus.COMPLETED, StepStatus.DISCONTINUED, StepStatus.IN_PROGRESS,
        ]  # fmt: skip
    await store.close()


async def _counts(store: Store, events: int) -> bool:
    return sum(step.events for step in await store.steps()) == events
