"""How much one client may ask for: requests, and octets of answers, by two token buckets.

What an answer costs is known when it is made, so a bucket may owe: the next request waits until it
owes nothing. Each process counts for itself, without asking anybody: with N workers a client
may get up to N times as much, as the server that accepts connections spreads its own over them.

Errors  FhirError 429 with Retry-After
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from wardlight_cloud.fhir.outcome import FhirError

_CLIENTS_MOST: Final = 4096


@dataclass(frozen=True, slots=True)
class Rate:
    """``per_s`` in the long run, ``burst`` at once."""

    per_s: float
    burst: float


@dataclass(slots=True)
class _Bucket:
    requests: float
    octets: float
    at: float


class ClientLimits:
    """Buckets of clients; those that were asked for longest ago are forgotten, full."""

    def __init__(
        self, requests: Rate, octets: Rate, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._requests = requests
        self._octets = octets
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def admit(self, client: str) -> None:
        """Count a request."""
        bucket = self._filled(client)
        wait_s = max(
            (1 - bucket.requests) / self._requests.per_s, -bucket.octets / self._octets.per_s
        )
        if wait_s > 0:
            text = "You ask for more than one client may; wait as long as Retry-After says."
            headers = {"Retry-After": str(math.ceil(wait_s))}
            raise FhirError(429, "transient", text, headers=headers)
        bucket.requests -= 1

    def charge(self, client: str, octets: int) -> None:
        """Count an answer."""
        self._filled(client).octets -= octets

    def _filled(self, client: str) -> _Bucket:
        now = self._clock()
        bucket = self._buckets.get(client)
        if bucket is None:
            bucket = self._buckets[client] = _Bucket(self._requests.burst, self._octets.burst, now)
            if len(self._buckets) > _CLIENTS_MOST:
                self._buckets.popitem(last=False)
            return bucket
        passed = now - bucket.at
        bucket.requests = min(self._requests.burst, bucket.requests + passed * self._requests.per_s)
        bucket.octets = min(self._octets.burst, bucket.octets + passed * self._octets.per_s)
        bucket.at = now
        self._buckets.move_to_end(client)
        return bucket
