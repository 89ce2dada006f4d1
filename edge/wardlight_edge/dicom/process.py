"""Composition root of the imaging process: spool, services, listener; started, fed and stopped.

A process of its own: a study of 500 MB must not delay a heartbeat of vitals. Before this module is
imported numpy is made unfindable (``cli/imaging.py``): pydicom would load it for pixels, which
nobody looks at here, and it takes half of the memory.

Stopping: no new association, those between two objects are aborted, an object that is being sent
has ten seconds to end. The same happens when the spool's database turns out to be damaged: it is
set aside and made again from the files, as at a start, and the services go on.
"""

import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import msgspec

from wardlight_edge import imaging_health, imaging_status
from wardlight_edge.clock import SystemClock
from wardlight_edge.config import Settings
from wardlight_edge.dicom import tls
from wardlight_edge.dicom.admission import AllowList
from wardlight_edge.dicom.echo import EchoService
from wardlight_edge.dicom.house import House
from wardlight_edge.dicom.listener import Listener, Seats
from wardlight_edge.dicom.negotiation import Acceptable
from wardlight_edge.dicom.services import open_services, told
from wardlight_edge.dicom.tally import Tally
from wardlight_edge.health import memory_bytes
from wardlight_edge.imaging_settings import DicomSettings
from wardlight_edge.imaging_status import ImagingStatus
from wardlight_edge.outbox.key import read_or_make
from wardlight_edge.sd_notify import SystemdNotifier
from wardlight_edge.spool.age import Age
from wardlight_edge.spool.counts import spool_counts
from wardlight_edge.spool.opening import (
    aside_files,
    is_suspect,
    open_receiving,
)
from wardlight_edge.spool.receiving import SqliteReceivingSpool
from wardlight_edge.spool.setting_aside import databases_aside
from wardlight_shared.errors import StorageError

_log = logging.getLogger(__name__)
_FORGET_EVERY_S: Final = 3600.0
_DAY_MS: Final = 86_400_000
_WELL_BELOW: Final = 0.05


