"""The demo's devices that only advertise: a thermometer that encrypts, and a Mi scale.

The thermometer says its last value again and again, the scale only for a few seconds after each
weighing, as such devices do. Whoever hears them is not known to them: the ledger says what was
broadcast, never that it was delivered.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from wardlight_lab.bluez import Transmission
from wardlight_lab.devices.advertisers import (
    BATTERY,
    BTHOME,
    SMART_SCALE,
    TEMPERATURE,
    Advertiser,
    BTHomeSensor,
    MiSmartScale,
)
from wardlight_lab.devices.ledger import Ledger
from wardlight_lab.devices.patient import PatientVitals

THERMOMETER: Final = "bthome_thermometer"
SCALE: Final = "mi_scale"
BROADCAST: Final = "broadcast"
AGAIN_S: Final = 2.0
_CHARGE: Final = 91
_THERMOMETER_ADDRESS: Final = "C2:5A:7E:00:01:01"
_SCALE_ADDRESS: Final = "C2:5A:7E:00:05:01"


@dataclass(frozen=True, slots=True)
class Spec:
    """One of them: its kind, its address, whose it is, and when it measures.

    on_air_s  how long it says a value; None = until the next one
    """

    kind: str
    address: str
    patient: str
    first_after_s: float
    every_s: float
    on_air_s: float | None = None


SPECS: Final = (
    Spec(THERMOMETER, _THERMOMETER_ADDRESS, "ward-1", first_after_s=5, every_s=60),
    Spec(SCALE, _SCALE_ADDRESS, "ward-5", first_after_s=12, every_s=45, on_air_s=10),
)

Measure = Callable[[], tuple[bytes, dict[str, str]]]
"""Measures and says it on the air: the payload, and what it means."""


class Advertising:
    """One device and its schedule."""

    def __init__(self, spec: Spec, device: Advertiser, measure: Measure, ledger: Ledger) -> None:
        self.spec = spec
        self.device = device
        self._measure = measure
        self._ledger = ledger

    async def run(self) -> None:
        """Measure now and then, until cancelled."""
        await asyncio.sleep(self.spec.first_after_s)
        while True:
            payload, values = self._measure()
            uuid = BTHOME if self.spec.kind == THERMOMETER else SMART_SCALE
            self._ledger.record(
                self.spec.address, uuid, payload, Transmission(), kind=BROADCAST, values=values
            )
            on_air_s = self.spec.on_air_s or self.spec.every_s
            await asyncio.sleep(on_air_s)
            if self.spec.on_air_s is not None:
                self.device.stop_advertising()
            await asyncio.sleep(self.spec.every_s - on_air_s)


def advertising(key: bytes, ledger: Ledger) -> Sequence[Advertising]:
    """All of them; ``key`` is the bind key of the thermometer."""
    return [
        (_thermometer(spec, key, ledger) if spec.kind == THERMOMETER else _scale(spec, ledger))
        for spec in SPECS
    ]


def _thermometer(spec: Spec, key: bytes, ledger: Ledger) -> Advertising:
    # A second start must not count from 0 again: the gateway would take it for a replay.
    sensor = BTHomeSensor(
        spec.address, "Thermometer", key=key, counter=int(time.time()), interval_s=AGAIN_S
    )
    vitals = PatientVitals(spec.patient)

    def measure() -> tuple[bytes, dict[str, str]]:
        celsius = vitals.temperature(datetime.now(UTC))
        payload = sensor.say((TEMPERATURE, int(celsius * 100)), (BATTERY, _CHARGE))
        return payload, {"body_temperature": str(celsius)}

    return Advertising(spec, sensor, measure, ledger)


def _scale(spec: Spec, ledger: Ledger) -> Advertising:
    scale = MiSmartScale(spec.address, "MI_SCALE", interval_s=AGAIN_S)
    vitals = PatientVitals(spec.patient)

    def measure() -> tuple[bytes, dict[str, str]]:
        kilograms = vitals.weight(datetime.now(UTC))
        payload = scale.weigh(kilograms, datetime.now().astimezone())
        return payload, {"body_weight": str(kilograms)}

    return Advertising(spec, scale, measure, ledger)
