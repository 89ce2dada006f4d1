"""What steps and commitments need beside requests: a thread that reports, queues and forgets.

What is old is told by the age of the spool, not by the wall clock.

Errors  none leaves: a round that fails is logged and tried again
"""

import logging
import threading
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from wardlight_edge.dicom.commitment_desk import CommitmentDesk
from wardlight_edge.dicom.commitment_report import Reporter
from wardlight_edge.dicom.steps import StepService
from wardlight_edge.spool.age import Age
from wardlight_edge.spool.commitments import CommitmentTable
from wardlight_edge.spool.steps import StepTable
from wardlight_shared.errors import StorageError

_log = logging.getLogger(__name__)
_ROUND_S: Final = 1.0
_STOP_S: Final = 60.0  # a report under way ends by its own limits
_FORGET_EVERY_MS: Final = 3_600_000
_STEPS_KEPT_MS: Final = 400 * 86_400_000
_COMMITMENTS_KEPT_MS: Final = 90 * 86_400_000


class Upkeep:
    """A context manager: the thread runs inside."""

    def __init__(
        self,
        steps: StepService,
        step_table: StepTable,
        desk: CommitmentDesk,
        commitment_table: CommitmentTable,
        reporter: Reporter,
        age: Age,
    ) -> None:
        self._steps = steps
        self._step_table = step_table
        self._desk = desk
        self._commitment_table = commitment_table
        self._reporter = reporter
        self._age = age
        self._stopping = threading.Event()
        self._forget_at_ms = 0
        self._thread = threading.Thread(target=self._run, name="dicom upkeep", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._desk.asked.set()
        self._thread.join(_STOP_S)
        with suppress(StorageError):
            self._age.keep(at_once=True)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._round()
            except StorageError as error:
                _log.error("the spool refuses", extra={"error": str(error)})
            except Exception as error:  # noqa: BLE001 - supervisor; its text might name a patient
                _log.error("a round failed", extra={"error": type(error).__name__})
            self._desk.asked.wait(_ROUND_S)
            self._desk.asked.clear()

    def _round(self) -> None:
        self._steps.queue()
        self._reporter.send_due()
        self._age.keep()
        now_ms = self._age.now_ms()
        if now_ms >= self._forget_at_ms:
            self._forget_at_ms = now_ms + _FORGET_EVERY_MS
            self._step_table.forget(now_ms - _STEPS_KEPT_MS)
            self._commitment_table.forget(now_ms - _COMMITMENTS_KEPT_MS)
