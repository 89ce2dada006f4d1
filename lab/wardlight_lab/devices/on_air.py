"""The devices of a scenario on a fake org.bluez, with their control and their ledger."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from wardlight_lab.bluez import FakeBluez
from wardlight_lab.devices.control import PATH, Control
from wardlight_lab.devices.ledger import Ledger
from wardlight_lab.devices.scenario import Scenario, build


@dataclass(frozen=True, slots=True)
class OnAir:
    """What runs.

    shown  for each device what a reader of the ready line needs: address, kind, name, patient
    """

    bluez: FakeBluez
    ledger: Ledger
    shown: list[dict[str, str]]


@asynccontextmanager
async def on_air(
    scenario: Scenario, *, state_dir: Path | None, bus_dir: Path | None, ledger: Path | None
) -> AsyncIterator[OnAir]:
    """Until the block ends. Errors: EmulationError."""
    with Ledger(ledger) as account:
        async with FakeBluez(
            scenario.adapters, state_dir=state_dir, bus_dir=bus_dir, timing=scenario.durations
        ) as bluez:
            devices = build(scenario, account)
            for device in devices:
                bluez.add(device)
            bluez.export(PATH, Control(bluez, devices).interface())
            shown = [
                {
                    "address": device.address,
                    "kind": spec.kind,
                    "name": device.name,
                    "patient": spec.patient,
                }
                for spec, device in zip(scenario.device, devices, strict=True)
            ]
            yield OnAir(bluez, account, shown)