def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code."""
    stopping, life = threading.Event(), [threading.Event()]

    def stop(*_: object) -> None:
        stopping.set()
        life[0].set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    for library in ("pynetdicom", "pydicom"):  # they write names and UIDs
        logging.getLogger(library).setLevel(logging.CRITICAL)
    with ExitStack() as rebuilding:
        while not stopping.is_set():
            with serving(settings, life[0]) as imaging:
                rebuilding.close()
                imaging.work()
                if stopping.is_set():
                    _log.info("stopping")
                    SystemdNotifier().stopping()
                else:
                    rebuilding.enter_context(_rebuilding(imaging))
            life[0] = threading.Event()
            dicom = msgspec.structs.replace(settings.dicom, port=imaging.port)
            settings = msgspec.structs.replace(settings, dicom=dicom)
    imaging_status.remove(settings.data_dir)
    return 0


@contextmanager
def _rebuilding(imaging: "Imaging") -> Iterator[None]:
    """While a spool is made again, which may take minutes: it is told, and the watchdog fed."""
    notifier, over = SystemdNotifier(), threading.Event()

    def tell() -> None:
        interval_s = min(imaging_status.EVERY_S, notifier.watchdog_interval_s or 60.0)
        while not over.wait(interval_s):
            imaging.tell_unusable("its database is damaged and is made again from the files")
            notifier.alive("the spool is made again")

    teller = threading.Thread(target=tell, name="spool is made again", daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()


@contextmanager
def serving(settings: Settings, stopping: threading.Event) -> Iterator["Imaging"]:
    """The DICOM services of these settings, while the context lasts."""
    dicom = settings.dicom
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = read_or_make(settings.key_file or settings.data_dir / "outbox.key")
    certificates = dicom.tls
    server = None if certificates is None else tls.ServerTls(certificates)
    client = None if certificates is None else lambda: tls.client_context(certificates)
    with ExitStack() as stack:
        spool = stack.enter_context(open_receiving(settings.data_dir, key, dicom))
        tally = Tally()
        opened = stack.enter_context(
            open_services(dicom, spool, SystemClock(), tls=client, refused=tally.refused)
        )
        by_class = {
            sop_class: service
            for service in (EchoService(), *opened.services)
            for sop_class in service.sop_classes
        }
        seats = Seats(dicom)
        house = House(
            settings=dicom,
            spool=spool,
            services=by_class,
            allowed=AllowList(dicom),
            acceptable=Acceptable(dicom.private_storage_classes, by_class),
            tally=tally,
            commitments=opened.commitments,
            seats=seats.take,
            stopping=stopping,
        )
        listener = stack.enter_context(Listener(house, server))
        port_file = settings.data_dir / "dicom.port"
        port_file.write_text(f"{listener.port}\n", encoding="ascii")
        stack.callback(port_file.unlink, missing_ok=True)
        _tell(dicom, listener.port)
        yield Imaging(settings, house, listener, seats, spool, opened.age)


class Imaging:
    """The running services."""

    def __init__(
        self,
        settings: Settings,
        house: House,
        listener: Listener,
        seats: Seats,
        spool: SqliteReceivingSpool,
        age: Age,
    ) -> None:
        self._settings = settings
        self._house = house
        self._listener = listener
        self._seats = seats
        self._spool = spool
        self._age = age
        self._started_ms = _now_ms()
        self._forget_at = time.monotonic()
        self._last: ImagingStatus | None = None
        self._is_warned = False
        self.port = listener.port

    def work(self) -> None:
        """Tell status, feed the watchdog and forget what is old.

        Until it has to stop, or the spool's database is damaged and has to be made again.
        """
        notifier = SystemdNotifier()
        notifier.ready(self._sentence())
        interval_s = min(imaging_status.EVERY_S, notifier.watchdog_interval_s or 60.0)
        while self._listener.is_alive:
            self._beat()
            if is_suspect(self._spool.database):
                _log.error("the spool's database is damaged or gone: it is looked at anew")
                return
            notifier.alive(self._sentence())
            if self._house.stopping.wait(interval_s):
                return
        raise RuntimeError("the listener ended")

    def tell_unusable(self, why: str) -> None:
        """Status of a spool that cannot be used now; counts are those of before."""
        dicom = self._settings.dicom
        last = self._last or ImagingStatus(
            port=self.port, started_ms=self._started_ms, updated_ms=0, memory_bytes=0, free_bytes=0,
            quota_bytes=dicom.quota_bytes,
        )  # fmt: skip
        self._write(msgspec.structs.replace(last, updated_ms=_now_ms(), spool_error=why))

    def _beat(self) -> None:
        try:
            self._last = self.status()
            self._write(self._last)
            self._warn(self._last)
            if time.monotonic() >= self._forget_at:
                self._forget_at = time.monotonic() + _FORGET_EVERY_S
                self._spool.database.check()
                with self._age.held() as now_ms:
                    self._spool.forget(now_ms, self._settings.dicom.keep_days * _DAY_MS)
        except (OSError, StorageError) as error:
            _log.warning("the disk refuses", extra={"reason": str(error)})
            self.tell_unusable(str(error))

    def _write(self, status: ImagingStatus) -> None:
        try:
            imaging_status.write(self._settings.data_dir, status)
        except OSError as error:
            _log.warning("the status cannot be written", extra={"reason": str(error.strerror)})

    def _warn(self, status: ImagingStatus) -> None:
        """Once, when the quota is nearly used up; again after it was well below."""
        used = status.disk_bytes / status.quota_bytes
        if used >= imaging_health.WARN and not self._is_warned:
            self._is_warned = True
            _log.warning(
                "the quota for images is nearly used up", extra={"percent": int(used * 100)}
            )
        elif used < imaging_health.WARN - _WELL_BELOW:
            self._is_warned = False

    def status(self) -> ImagingStatus:
        """What is told to the rest of the gateway."""
        dicom = self._settings.dicom
        held = spool_counts(self._spool.database)
        return ImagingStatus(
            port=self.port,
            started_ms=self._started_ms,
            updated_ms=_now_ms(),
            memory_bytes=memory_bytes(),
            free_bytes=max(0, self._spool.room.free_bytes() - dicom.min_free_bytes),
            quota_bytes=dicom.quota_bytes,
            open=self._seats.taken(),
            disk_bytes=held.disk_bytes,
            waiting=held.waiting,
            waiting_bytes=held.waiting_bytes,
            oldest_ms=held.oldest_ms,
            rejected=held.refused,
            damaged=held.damaged,
            cloud_aside=held.cloud_aside,
            aside=aside_files(self._settings.data_dir),
            databases_aside=len(databases_aside(self._settings.data_dir)),
            **msgspec.structs.asdict(self._house.tally.counts()),
            **told(dicom, self._spool, SystemClock()),
        )

    def _sentence(self) -> str:
        counts = self._house.tally.counts()
        return f"{self._seats.taken()} associations, {counts.stored} objects since the start"


def _tell(dicom: DicomSettings, port: int) -> None:
    extra = {"host": dicom.host, "port": port, "peers": len(dicom.peers)}
    _log.info("DICOM services listen", extra=extra)
    if dicom.admit_loopback:
        _log.warning(
            "dicom.admit_loopback: any calling AE title is admitted from this machine; "
            "for demonstrations only"
        )
    elif not dicom.peers:
        _log.warning("no [[dicom.peer]] is listed: nobody is admitted")
    if dicom.tls is None and not dicom.host.startswith(("127.", "::1", "localhost")):
        _log.warning("DICOM without TLS: images and names cross the network in the clear")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
