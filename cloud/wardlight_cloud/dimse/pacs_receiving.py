"""What a PACS sends us for an import, in answer to a C-GET or a C-MOVE.

Each instance becomes a file with the head that all objects of ours have, so that the same object is
the same file whichever way it came. Memory is bounded by the objects that come at one time; files
are the caller's. Nothing is taken that was not asked for.
Source  PS3.4 B.2.3 (statuses), C.4.2 (C-MOVE: the PACS calls us)
"""

import logging
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pydicom.filereader import read_file_meta_info
from pydicom.uid import UID
from pynetdicom import ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, build_context, evt
from pynetdicom.presentation import PresentationContext

from wardlight_cloud.config import DicomSettings
from wardlight_cloud.dimse.entity import VERIFICATION, Entity, server_tls
from wardlight_cloud.dimse.nodes import comes_from
from wardlight_cloud.dimse.sending import UNCOMPRESSED, pace
from wardlight_cloud.store.forwarding import DicomNode
from wardlight_shared.errors import ConfigError
from wardlight_shared.part10 import file_head

_log = logging.getLogger(__name__)
_HANG_UP_S: Final = 2.0
_SUCCESS: Final = 0x0000
_NOT_AUTHORISED: Final = 0x0124
_OUT_OF_RESOURCES: Final = 0xA700
_REJECTED: Final = (0x01, 0x01, 0x03)  # permanent, service user, calling AE title not recognised


class Keeper:
    """Writes what arrives of ``wanted`` into files, numbered."""

    def __init__(self, folder: Path, wanted: Iterable[str]) -> None:
        self._folder = folder
        self._wanted = frozenset(wanted)
        self._lock = threading.Lock()
        self._count = 0

    def keep(self, event: evt.Event) -> int:
        """The handler of C-STORE."""
        request: Any = event.request
        if str(request.AffectedSOPInstanceUID) not in self._wanted:
            return _NOT_AUTHORISED
        head = file_head(
            str(request.AffectedSOPClassUID),
            str(request.AffectedSOPInstanceUID),
            str(event.context.transfer_syntax),
        )
        with self._lock:
            place = self._count
            self._count += 1
        path = self._folder / f"{place:08d}"
        try:
            with path.open("wb") as file:
                file.write(head)
                file.write(request.DataSet.getbuffer())
        except OSError:
            path.unlink(missing_ok=True)  # a part would be judged as if the PACS had sent no more
            return _OUT_OF_RESOURCES
        return _SUCCESS


def uid_of(path: Path) -> str:
    """The SOP Instance UID that a file of a Keeper came under."""
    return str(read_file_meta_info(path).MediaStorageSOPInstanceUID)


def syntaxes(*, uncompressed: bool) -> list[str]:
    """What we take, encapsulated ones first: of a context that names several the first is taken."""
    if uncompressed:
        return list(UNCOMPRESSED)
    encapsulated = [str(each) for each in ALL_TRANSFER_SYNTAXES if UID(each).is_encapsulated]
    others = [str(each) for each in ALL_TRANSFER_SYNTAXES if not UID(each).is_encapsulated]
    return [*encapsulated, *UNCOMPRESSED, *(each for each in others if each not in UNCOMPRESSED)]


class Receiver:
    """Listens for a PACS that was told to send; what comes goes to the keeper of the moment."""

    def __init__(self, node: DicomNode, settings: DicomSettings, *, calling: str) -> None:
        self._networks = node.networks or _addresses(node.host)
        self._tls = server_tls(settings) if node.tls else None
        self._entity = Entity(settings.model_copy(update={"ae_title": calling}))
        self._pace_s = settings.idle_timeout_s
        self._lock = threading.Lock()
        self._keeper: Keeper | None = None
        self._contexts: list[PresentationContext] = []

    @contextmanager
    def listening(self, host: str, port: int) -> Iterator[int]:
        """Gives the port; ConfigError where it is taken."""
        self._entity.supported_contexts = _contexts(uncompressed=False)
        handlers: list[Any] = [
            (evt.EVT_CONN_OPEN, lambda event: pace(event.assoc, self._pace_s)),
            (evt.EVT_REQUESTED, self._requested),
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_C_ECHO, lambda event: _SUCCESS),
        ]
        try:
            server = self._entity.start_server(
                (host, port), block=False, ssl_context=self._tls, evt_handlers=handlers
            )
        except OSError as error:
            raise ConfigError(
                f"port {port} of {host or 'this machine'}: cannot listen there ({error.strerror}); "
                "the PACS sends to it: give --port, and enter the same in the PACS"
            ) from error
        assert server is not None  # noqa: S101 - it does not block
        try:
            yield int(server.server_address[1])
        finally:
            # What is hanging up meanwhile must not be aborted: its thread would end with an error.
            deadline = time.monotonic() + _HANG_UP_S
            while self._entity.active_associations and time.monotonic() < deadline:
                time.sleep(0.01)
            self._entity.shutdown()

    @contextmanager
    def taking(self, keeper: Keeper, *, uncompressed: bool) -> Iterator[None]:
        """What comes meanwhile goes to ``keeper``."""
        with self._lock:
            self._keeper, self._contexts = keeper, _contexts(uncompressed=uncompressed)
        try:
            yield
        finally:
            with self._lock:
                self._keeper = None

    def _requested(self, event: evt.Event) -> None:
        assoc = event.assoc
        if not comes_from(assoc.requestor.address or "", self._networks):
            _log.warning("association refused", extra={"reason": "not the PACS that was asked"})
            assoc.acse.send_reject(*_REJECTED)
            assoc.kill()
            return
        with self._lock:
            if self._keeper is not None:
                assoc.acceptor.supported_contexts = self._contexts

    def _store(self, event: evt.Event) -> int:
        with self._lock:
            keeper = self._keeper
        return _NOT_AUTHORISED if keeper is None else keeper.keep(event)


def _contexts(*, uncompressed: bool) -> list[PresentationContext]:
    taken = syntaxes(uncompressed=uncompressed)
    storage = [str(each.abstract_syntax) for each in AllStoragePresentationContexts]
    return [build_context(VERIFICATION), *(build_context(each, taken) for each in storage)]


def _addresses(host: str) -> Sequence[str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConfigError(f"{host}: no such host ({error.strerror})") from error
    return sorted({str(each[4][0]) for each in found})
