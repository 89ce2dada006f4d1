"""Verification: C-ECHO (PS3.4, annex A)."""

from collections.abc import Callable, Iterator
from typing import Final

from wardlight_edge.dicom.base import Bound, Peer, Reply, Request
from wardlight_edge.dicom.dimse import Field, Status
from wardlight_edge.dicom.negotiation import VERIFICATION

NO_DATA_SET: Final = Bound(0, Status.PROCESSING_FAILURE)


class EchoService:
    """Answers that the gateway is there."""

    sop_classes = frozenset({VERIFICATION})
    bound = NO_DATA_SET

    def answer(
        self, peer: Peer, request: Request, is_cancelled: Callable[[], bool]
    ) -> Iterator[Reply]:
        """One reply."""
        del peer, is_cancelled
        is_echo = request.command.get("CommandField") == Field.C_ECHO
        yield Reply(Status.SUCCESS if is_echo else Status.UNRECOGNIZED_OPERATION)
