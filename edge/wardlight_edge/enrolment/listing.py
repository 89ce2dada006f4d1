"""``wardlight-edge devices list``: every device in a row, with a gateway that runs or without."""

from collections.abc import Iterable, Mapping
from datetime import date

import msgspec

from wardlight_edge.config import DeviceSettings
from wardlight_edge.enrolment.calibration import Calibration, calibration_of
from wardlight_edge.enrolment.register import Register
from wardlight_edge.health import DeviceSnapshot
from wardlight_edge.status.views import age_text, calibration_text, columns
from wardlight_shared.profile import Profile

HEADINGS = (
    "device", "profile", "from", "state", "bond", "serial", "last seen", "battery", "calibration",
)  # fmt: skip


class Row(msgspec.Struct, frozen=True):
    """One device. None = not known, or, of ``bond`` and ``serial_known``, that it needs none.

    state  None: the gateway does not run
    bond   the adapter that holds the bond, "" = none yet
    """

    identity: str
    profile: str
    origin: str
    state: str | None
    bond: str | None
    serial_known: bool | None
    last_seen_s: int | None
    battery_percent: int | None
    calibration_due: date | None
    calibration: Calibration | None


def of_gateway(devices: Iterable[DeviceSnapshot]) -> list[Row]:
    """From the status of a running gateway; LAN ports are no devices."""
    return [
        Row(
            identity=each.identity,
            profile=each.profile,
            origin=each.origin,
            state=each.state,
            bond=each.bond,
            serial_known=each.knows_serial,
            last_seen_s=None if each.heard_age_s is None else int(each.heard_age_s),
            battery_percent=each.battery_percent,
            calibration_due=each.calibration_due,
            calibration=each.calibration,
        )
        for each in devices
        if not each.identity.startswith("lan:")
    ]


def of_register(
    register: Register,
    profiles: Mapping[str, Profile],
    bonds: Mapping[str, str],
    today: date,
) -> list[Row]:
    """From the files; ``bonds`` are the adapters by address."""
    return [
        Row(
            identity=each.identity,
            profile=each.profile,
            origin=register.origin(each.identity).value,
            state=None,
            bond=_bond(each, profiles[each.profile], bonds),
            serial_known=each.serial_number is not None if _is_ble(each) else None,
            last_seen_s=None,
            battery_percent=None,
            calibration_due=each.calibration_due,
            calibration=calibration_of(each.calibration_due, today),
        )
        for each in register.devices
    ]


def table(rows: Iterable[Row]) -> str:
    """For a terminal."""
    cells = [_cells(row) for row in rows]
    if not cells:
        return "no devices are enrolled: `wardlight-edge devices add` enrols one\n"
    return "\n".join(columns([HEADINGS, *cells])) + "\n"


def _cells(row: Row) -> tuple[str, ...]:
    serial = {None: "-", True: "known", False: "not known"}[row.serial_known]
    return (
        row.identity,
        row.profile,
        row.origin,
        row.state or "-",
        "-" if row.bond is None else row.bond or "none",
        serial,
        "-" if row.state is None else age_text(row.last_seen_s),
        "-" if row.battery_percent is None else f"{row.battery_percent} %",
        calibration_text(row.calibration_due, row.calibration) or "-",
    )


def _bond(device: DeviceSettings, profile: Profile, bonds: Mapping[str, str]) -> str | None:
    ble = profile.transport.ble
    if not _is_ble(device) or ble is None or not ble.bond:
        return None
    digits = device.identity.removeprefix("ble:")
    return bonds.get(":".join(digits[at : at + 2] for at in range(0, 12, 2)), "")


def _is_ble(device: DeviceSettings) -> bool:
    return device.identity.startswith("ble:")
