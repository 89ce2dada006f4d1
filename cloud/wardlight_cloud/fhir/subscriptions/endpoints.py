"""Where notices may be sent: https, at public addresses and in networks that are allowed.

Errors  BadEndpointError (a ValueError): a sentence for the subscriber
"""

import asyncio
import ssl
from typing import Final
from urllib.parse import SplitResult

from wardlight_cloud.fhir.subscriptions.ports import Bounds
from wardlight_cloud.security import outgoing
from wardlight_cloud.security.outgoing import Fault, Reach, RefusedAddressError

_WORDS: Final = {
    Fault.NO_ADDRESS: "it is no address",
    Fault.USER_OR_FRAGMENT: "it has a user, a password or a fragment",
    Fault.NOT_HTTPS: "notices are sent by https only",
    Fault.NOT_PUBLIC: (
        "its address is not public; the operator can allow its network in subscriptions.networks"
    ),
}


class BadEndpointError(ValueError):
    """An address that nothing is sent to."""


def check_endpoint(url: str, bounds: Bounds) -> SplitResult:
    """The parts of an address that may be sent to, as far as it shows without looking it up."""
    reach = _reach(bounds)
    try:
        parts = outgoing.check(url, reach)
        outgoing.check_number(parts, reach)
    except RefusedAddressError as error:
        raise BadEndpointError(_WORDS[error.fault]) from error
    return parts


async def connected(
    parts: SplitResult, bounds: Bounds, context: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to an endpoint that was checked; OSError where nobody answers."""
    try:
        return await outgoing.connected(parts, _reach(bounds), context)
    except RefusedAddressError as error:
        raise BadEndpointError(_WORDS[error.fault]) from error


def _reach(bounds: Bounds) -> Reach:
    return Reach(bounds.networks, bounds.on_this_machine)
