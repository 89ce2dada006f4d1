"""Stored instances as C-STORE requests, from files and in bounded memory.

An association sends what lies in a file; pynetdicom reads it piece by piece, and a queue of a few
PDUs makes the reader wait for the peer. An instance goes out in the transfer syntax it is stored
in where the peer took that; else it is transcoded to an uncompressed one.

Errors  SendingError: this instance cannot be sent on this association
Source  PS3.4 B.5, PS3.5 10, PS3.7 9.1.1
"""

import logging
import queue
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.association import Association

from wardlight_cloud.dimse.loop_thread import LoopCalls
from wardlight_cloud.dimse.naming import named
from wardlight_cloud.dimse.transcoding import Transcoder
from wardlight_cloud.imaging.held_path import held_path
from wardlight_cloud.store.imaging import InstanceRef
from wardlight_cloud.store.object_base import ObjectStore
from wardlight_shared.errors import StorageError, WardlightError

_log = logging.getLogger(__name__)
_SUCCESS: Final = 0x0000
_WARNINGS: Final = frozenset({0xB000, 0xB006, 0xB007})
_PDUS_WAITING: Final = 64  # of 128 KiB at most: 8 MiB an association
UNCOMPRESSED: Final = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))


class SendingError(WardlightError):
    """An instance that cannot be sent on this association."""


class Carried(Dataset):
    """Stands for a stored instance where pynetdicom wants a data set."""

    def __init__(self, ref: InstanceRef) -> None:
        super().__init__()
        self.SOPClassUID = ref.sop_class
        self.SOPInstanceUID = ref.sop_uid
        self.ref = ref


class _Paced(queue.Queue[Any]):
    """A queue whose writers wait for room; Full after ``timeout_s``: the peer does not read."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__(_PDUS_WAITING)
        self._timeout_s = timeout_s

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, block, self._timeout_s if timeout is None else timeout)


def pace(assoc: Association, timeout_s: float) -> None:
    """Bound what waits to be sent, and send it at once; while nothing is being sent.

    Without TCP_NODELAY the end of each message waits for a peer that acknowledges late: 40 ms.
    """
    assoc.dul.to_provider_queue = _Paced(timeout_s)
    own = assoc.dul.socket.socket if assoc.dul.socket is not None else None
    if own is not None:
        own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Sender:
    """Sends instances of the object store on associations."""

    def __init__(self, objects: ObjectStore, calls: LoopCalls, transcoder: Transcoder) -> None:
        self._objects = objects
        self._calls = calls
        self._transcoder = transcoder

    def carry(self, assoc: Association, originator: str | None = None) -> None:
        """Make ``assoc.send_c_store`` take Carried: pynetdicom's retrieve services call it.

        ``originator``: AE title that asked for a C-MOVE (PS3.7 9.1.1.1.6).
        """
        if "send_c_store" in vars(assoc):
            return
        plain = assoc.send_c_store

        def send(dataset: Any, *arguments: Any, **named: Any) -> Dataset:
            if originator is not None:
                named["originator_aet"] = originator
            try:
                with self.prepared(assoc, dataset.ref) as file:
                    answer: Dataset = plain(file, *arguments, **named)
            except (WardlightError, OSError, queue.Full) as error:
                _log.warning("an object was not sent", extra={"reason": reason_of(error)})
                raise
            if (status := answer.get("Status")) is not None and not is_stored(status):
                _log.warning("the peer refused an object", extra={"status": f"{status:#06x}"})
            return answer

        vars(assoc)["send_c_store"] = send

    @contextmanager
    def prepared(self, assoc: Association, ref: InstanceRef) -> Iterator[Path]:
        """A file with the instance in a transfer syntax that the peer took; SendingError."""
        syntax = _syntax_for(assoc, ref)
        with self.stored(ref) as file:
            if syntax == ref.transfer_syntax:
                with named(file, ref) as sent:
                    yield sent
                return
            with tempfile.TemporaryDirectory(prefix="wardlight-dimse-") as folder:
                made = Path(folder, "transcoded")
                self._transcoder.transcode(file, made, syntax, ref)
                with named(made, ref) as sent:
                    yield sent

    @contextmanager
    def stored(self, ref: InstanceRef) -> Iterator[Path]:
        """A file with the instance as it is stored; SendingError, also where it is damaged."""
        if ref.is_doubted:
            raise SendingError("a check found the stored object damaged or missing")
        with held_path(self._objects.local_path, ref.sha256) as local:
            if local is not None:
                yield local
                return
        with tempfile.TemporaryDirectory(prefix="wardlight-dimse-") as folder:
            yield self._copied(ref, Path(folder))

    def _copied(self, ref: InstanceRef, folder: Path) -> Path:
        copy = folder / "stored"
        try:
            with copy.open("wb") as file:
                for piece in self._calls.each(self._objects.stream(ref.sha256)):
                    file.write(piece)
        except StorageError as error:
            raise SendingError(f"the object store: {error}") from error
        return copy


def is_stored(status: int) -> bool:
    """Whether the peer has the object (PS3.4 B.2.3); with a warning, something of it changed."""
    return status == _SUCCESS or status in _WARNINGS


def reason_of(error: Exception) -> str:
    """Why an instance was not sent, for logs and operators; without data of the patient."""
    match error:
        case queue.Full():
            return "the peer does not read what it is sent"
        case WardlightError():
            return str(error)
    return type(error).__name__


def _syntax_for(assoc: Association, ref: InstanceRef) -> str:
    taken = {
        str(context.transfer_syntax[0])
        for context in assoc.accepted_contexts
        if context.abstract_syntax == ref.sop_class and context.as_scu
    }
    if not taken:
        raise SendingError("the peer takes no objects of this SOP class")
    for syntax in (ref.transfer_syntax, *UNCOMPRESSED):
        if syntax in taken:
            return syntax
    raise SendingError("the peer takes neither the stored transfer syntax nor an uncompressed one")
