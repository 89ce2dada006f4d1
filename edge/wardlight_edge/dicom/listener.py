"""The listening socket of the DICOM services: connections in, a bounded number of threads.

Who is beyond the limit of associations is told so in the words of the protocol. Who may not knock
(gate.py) is hung up at once.

Errors  TransportError: the port is not free; ConfigError: TLS files that cannot be used
"""

import logging
import socket
import ssl
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

from wardlight_edge.dicom.admission import TOO_MANY, Refusal
from wardlight_edge.dicom.association import Association
from wardlight_edge.dicom.channel import Channel
from wardlight_edge.dicom.gate import Gate
from wardlight_edge.dicom.house import House
from wardlight_edge.dicom.tls import ServerTls
from wardlight_edge.imaging_settings import DicomSettings
from wardlight_shared.errors import TransportError

_log = logging.getLogger(__name__)
_BACKLOG: Final = 64
_GRACE_S: Final = 10.0
_LAST_S: Final = 5.0
_PAUSE_S: Final = 0.5


class Seats:
    """How many associations there are, of all and of each calling AE title."""

    def __init__(self, settings: DicomSettings) -> None:
        self._most = settings.max_associations
        self._most_per_ae = settings.max_per_ae
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, calling_ae: str) -> Callable[[], None] | Refusal:
        """A seat, given back by what is returned; Refusal: none is free."""
        with self._lock:
            if self._taken.total() >= self._most or self._taken[calling_ae] >= self._most_per_ae:
                return TOO_MANY
            self._taken[calling_ae] += 1
        return lambda: self._leave(calling_ae)

    def taken(self) -> int:
        """How many there are now."""
        return self._taken.total()

    def _leave(self, calling_ae: str) -> None:
        with self._lock:
            self._taken[calling_ae] -= 1
            if not self._taken[calling_ae]:
                del self._taken[calling_ae]


class Listener:
    """``with Listener(house, tls) as listener: listener.port``; leaving ends every association."""

    def __init__(self, house: House, tls: ServerTls | None) -> None:
        self._house = house
        self._tls = tls
        self._gate = Gate(house.settings, house.allowed)
        self._socket = _listening(house.settings)
        self.port = int(self._socket.getsockname()[1])
        self._lock = threading.Lock()
        self._threads: dict[threading.Thread, socket.socket] = {}
        self._accepting = threading.Thread(target=self._accept, name="dicom listener", daemon=True)

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._house.stopping.set()
        _drop(self._socket)  # wakes who waits for a connection
        self._accepting.join(_LAST_S)
        self._socket.close()
        self._join(_GRACE_S)
        for connection in self._open():
            _drop(connection)
        self._join(_LAST_S)

    @property
    def is_alive(self) -> bool:
        """Whether connections are accepted."""
        return self._accepting.is_alive()

    def _accept(self) -> None:
        while not self._house.stopping.is_set():
            try:
                connection, address = self._socket.accept()
            except TimeoutError:
                continue
            except OSError as error:
                if self._house.stopping.is_set():
                    return
                # Most likely no descriptor is free: the peer waits in the backlog.
                _log.warning("no connection can be accepted", extra={"reason": str(error.strerror)})
                self._house.stopping.wait(_PAUSE_S)
                continue
            self._serve(connection, str(address[0]))

    def _serve(self, connection: socket.socket, address: str) -> None:
        entered = self._gate.enter(address)
        if isinstance(entered, str):
            self._house.tally.rejected(entered)
            connection.close()
            return
        thread = threading.Thread(
            target=self._run,
            args=(connection, address, entered),
            name="dicom association",
            daemon=True,
        )
        with self._lock:
            self._threads[thread] = connection
        thread.start()

    def _run(self, connection: socket.socket, address: str, has_asked: Callable[[], None]) -> None:
        try:
            self._associate(connection, address, has_asked)
        except Exception as error:  # noqa: BLE001 - supervisor; its text might name a patient
            self._house.tally.aborted("a fault of this program")
            where = traceback.extract_tb(error.__traceback__)[-1]
            extra = {"error": type(error).__name__, "at": f"{where.name}:{where.lineno}"}
            _log.error("an association failed", extra=extra)
        finally:
            connection.close()
            has_asked()
            with self._lock:
                self._threads.pop(threading.current_thread(), None)

    def _associate(
        self, connection: socket.socket, address: str, has_asked: Callable[[], None]
    ) -> None:
        settings = self._house.settings
        certificate = None
        if self._tls is not None:
            try:
                secured = self._secured(connection, self._tls.context())
            except OSError as error:
                reason = f"no TLS ({type(error).__name__})"
                self._house.tally.rejected(reason)
                _log.warning("connection refused", extra={"reason": reason, "address": address})
                return
            certificate = _common_name(secured)
            connection = secured
        channel = Channel(
            connection,
            max_pdu=settings.max_pdu,
            idle_s=settings.idle_timeout_s,
            pdu_s=settings.pdu_timeout_s,
        )
        Association(self._house, channel, address, certificate, has_asked).run()

    def _secured(self, connection: socket.socket, tls: ssl.SSLContext) -> ssl.SSLSocket:
        """Shake hands; all of it within the time that the request has."""
        within_s = self._house.settings.artim_timeout_s
        connection.settimeout(within_s)
        secured = tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with self._lock:
            self._threads[threading.current_thread()] = secured
        late = threading.Timer(within_s, _drop, (secured,))
        late.start()
        try:
            secured.do_handshake()
        except OSError:
            secured.close()
            raise
        finally:
            late.cancel()
        return secured

    def _open(self) -> list[socket.socket]:
        with self._lock:
            return list(self._threads.values())

    def _join(self, within_s: float) -> None:
        end = time.monotonic() + within_s
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))


def _listening(settings: DicomSettings) -> socket.socket:
    host, port = settings.host, settings.port
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        found = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise TransportError(
            f"dicom: {host} port {port} cannot be listened on ({error.strerror}); "
            "set dicom.host and dicom.port, port 0 takes a free one"
        ) from error
    found.settimeout(_PAUSE_S)
    return found


def _drop(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it is gone already


def _common_name(connection: ssl.SSLSocket) -> str | None:
    """CN of the peer's certificate, which its authority has vouched for; None without one."""
    subject: Any = (connection.getpeercert() or {}).get("subject", ())
    names = (pair for part in subject for pair in part)
    return next((str(value) for name, value in names if name == "commonName"), None)
