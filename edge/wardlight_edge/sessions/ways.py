"""The way to a device: the transport that its settings, profile and session ask for.

Each transport is imported with the first device that needs it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from wardlight_edge.clock import Clock
from wardlight_edge.config import DeviceSettings
from wardlight_edge.sessions.session import Session
from wardlight_edge.sessions.told import SERIAL_NUMBER
from wardlight_edge.transports.base import Transport
from wardlight_shared.errors import ConfigError
from wardlight_shared.profile import Profile

if TYPE_CHECKING:
    from wardlight_edge.sessions.advert_session import AdvertSession
    from wardlight_edge.transports.ble_stack import BleStack


def wired(device: DeviceSettings, profile: Profile, clock: Clock, data_dir: Path) -> Transport:
    """To a serial line or a capture; how far that was played is kept in ``data_dir``."""
    identity = device.identity
    if device.file is not None:
        from wardlight_edge.transports.replay import ReplayTransport

        state = data_dir / "replay" / f"{identity.removeprefix('replay:')}.json"
        return ReplayTransport(identity, device.file, device.speed, state, clock)
    if device.port is None:
        raise ConfigError(f"device {identity}: has neither a port nor a file")
    from wardlight_edge.transports.serial import SerialTransport

    return SerialTransport(identity, device.port, profile, clock)


def advertised(
    identity: str, session: "AdvertSession", stack: "BleStack", clock: Clock
) -> Transport:
    """To a Bluetooth device that is only listened to."""
    from wardlight_edge.transports.ble_adverts import AdvertTransport

    return AdvertTransport(identity, session.kinds, session.silence_s, stack, clock)


def connected(
    device: DeviceSettings,
    profile: Profile,
    session: Session,
    stack: "BleStack",
    clock: Clock,
    *,
    is_unknown: Callable[[], bool],
) -> Transport:
    """To a Bluetooth device that is connected; ``is_unknown`` = it was never used so far."""
    from wardlight_edge.transports.ble_device import BleTransport

    is_bound = device.serial_number is not None or device.bind == "first-use"
    return BleTransport(
        device.identity,
        profile,
        stack,
        session.device_clock,
        clock,
        must_read=(SERIAL_NUMBER,) if is_bound else (),
        is_unknown=is_unknown,
    )
