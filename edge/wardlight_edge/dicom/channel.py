"""One connection of an association: PDUs in and out of a socket, with every wait bounded.

TCP_NODELAY, and TCP_QUICKACK armed anew before each read: a sender that leaves Nagle's algorithm on
(the default of DCMTK) otherwise waits up to 40 ms for the delayed acknowledgement of each object.

An association may rest for a quarter of an hour, and keeps its seat meanwhile. A peer that is gone
without a word (out of reach of the radio, switched off) answers no probe of TCP and is hung up
within a minute, so that it can come back before its seats are all taken.

Errors  PduError: what the peer sent; ChannelError: it is gone; Silence: silent for too long
"""

import select
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from typing import Final

from wardlight_edge.dicom.pdu import HEAD_BYTES, PduReader
from wardlight_shared.errors import TransportError

_TICK_S: Final = 0.5
_PROBED: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)


class ChannelError(TransportError):
    """The peer hung up or does not go on."""


class Silence(ChannelError):
    """The peer is there and sends nothing."""


class Channel:
    """A connected socket.

    idle_s  without any octet; ``pdu_s``: from the first octet of a PDU to its last
    """

    def __init__(
        self, connection: socket.socket, *, max_pdu: int, idle_s: float, pdu_s: float
    ) -> None:
        self._socket = connection
        self._idle_s = idle_s
        self._pdu_s = pdu_s
        self._reader = PduReader(max_pdu)
        self.received_bytes = 0
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for level, option, value in _PROBED:
            connection.setsockopt(level, option, value)
        connection.settimeout(_TICK_S)

    def next_pdu(
        self,
        *,
        within_s: float | None = None,
        idle_s: float | None = None,
        is_over: Callable[[], bool] = lambda: False,
    ) -> tuple[int, memoryview] | None:
        """The next PDU; None where ``is_over`` became true before its first octet.

        within_s  it must be whole by then; ``idle_s``: its first octet must come by then, None = as
                  the channel has it
        """
        pdu = self._reader.take()
        if pdu is not None:
            return pdu
        has_begun = self._reader.has_begun
        limit = time.monotonic() + (
            within_s or (self._pdu_s if has_begun else idle_s or self._idle_s)
        )
        while True:
            if self._receive() and (pdu := self._reader.take()) is not None:
                return pdu
            if self._reader.has_begun and not has_begun and within_s is None:
                has_begun, limit = True, time.monotonic() + self._pdu_s
            if not has_begun and is_over():
                return None
            if time.monotonic() > limit:
                raise Silence("the peer is silent for too long")

    def poll(self) -> tuple[int, memoryview] | None:
        """A PDU that is there already."""
        pending = isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0
        if pending or select.select([self._socket], [], [], 0)[0]:
            self._receive()
        return self._reader.take()

    def send(self, pdus: Iterable[bytes]) -> None:
        """Send PDUs; the peer must take each of them within the idle time."""
        self._socket.settimeout(self._idle_s)
        try:
            for pdu in pdus:
                self._socket.sendall(pdu)
        except OSError as error:
            raise ChannelError(f"the peer takes no answer ({error})") from error
        finally:
            self._socket.settimeout(_TICK_S)

    def close(self, *, linger_s: float = 0.0) -> None:
        """Close; with ``linger_s`` the peer may hang up first, as PS3.8 9.1.4 wants it."""
        end = time.monotonic() + linger_s
        try:
            while time.monotonic() < end and self._socket.recv(HEAD_BYTES):
                pass
        except OSError:
            pass  # silent, or gone: it is closed either way
        self._socket.close()

    def _receive(self) -> int:
        """Receive what is there, for a tick at most; 0 = nothing."""
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        try:
            count = self._socket.recv_into(self._reader.room())
        except TimeoutError:
            return 0
        except OSError as error:
            raise ChannelError(f"the connection broke ({type(error).__name__})") from error
        if not count:
            raise ChannelError("the peer hung up")
        self._reader.received(count)
        self.received_bytes += count
        return count
