"""A brake on failures: who fails over and over must wait before it is looked at again.

Counted by the address that asks and the client it says it is, and by the address alone with more
patience, for one may name a client after the other. Each API process counts for itself, in memory.

Source  RFC 6819 4.4.3.6 and 5.1.4.2.3; RFC 6585 4 (429)
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final

from starlette.requests import Request

from wardlight_cloud.smart.assertions import claimed_client
from wardlight_cloud.smart.errors import OAuthError

WINDOW_S: Final = 60.0
FAILURES_MAX: Final = 10
FAILURES_OF_ADDRESS_MAX: Final = 100
_MOST: Final = 10_000
_Key = tuple[str, str | None]


class Brake:
    """``check`` before the work, ``failed`` when it came to nothing."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[_Key, tuple[int, float]] = OrderedDict()

    def check(self, request: Request, form: Mapping[str, str]) -> None:
        """Raises OAuthError 429 with Retry-After."""
        own, address = _who(request, form)
        wait_s = max(
            self._wait_s(own, FAILURES_MAX), self._wait_s(address, FAILURES_OF_ADDRESS_MAX)
        )
        if wait_s > 0:
            headers = {"Retry-After": str(int(wait_s) + 1)}
            text = "Too many requests failed; wait as long as Retry-After says."
            raise OAuthError("slow_down", text, 429, headers)

    def failed(self, request: Request, form: Mapping[str, str]) -> None:
        """Count one failure."""
        for key in _who(request, form):
            count, since = self._failures.pop(key, (0, self._clock()))
            if self._clock() - since >= WINDOW_S:
                count, since = 0, self._clock()
            self._failures[key] = (count + 1, since)
            while len(self._failures) > _MOST:
                self._failures.popitem(last=False)

    def _wait_s(self, key: _Key, most: int) -> float:
        count, since = self._failures.get(key, (0, 0.0))
        return 0.0 if count < most else since + WINDOW_S - self._clock()


def _who(request: Request, form: Mapping[str, str]) -> tuple[_Key, _Key]:
    address = request.client.host if request.client is not None else ""
    name = form.get("client_id") or claimed_client(form.get("client_assertion", ""))
    return (address, name[:256]), (address, None)
