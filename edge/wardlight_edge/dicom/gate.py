"""Connections that have not asked for an association yet: from whom, and how many at a time.

A connection costs a thread and a buffer before its peer has said who it is. So an address that no
entry of the allow-list names is hung up at once, and places for those that may knock are counted
apart from the seats of associations, in all and for each address: who only connects and is silent
keeps nobody else out.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from wardlight_edge.dicom.admission import AllowList
from wardlight_edge.imaging_settings import DicomSettings

_log = logging.getLogger(__name__)
_SPARE: Final = 8
_LEAST_PER_ADDRESS: Final = 4
_SAY_AGAIN_S: Final = 60.0
_MOST_NAMED: Final = 256


class Gate:
    """Places for connections until they are associations; any thread may call."""

    def __init__(
        self,
        settings: DicomSettings,
        allowed: AllowList,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._allowed = allowed
        self._now_s = now_s
        self._most = settings.max_associations + _SPARE
        self._most_per_address = max(_LEAST_PER_ADDRESS, settings.max_per_ae)
        self._taken: Counter[str] = Counter()
        self._named: dict[str, float] = {}
        self._lock = threading.Lock()

    def enter(self, address: str) -> Callable[[], None] | str:
        """A place, given back by what is returned, once or more often; or why there is none."""
        objection = self._objection(address)
        if objection is not None:
            self._name(address, objection)
            return objection
        is_here = True

        def leave() -> None:
            nonlocal is_here
            with self._lock:
                if is_here:
                    is_here = False
                    self._taken[address] -= 1
                    self._taken += Counter()  # forget who has none

        return leave

    def _objection(self, address: str) -> str | None:
        if not self._allowed.has_network_of(address):
            return "the address is in no network that is listed"
        with self._lock:
            if self._taken.total() >= self._most:
                return "too many connections without a request"
            if self._taken[address] >= self._most_per_address:
                return "too many connections without a request from one address"
            self._taken[address] += 1
        return None

    def _name(self, address: str, objection: str) -> None:
        """One line a minute of an address, however often it knocks."""
        now_s = self._now_s()
        with self._lock:
            if now_s < self._named.get(address, float("-inf")) + _SAY_AGAIN_S:
                return
            if len(self._named) >= _MOST_NAMED:
                self._named.clear()
            self._named[address] = now_s
        _log.warning("connection hung up", extra={"reason": objection, "address": address})
