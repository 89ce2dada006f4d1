"""What all sessions of a gateway share."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from wardlight_edge.clock import Clock
from wardlight_edge.outbox.base import Outbox
from wardlight_edge.sessions.advert_memory import AdvertMemories
from wardlight_edge.sessions.bookmarks import Shelf
from wardlight_edge.sessions.open_streams import OpenStreams
from wardlight_edge.sessions.quarantine import Quarantine
from wardlight_edge.sessions.sealing import Sealer
from wardlight_edge.sessions.waiting_room import Vault


def _nobody(device: str, serial_number: str | None) -> None:
    del device, serial_number


class Gateway(msgspec.Struct, frozen=True):
    """The parts of the gateway a session works with.

    live_until        UTC ms until which somebody watches, or None
    is_clock_trusted  whether a device may be set by the gateway's wall clock
    retry_s           pause before the outbox is asked again after it refused
    adverts           where the memories of advertising devices outlive the process; None = nowhere
    vault             where readings of devices in doubt outlive the process; None = nowhere
    shelf             where bookmarks of stored records outlive the process; None = nowhere
    bound             told the device and the serial number (None = it has none) that it was
                      bound to at its first use
    """

    outbox: Outbox
    clock: Clock
    quarantine: Quarantine
    open_streams: OpenStreams
    live_until: Callable[[], int | None]
    is_clock_trusted: Callable[[], bool]
    retry_s: float = 5.0
    adverts: AdvertMemories | None = None
    vault: Vault | None = None
    shelf: Shelf | None = None
    bound: Callable[[str, str | None], None] = _nobody


def gateway_of(
    data_dir: Path,
    key: bytes | None,
    *,
    outbox: Outbox,
    clock: Clock,
    live_until: Callable[[], int | None],
    is_clock_trusted: Callable[[], bool],
    bound: Callable[[str, str | None], None],
) -> Gateway:
    """A gateway that keeps in ``data_dir`` what is beside the outbox, sealed with its key.

    key  None = nothing that must be sealed is kept
    """
    sealer = None if key is None else Sealer(key)
    cipher = None if sealer is None else (sealer.seal, sealer.open_sealed)
    return Gateway(
        outbox=outbox,
        clock=clock,
        quarantine=Quarantine(data_dir / "quarantine", None if sealer is None else sealer.seal),
        open_streams=OpenStreams(data_dir / "streams.json", clock.boot_id),
        live_until=live_until,
        is_clock_trusted=is_clock_trusted,
        adverts=None if cipher is None else AdvertMemories(data_dir / "adverts", *cipher),
        vault=None if cipher is None else Vault(data_dir / "waiting", *cipher),
        shelf=None if cipher is None else Shelf(data_dir / "bookmarks", *cipher),
        bound=bound,
    )
