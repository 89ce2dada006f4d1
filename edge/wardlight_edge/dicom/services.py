"""Worklist, procedure steps and storage commitment put together on an opened spool.

Inside ``open_services`` reports go out and accepted steps reach the queue.
"""

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, TypedDict

from wardlight_edge.clock import Clock
from wardlight_edge.dicom.base import Service
from wardlight_edge.dicom.commitment import CommitmentService
from wardlight_edge.dicom.commitment_desk import CommitmentDesk
from wardlight_edge.dicom.commitment_report import Address, Reporter
from wardlight_edge.dicom.steps import StepService
from wardlight_edge.dicom.upkeep import Upkeep
from wardlight_edge.dicom.worklist import WorklistService, stale_note
from wardlight_edge.imaging_settings import DicomSettings
from wardlight_edge.spool.age import Age
from wardlight_edge.spool.commitments import CommitmentTable
from wardlight_edge.spool.receiving import SqliteReceivingSpool
from wardlight_edge.spool.steps import StepTable
from wardlight_edge.spool.worklist import WorklistTable


@contextmanager
def open_services(
    settings: DicomSettings,
    spool: SqliteReceivingSpool,
    clock: Clock,
    *,
    tls: Callable[[], ssl.SSLContext] | None = None,
    refused: Callable[[str], None] = lambda _: None,
) -> Iterator["Opened"]:
    """The services.

    tls      makes the context for reports to peers that take them over TLS
    refused  is told why there is no room for a request
    """
    steps_held = StepTable(spool.database, spool.sealer, spool.room)
    commitments_held = CommitmentTable(spool.database, spool.sealer, spool.room)
    age = Age(spool.database, clock)
    steps = StepService(steps_held, spool, clock, age, refused)
    desk = CommitmentDesk(commitments_held, spool, settings.commitment, clock, age)
    reporter = Reporter(desk, addresses(settings), tls)
    worklist = WorklistTable(spool.database, spool.sealer, clock)
    with Upkeep(steps, steps_held, desk, commitments_held, reporter, age):
        yield Opened(
            (
                WorklistService(worklist, settings.worklist),
                steps,
                CommitmentService(desk, reporter.knows, refused),
            ),
            desk,
            age,
        )


class Opened(NamedTuple):
    """The services of requests, what is to be reported without one, and how old the spool is."""

    services: tuple[Service, ...]
    commitments: CommitmentDesk
    age: Age


class Told(TypedDict):
    """The services' part of the status (imaging_status.py)."""

    worklist_entries: int | None
    worklist_age_s: float | None
    worklist_stale: bool
    commitments_open: int
    commitments_given_up: int
    services_damaged: int


def told(settings: DicomSettings, spool: SqliteReceivingSpool, clock: Clock) -> Told:
    """How the services are."""
    worklist = WorklistTable(spool.database, spool.sealer, clock)
    freshness = worklist.freshness()
    has_list = freshness.as_of_ms is not None
    counts = CommitmentTable(spool.database, spool.sealer).counts()
    return {
        "worklist_entries": worklist.count() if has_list else None,
        "worklist_age_s": freshness.age_s,
        "worklist_stale": has_list
        and stale_note(freshness, settings.worklist.stale_after_s) is not None,
        "commitments_open": counts.get("waiting", 0) + counts.get("decided", 0),
        "commitments_given_up": counts.get("given-up", 0),
        "services_damaged": counts.get("damaged", 0)
        + StepTable(spool.database, spool.sealer).count_aside(),
    }


def addresses(settings: DicomSettings) -> dict[str, Address]:
    """Where each AE title takes its reports."""
    return {
        peer.calling_ae: Address(peer.report_host, peer.report_port, peer.report_tls)
        for peer in settings.peers
        if peer.report_host is not None
    }
