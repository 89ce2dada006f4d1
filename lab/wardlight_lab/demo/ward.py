"""The demo's patients and which emulated device belongs to whom.

The people are invented. Emulated devices name their patient by a label ("ward-1"); the gateway
never learns it: it goes only into the assignment register.
"""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final, Literal
from uuid import UUID, uuid5

from wardlight_lab.demo.advertising import SCALE, THERMOMETER

_NAMESPACE: Final = UUID("6f3b1a54-2f0e-4d0b-9f39-6c1d0e6a7f10")
MRN_SYSTEM: Final = "urn:wardlight:demo:mrn"

PROFILE_BY_KIND: Final = {
    "blood_pressure_cuff": "generic-blood-pressure",
    "pulse_oximeter": "generic-pulse-oximeter",
    "spot_pulse_oximeter": "generic-pulse-oximeter-spot",
    "weight_scale": "generic-weight-scale",
    "heart_rate_strap": "generic-heart-rate",
    "thermometer": "generic-health-thermometer",
    THERMOMETER: "generic-bthome",
    SCALE: "xiaomi-mi-scale",
}


@dataclass(frozen=True, slots=True)
class Person:
    """One invented patient."""

    label: str
    family: str
    given: str
    birth_date: date
    gender: Literal["male", "female", "other", "unknown"]

    @property
    def patient_id(self) -> UUID:
        """The same at every start."""
        return uuid5(_NAMESPACE, self.label)


PEOPLE: Final = (
    Person("ward-1", "Almeida", "Rosa", date(1948, 3, 12), "female"),
    Person("ward-2", "Brandt", "Henning", date(1957, 11, 2), "male"),
    Person("ward-3", "Chaudhry", "Imran", date(1963, 6, 25), "male"),
    Person("ward-4", "Dvořáková", "Lenka", date(1971, 1, 30), "female"),
    Person("ward-5", "Eriksen", "Nora", date(1994, 9, 8), "female"),
)


@dataclass(frozen=True, slots=True)
class DemoDevice:
    """One device of the demo: its settings for the gateway and its owner's label."""

    identity: str
    profile: str
    label: str
    port: str | None = None
    file: Path | None = None
    speed: float = 1.0
    bind_key_file: Path | None = None


def bluetooth(ready: dict[str, Any], bind_key_file: Path | None = None) -> list[DemoDevice]:
    """Devices of the fake Bluetooth process, from its ready line.

    bind_key_file  the key of the thermometer that encrypts, where there is one
    """
    return [
        DemoDevice(
            identity="ble:" + device["address"].replace(":", "").upper(),
            profile=PROFILE_BY_KIND[device["kind"]],
            label=device["patient"],
            bind_key_file=bind_key_file if device["kind"] == THERMOMETER else None,
        )
        for device in ready["devices"]
    ]


def serial(ready: dict[str, Any]) -> list[DemoDevice]:
    """Devices of the serial process, from its ready line."""
    return [
        DemoDevice(
            identity=f"serial:bed-{place}",
            profile=port["profile"],
            label=port["patient"],
            port=port["path"],
        )
        for place, port in enumerate(ready["ports"], 1)
    ]
