"""C-MOVE and C-GET: handlers that pynetdicom's Query/Retrieve services run.

pynetdicom counts the sub-operations, sends a Pending response after each, and lists the failed
UIDs in the last one; we say which instances, where to, and send each (sending.py). What cannot be
sent counts as failed, and its reason is logged.
Source  PS3.4 C.4.2 and C.4.3
"""

import logging
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from pydicom.dataset import Dataset
from pynetdicom.events import Event

from wardlight_cloud.dimse.callers import caller_of, receiver_at
from wardlight_cloud.dimse.entity import Entity, contexts_for, destination
from wardlight_cloud.dimse.find import (
    CANCELLED,
    DOES_NOT_FIT,
    OUT_OF_RESOURCES,
    UNABLE_TO_PROCESS,
    refusal,
)
from wardlight_cloud.dimse.loop_thread import LoopCalls
from wardlight_cloud.dimse.matching import IdentifierError
from wardlight_cloud.dimse.nodes import Nodes
from wardlight_cloud.dimse.patients import AmbiguousPatientError
from wardlight_cloud.dimse.requests import Root, retrieve_request
from wardlight_cloud.dimse.selection import selected
from wardlight_cloud.dimse.sending import Carried, Sender
from wardlight_cloud.imaging.reads import ReadLog
from wardlight_cloud.store.image_reads import Reader
from wardlight_cloud.store.imaging import ImageStore, InstanceRef
from wardlight_shared.errors import StorageError

PENDING: Final = 0xFF00
_NO_MATCHES_CALCULATED: Final = 0xA701
_log = logging.getLogger(__name__)


class Retriever:
    """Answers retrieval requests from index and object store."""

    def __init__(
        self,
        store: ImageStore,
        calls: LoopCalls,
        reads: ReadLog,
        nodes: Nodes,
        entity: Entity,
        sender: Sender,
    ) -> None:
        self._store = store
        self._calls = calls
        self._reads = reads
        self._nodes = nodes
        self._entity = entity
        self._sender = sender

    def move(self, event: Event, identifier: Dataset, root: Root) -> Iterator[Any]:
        """First (host, port, further arguments) or (None, None), then as ``get``.

        Refusals are raised: pynetdicom answers 0xC514 then, without calling the destination.
        """
        node = self._nodes.node(str(event.move_destination))
        if node is None or node.port is None:
            _log.warning("C-MOVE to a destination that is not on the list or has no port")
            yield None, None  # 0xA801
            return
        refs, refused = self._select(identifier, root)
        if refused is not None:
            raise IdentifierError(str(refused.ErrorComment))
        named = self._entity.calling(node, contexts_for(refs))
        del named["ae_title"]  # pynetdicom has the Move Destination
        originator = str(event.assoc.requestor.ae_title)
        named["prepare"] = partial(self._sender.carry, originator=originator)
        yield *destination(node), named
        yield from self._results(event, refs, (caller_of(event.assoc), receiver_at(node)))

    def get(self, event: Event, identifier: Dataset, root: Root) -> Iterator[Any]:
        """The number of sub-operations, then (Pending, instance) for each."""
        refs, refused = self._select(identifier, root)
        if refused is not None:
            yield 1
            yield refused, None
            return
        self._sender.carry(event.assoc)
        yield from self._results(event, refs, (caller_of(event.assoc),))

    def _select(
        self, identifier: Dataset, root: Root
    ) -> tuple[tuple[InstanceRef, ...], Dataset | None]:
        try:
            request = retrieve_request(identifier, root)
            refs = self._calls.call(selected(self._store, request))
        except AmbiguousPatientError as error:
            return (), refusal(UNABLE_TO_PROCESS, str(error))
        except IdentifierError as error:
            return (), refusal(DOES_NOT_FIT, str(error))
        except StorageError as error:
            _log.warning("a retrieval was refused", extra={"error": str(error)})
            return (), refusal(_NO_MATCHES_CALCULATED, "the index does not answer")
        if refs is None:
            return (), refusal(OUT_OF_RESOURCES, "more than 65535 instances; ask for fewer")
        return refs, None

    def _results(
        self, event: Event, refs: tuple[InstanceRef, ...], readers: tuple[Reader, ...]
    ) -> Iterator[Any]:
        yield len(refs)
        for ref in refs:
            if event.is_cancelled:
                yield CANCELLED, None
                return
            for reader in readers:
                self._reads.note(reader, ref.study_uid, "dimse")
            yield PENDING, Carried(ref)
        _log.info("retrieval done", extra={"instances": len(refs)})
