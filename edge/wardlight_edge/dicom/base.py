"""What the services of the imaging process and its associations know of one another.

C-STORE is not among them: its data set goes to the spool as it comes, fragment by fragment. Every
other request is small; it is read whole, answered by the service of its SOP class, and its replies
go out one by one. A service runs in the thread of its association.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

import msgspec
from pydicom.dataset import Dataset


class Peer(msgspec.Struct, frozen=True):
    """Who is at the other end. ``certificate`` is the common name of its TLS certificate.

    association    its number in this process; 0 = none
    takes_reports  it has said by role selection that it is the SCU of storage commitment on this
                   association, so that reports can come on it (PS3.7, D.3.3.4)
    """

    calling_ae: str
    called_ae: str
    address: str
    certificate: str | None = None
    association: int = 0
    takes_reports: bool = False


class Request(msgspec.Struct, frozen=True):
    """One DIMSE request: its command set (group 0000) and encoded data set, where it has one."""

    abstract_syntax: str
    transfer_syntax: str
    command: Dataset
    data_set: bytes | None


class Reply(msgspec.Struct, frozen=True):
    """One response of a request.

    status    PS3.7, annex C; 0xFF00 and 0xFF01: more replies follow
    data_set  sent with it, encoded with the request's transfer syntax by the association
    command   further elements of the response's command set (Error Comment, Affected SOP ...)
    """

    status: int
    data_set: Dataset | None = None
    command: Dataset | None = None


class Bound(msgspec.Struct, frozen=True):
    """The largest data set of a request, in octets, and the status that a larger one gets."""

    octets: int
    status: int


class Service(Protocol):
    """Answers the requests of some SOP classes."""

    sop_classes: frozenset[str]
    bound: Bound

    def answer(
        self, peer: Peer, request: Request, is_cancelled: Callable[[], bool]
    ) -> Iterator[Reply]:
        """The replies of one request, the last one with a final status.

        ``is_cancelled`` becomes true with a C-CANCEL of the request. What a service raises is
        logged without content and answered with 0x0110 (processing failure).
        """
