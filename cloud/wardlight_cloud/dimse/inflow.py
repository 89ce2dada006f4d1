"""What a caller may send: PDUs of our maximum, requests of a megabyte, each within its time.

pynetdicom reads as many octets as a PDU says it has, and waits for them for ever. Here its socket
gives up instead: to it, and to its state machine, the connection is lost then.
Source  PS3.8 9.3 (PDU length), 9.1.5 (ARTIM)
"""

import socket
import time
from typing import Final

from pynetdicom.association import Association

from wardlight_cloud.dimse.metrics import CUT_OFF

LARGEST_REQUEST: Final = 1024 * 1024
_PIECE: Final = 64 * 1024


class Inflow:
    """Stands before the socket of one association."""

    def __init__(self, assoc: Association, *, timeout_s: float) -> None:
        held = assoc.dul.socket
        if held is None or held.socket is None:
            raise ConnectionError("the connection is gone")
        self._socket: socket.socket = held.socket
        self._timeout_s = timeout_s
        self._octets = 0
        self._socket.settimeout(timeout_s)
        vars(held)["recv"] = self.recv

    def message_ended(self) -> None:
        """A whole message was understood: what comes belongs to the next one."""
        self._octets = 0

    def recv(self, count: int) -> bytearray:
        """``count`` octets, fewer where the peer has hung up; OSError where it sends too much."""
        self._octets += count
        if self._octets > LARGEST_REQUEST:
            CUT_OFF.inc()
            self._socket.close()
            raise ConnectionAbortedError("a request without end")
        deadline = time.monotonic() + self._timeout_s
        found = bytearray()
        try:
            while len(found) < count:
                self._socket.settimeout(max(0.001, deadline - time.monotonic()))
                piece = self._socket.recv(min(_PIECE, count - len(found)))
                if not piece:
                    break
                found += piece
        except TimeoutError:
            CUT_OFF.inc()
            self._socket.close()
            raise
        self._socket.settimeout(self._timeout_s)
        return found
