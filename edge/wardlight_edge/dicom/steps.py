"""Modality Performed Procedure Step SCP: N-CREATE and N-SET, taken with the link up or down.

An event is answered with 0x0000 when it and the step it makes are on the disk. It then goes to the
spool in the order of acceptance, from where the uplink takes it to the collector.

Source  DICOM PS3.4, F.7; PS3.7, 10.1.3 (N-SET), 10.1.5 (N-CREATE), annex C (statuses)
"""

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Final, Literal
from uuid import uuid4

from pydicom.dataset import Dataset

from wardlight_edge.clock import Clock
from wardlight_edge.dicom import data_sets
from wardlight_edge.dicom.base import Bound, Peer, Reply, Request
from wardlight_edge.dicom.data_sets import TooMuch
from wardlight_edge.dicom.marks import ae_mark
from wardlight_edge.dicom.step_file import STEP_CLASS, step_file
from wardlight_edge.dicom.step_rules import ENDS, STATUS, StepRefused, begun, changed
from wardlight_edge.spool.age import Age
from wardlight_edge.spool.base import ReceivingSpool, SpoolFull
from wardlight_edge.spool.steps import StepEvent, StepState, StepTable, files_of
from wardlight_shared.blobs import BlobKind
from wardlight_shared.errors import DecodeError, StorageError
from wardlight_shared.uids import LONGEST_UID, is_uid

_log = logging.getLogger(__name__)
_N_SET: Final = 0x0120
_N_CREATE: Final = 0x0140
SUCCESS: Final = 0x0000
PROCESSING_FAILURE: Final = 0x0110
DUPLICATE_INSTANCE: Final = 0x0111
NO_SUCH_INSTANCE: Final = 0x0112
INVALID_INSTANCE: Final = 0x0117
CLASS_INSTANCE_CONFLICT: Final = 0x0119
NO_OPERATION: Final = 0x0211
RESOURCE_LIMITATION: Final = 0x0213
_MOST_VALUES: Final = 20_000
_LARGEST: Final = 900 * 1024  # the collector takes files of 1 MiB


