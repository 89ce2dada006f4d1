"""The SCP: who is let in, which request goes to whom.

Threads of pynetdicom run what is here. A caller that is not on the list is refused before anything
is negotiated; a request without the right for it ends with 0x0124 (not authorised).
Source  PS3.8 9.3.4, PS3.4 A, C; PS3.7 C.5.20
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.events import Event

from wardlight_cloud.config import DicomSettings
from wardlight_cloud.dimse.callers import caller_of
from wardlight_cloud.dimse.entity import ROOTS, Entity, server_tls
from wardlight_cloud.dimse.find import DOES_NOT_FIT, Finder, refusal
from wardlight_cloud.dimse.inflow import Inflow
from wardlight_cloud.dimse.matching import IdentifierError
from wardlight_cloud.dimse.metrics import ASSOCIATIONS, REQUESTS
from wardlight_cloud.dimse.nodes import Nodes, Refusal
from wardlight_cloud.dimse.requests import Root, find_request
from wardlight_cloud.dimse.retrieve import Retriever
from wardlight_cloud.dimse.sending import pace
from wardlight_cloud.store.forwarding import DicomNode, Right

_log = logging.getLogger(__name__)
SUCCESS: Final = 0x0000
NOT_AUTHORISED: Final = 0x0124
_REJECTED: Final = (0x01, 0x01, 0x03)  # permanent, service user, calling AE title not recognised
_RELATIONAL: Final = b"\x01"


class RetrievalServer:
    """Verification, C-FIND, C-MOVE and C-GET on one port."""

    def __init__(
        self,
        settings: DicomSettings,
        entity: Entity,
        nodes: Nodes,
        finder: Finder,
        retriever: Retriever,
    ) -> None:
        self._settings = settings
        self._entity = entity
        self._nodes = nodes
        self._finder = finder
        self._retriever = retriever

    @contextmanager
    def serving(self) -> Iterator[int]:
        """Listens; gives the port. OSError when it is taken."""
        self._entity.support_retrieval()
        server = self._entity.start_server(
            (self._settings.host, self._settings.port),
            block=False,
            ssl_context=server_tls(self._settings),
            evt_handlers=[
                (evt.EVT_CONN_OPEN, self._opened),
                (evt.EVT_REQUESTED, self._requested),
                (evt.EVT_DIMSE_RECV, self._understood),
                (evt.EVT_SOP_EXTENDED, _extended),
                (evt.EVT_C_ECHO, self._echo),
                (evt.EVT_C_FIND, self._find),
                (evt.EVT_C_MOVE, self._move),
                (evt.EVT_C_GET, self._get),
            ],
        )
        if server is None:
            raise OSError("pynetdicom started no server")
        try:
            yield int(server.server_address[1])
        finally:
            self._entity.shutdown()

    # -- associations

    def _opened(self, event: Event) -> None:
        assoc = event.assoc
        pace(assoc, self._settings.idle_timeout_s)
        inflow = Inflow(assoc, timeout_s=self._settings.idle_timeout_s)
        vars(assoc)["wardlight_inflow"] = inflow

    def _requested(self, event: Event) -> None:
        assoc = event.assoc
        asked = assoc.requestor.primitive
        calling = str(asked.calling_ae_title) if asked is not None else ""
        try:
            node = self._nodes.admitted(calling, assoc.requestor.address or "", _certificate(assoc))
        except (Refusal, ValueError) as refusal_:
            ASSOCIATIONS.labels("refused").inc()
            _log.warning(
                "association refused",
                extra={"reason": str(refusal_), "peer": assoc.requestor.address},
            )
            assoc.acse.send_reject(*_REJECTED)
            assoc.kill()
            return
        ASSOCIATIONS.labels("admitted").inc()
        vars(assoc)["wardlight_node"] = node

    def _understood(self, event: Event) -> None:
        inflow: Inflow | None = vars(event.assoc).get("wardlight_inflow")
        if inflow is not None:
            inflow.message_ended()

    # -- requests

    def _echo(self, event: Event) -> int:
        REQUESTS.labels("echo").inc()
        return SUCCESS

    def _find(self, event: Event) -> Iterator[Any]:
        REQUESTS.labels("find").inc()
        if not _may(event, "query"):
            yield NOT_AUTHORISED, None
            return
        root = _root(event)
        try:
            request = find_request(
                _identifier(event),
                root,
                relational=_is_relational(event),
                limit=self._settings.max_results,
            )
        except IdentifierError as error:
            yield refusal(DOES_NOT_FIT, str(error)), None
            return
        yield from self._finder.answers(request, caller_of(event.assoc), lambda: event.is_cancelled)

    def _move(self, event: Event) -> Iterator[Any]:
        REQUESTS.labels("move").inc()
        if not _may(event, "retrieve"):
            raise PermissionError("no right to retrieve")
        yield from self._retriever.move(event, _identifier(event), _root(event))

    def _get(self, event: Event) -> Iterator[Any]:
        REQUESTS.labels("get").inc()
        if not _may(event, "retrieve"):
            yield 1
            yield NOT_AUTHORISED, None
            return
        try:
            identifier = _identifier(event)
        except IdentifierError as error:
            yield 1
            yield refusal(DOES_NOT_FIT, str(error)), None
            return
        yield from self._retriever.get(event, identifier, _root(event))


def _may(event: Event, right: Right) -> bool:
    node: DicomNode | None = vars(event.assoc).get("wardlight_node")
    return node is not None and right in node.rights


def _root(event: Event) -> Root:
    return ROOTS[event.context.abstract_syntax]


def _identifier(event: Event) -> Dataset:
    """The identifier with all of its values read: foreign bytes fail here or not at all."""
    try:
        found = event.identifier
        for _ in found.iterall():
            pass
    except Exception as error:
        raise IdentifierError("the identifier cannot be decoded") from error
    return found


def _extended(event: Event) -> dict[Any, bytes]:
    """We take relational queries and retrieval from those that ask for them (C.5.1.1)."""
    return {
        uid: _RELATIONAL
        for uid, asked in vars(event)["app_info"].items()
        if uid in ROOTS and asked[:1] == _RELATIONAL
    }


def _is_relational(event: Event) -> bool:
    asked = event.assoc.requestor.sop_class_extended
    return asked.get(event.context.abstract_syntax, b"")[:1] == _RELATIONAL


def _certificate(assoc: Association) -> bytes | None:
    own = assoc.dul.socket.socket if assoc.dul.socket is not None else None
    shown = getattr(own, "getpeercert", None)
    return None if shown is None else shown(binary_form=True)