class StepService:
    """Implements Service. ``refused``: is told why there is no room, without names."""

    sop_classes = frozenset({STEP_CLASS})
    bound = Bound(_LARGEST, RESOURCE_LIMITATION)

    def __init__(
        self,
        table: StepTable,
        spool: ReceivingSpool,
        clock: Clock,
        age: Age,
        refused: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._table = table
        self._spool = spool
        self._clock = clock
        self._age = age
        self._refused = refused
        self._queueing = threading.Lock()

    def answer(
        self, peer: Peer, request: Request, is_cancelled: Callable[[], bool]
    ) -> Iterator[Reply]:
        """See Service."""
        del is_cancelled  # N-CREATE and N-SET cannot be cancelled
        command = request.command.get("CommandField")
        if command not in (_N_CREATE, _N_SET):
            yield Reply(NO_OPERATION)
            return
        kind: Literal["create", "set"] = "create" if command == _N_CREATE else "set"
        instance = _instance(request.command, kind)
        try:
            self._accept(peer, request, kind, instance)
        except StepRefused as refused:
            about = {"peer": ae_mark(peer.calling_ae), "event": kind, "status": refused.status}
            _log.warning("procedure step refused", extra={**about, "tags": refused.tags})
            yield _refusal(instance, refused)
            return
        _log.info("procedure step taken", extra={"peer": ae_mark(peer.calling_ae), "event": kind})
        self.queue()
        yield Reply(SUCCESS, command=_named(instance))

    def queue(self) -> bool:
        """Put what waits into the spool, in order; False when something still waits.

        Called after each event, at start and now and then: an event that found no room is durable
        in its table meanwhile.
        """
        with self._queueing:
            try:
                while waiting := self._table.waiting():
                    for each in waiting:
                        self._enqueue(each.event)
                        self._table.queued(each.number)
            except StorageError as error:
                _log.error("procedure steps wait for the spool", extra={"error": str(error)})
                return False
        return True

    def _accept(
        self, peer: Peer, request: Request, kind: Literal["create", "set"], instance: str
    ) -> None:
        if not is_uid(instance):
            raise StepRefused(INVALID_INSTANCE, "SOP Instance UID is no UID")
        try:
            attributes = _read(request.data_set or b"", request.transfer_syntax)
            held = self._table.find(instance)
            step = _after(kind, held, attributes)
            state = _state(step, 1 if held is None else held.events + 1)
        except TooMuch as error:
            raise StepRefused(RESOURCE_LIMITATION, str(error)) from None
        except DecodeError:
            raise StepRefused(PROCESSING_FAILURE, "The data set cannot be read") from None
        file = step_file(
            instance, request.transfer_syntax, kind, state.events, request.data_set or b""
        )
        event = StepEvent(
            instance, kind, peer.calling_ae, peer.called_ae, peer.address, self._clock.wall_ms(),
            file,
        )  # fmt: skip
        try:
            with self._age.held() as now_ms:
                is_kept = self._table.put(state, event, now_ms)
        except SpoolFull as error:
            self._refused(str(error))
            raise StepRefused(RESOURCE_LIMITATION, "No room on the gateway") from None
        if not is_kept:  # another association changed the step meanwhile
            status = DUPLICATE_INSTANCE if kind == "create" else PROCESSING_FAILURE
            raise StepRefused(status, "The step was changed by another association")

    def _enqueue(self, event: StepEvent) -> None:
        incoming = self._spool.begin(
            BlobKind.STEP,
            event.sop_instance,
            len(event.file),
            sender=files_of(event.calling_ae),
        )
        try:
            incoming.write(event.file)
            incoming.accept(
                {
                    "sop_instance": event.sop_instance,
                    "event": event.event,
                    "calling_ae": event.calling_ae,
                    "called_ae": event.called_ae,
                    "peer": event.peer,
                }
            )
        except BaseException:
            incoming.abandon()
            raise


def _after(kind: str, held: StepState | None, attributes: Dataset) -> Dataset:
    if kind == "create":
        if held is not None:
            raise StepRefused(DUPLICATE_INSTANCE, "There is a step of this SOP Instance UID")
        return begun(attributes)
    if held is None:
        raise StepRefused(NO_SUCH_INSTANCE, "There is no step of this SOP Instance UID")
    return changed(_read(held.attributes, data_sets.EXPLICIT_LITTLE), attributes)


def _state(step: Dataset, events: int) -> StepState:
    status = data_sets.text(step, STATUS)
    step.SpecificCharacterSet = "ISO_IR 192"  # events may differ in theirs
    written = data_sets.written(step)
    if len(written) > _LARGEST:
        raise TooMuch(f"A step has at most {_LARGEST} octets")
    if status not in ENDS:
        return StepState(status, events, written)
    over = Dataset()
    setattr(over, STATUS, status)
    return StepState(status, events, data_sets.written(over), is_over=True)


def _read(octets: bytes, transfer_syntax: str) -> Dataset:
    return data_sets.read(octets, transfer_syntax, most_values=_MOST_VALUES)


def _instance(command: Dataset, kind: str) -> str:
    """Whose event it is; an N-CREATE may leave the UID to us (PS3.7, 10.1.5.1.4)."""
    if kind == "set":
        return data_sets.text(command, "RequestedSOPInstanceUID")
    return data_sets.text(command, "AffectedSOPInstanceUID") or f"2.25.{uuid4().int}"


def _named(instance: str) -> Dataset:
    command = Dataset()
    command.AffectedSOPClassUID = STEP_CLASS
    command.AffectedSOPInstanceUID = instance
    return command


def _refusal(instance: str, refused: StepRefused) -> Reply:
    command = _named(instance[:LONGEST_UID])
    command.ErrorComment = refused.comment
    if refused.error_id is not None:
        command.ErrorID = refused.error_id
    if refused.tags:
        command.AttributeIdentifierList = list(refused.tags)
    return Reply(refused.status, command=command)
