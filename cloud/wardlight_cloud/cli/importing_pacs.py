"""The part of `wardlight-cloud import dicom` that asks a PACS, study by study."""

import argparse
import asyncio
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from wardlight_cloud.cli.file_names import plain
from wardlight_cloud.dimse.pacs import Pacs, PacsError, PacsInstance, PacsStudy, Way, pacs_node
from wardlight_cloud.dimse.pacs_fetching import ByGet, ByMove, Fetching
from wardlight_cloud.dimse.pacs_receiving import Receiver, uid_of
from wardlight_cloud.dimse.peer_library import quieten
from wardlight_cloud.imaging.folder import FoundFile, files_of
from wardlight_cloud.imaging.importing import Importer
from wardlight_cloud.store.base import Store
from wardlight_cloud.store.forwarding import DicomNode
from wardlight_cloud.store.image_arrivals import Source
from wardlight_shared.errors import ConfigError
from wardlight_shared.uids import is_uid

PACS: Final = "ae://"
"""How the address of one begins."""
_AT_A_TIME: Final = 200
"""Instances that are fetched before they are stored: what is lost where a PACS goes away."""
_AWAY_AFTER: Final = 3
# What the libraries raise where an association ended between two requests, or an answer lacks what
# it must hold; they have no common class.
_UNANSWERED: Final = (PacsError, RuntimeError, AttributeError)
_Step = Callable[[int, PacsStudy], Awaitable[None]]


async def take(store: Store, options: argparse.Namespace, importer: Importer) -> None:
    """Take what is missing here; what the PACS has not sent is in the report.

    PacsError where it does not answer at all, or not any more.
    """
    quieten()
    settings = options.settings.dicom
    calling = options.calling or settings.ae_title
    pacs = Pacs(await _node(store, options.source), settings, calling=calling)
    try:
        studies = await asyncio.to_thread(pacs.studies, options.date or "")
    except socket.gaierror as error:
        raise ConfigError(f"{pacs.node.host}: no such host ({error.strerror})") from error
    except _UNANSWERED as error:
        raise PacsError(_why(error)) from error
    if not studies:
        print(f"{pacs.node.ae_title} names no study{' of these days' if options.date else ''}")
    if options.dry_run:
        await _each(studies, importer, partial(_list, pacs, importer))
        print(
            "What the objects themselves hold is seen when they come: some of them may be rejected."
        )
        return
    way = options.by or _way(await asyncio.to_thread(pacs.ways), pacs.node)
    with _fetching(way, pacs, options) as fetching:

        async def step(number: int, study: PacsStudy) -> None:
            wanted, here = await _wanted(importer, pacs, study)
            importer.report.counts["known"] += here
            sys.stderr.write(
                f"study {number} of {len(studies)}: {len(wanted)} instances to take, {here} here\n"
            )
            every = []
            for each in wanted.values():
                if each.series_uid and each.sop_uid:
                    every.append(each)
                else:  # asked for nothing, the PACS would send everything
                    _reject_unnamed(importer, each)
            for start in range(0, len(every), _AT_A_TIME):
                part = {each.sop_uid: each for each in every[start : start + _AT_A_TIME]}
                await _take_part(pacs, fetching, part, importer, options.issuer)

        await _each(studies, importer, step)


async def _each(studies: Sequence[PacsStudy], importer: Importer, step: _Step) -> None:
    """All studies: one that the PACS cannot give is no reason to leave the others there."""
    failed = 0
    for number, study in enumerate(studies, 1):
        if not study.study_uid:  # asked for nothing, the PACS would answer with everything
            importer.report.unsent.append(("", "a study of which the PACS does not say the UID"))
            continue
        try:
            await step(number, study)
        except _UNANSWERED as error:
            importer.report.unsent.append((study.study_uid, f"the study, or a part: {_why(error)}"))
            failed += 1
            if failed == _AWAY_AFTER:
                raise PacsError(
                    f"{failed} studies failed one after the other, the last one: {_why(error)}; "
                    "what was taken is stored: start the import again"
                ) from error
        else:
            failed = 0


def _why(error: Exception) -> str:
    if isinstance(error, PacsError):
        return str(error)
    # No text of the error: it may hold what was answered.
    return f"the PACS ended the association, or answers wrongly ({type(error).__name__})"


async def _node(store: Store, source: str) -> DicomNode:
    found = pacs_node(source[: len(PACS)].lower() + source[len(PACS) :])
    if isinstance(found, DicomNode):
        return found
    for node in await store.nodes():
        if node.ae_title == found:
            return node
    raise ConfigError(f"there is no node {found}: `dicom node list`, or ae://{found}@host:port")


def _way(ways: Sequence[Way], node: DicomNode) -> Way:
    if not ways:
        raise ConfigError(f"{node.ae_title} accepts neither C-GET nor C-MOVE of Study Root from us")
    return ways[0]


@contextmanager
def _fetching(way: Way, pacs: Pacs, options: argparse.Namespace) -> Iterator[Fetching]:
    if way == "get":
        yield ByGet(pacs)
        return
    settings = options.settings.dicom
    port = settings.port if options.port is None else options.port
    receiver = Receiver(pacs.node, settings, calling=pacs.calling)
    with receiver.listening(settings.host, port) as taken:
        yield ByMove(pacs, receiver, taken)


async def _wanted(
    importer: Importer, pacs: Pacs, study: PacsStudy
) -> tuple[dict[str, PacsInstance], int]:
    """Instances that are missing here, and how many are here."""
    images = await asyncio.to_thread(pacs.instances, study.study_uid)
    here = await importer.here(list(images))
    return {uid: images[uid] for uid in images if uid not in here}, len(here)


async def _list(pacs: Pacs, importer: Importer, _: int, study: PacsStudy) -> None:
    wanted, here = await _wanted(importer, pacs, study)
    importer.report.counts["known"] += here
    unusable = [each for each in wanted.values() if not _has_uids(each)]
    coming = len(wanted) - len(unusable)
    for each in unusable:
        _reject_unnamed(importer, each)
    importer.report.counts["new"] += coming
    print(
        f"study  {plain(study.study_uid)}  {plain(study.date) or '-'}  "
        f"{plain(study.modalities) or '-'}  {coming} instances would come, {here} here"
    )


def _reject_unnamed(importer: Importer, instance: PacsInstance) -> None:
    importer.reject(
        FoundFile(Path(), sop_uid=instance.sop_uid or "-"),
        "uid: the PACS names it, its series or its study by what is no UID",
    )


def _has_uids(instance: PacsInstance) -> bool:
    return all(map(is_uid, (instance.study_uid, instance.series_uid, instance.sop_uid)))


async def _take_part(
    pacs: Pacs,
    fetching: Fetching,
    wanted: Mapping[str, PacsInstance],
    importer: Importer,
    issuer: str,
) -> None:
    """Fetch instances of a study; the report says which the PACS has not sent then."""
    report = importer.report
    source = Source("import", calling_ae=pacs.node.ae_title, assumed_issuer=issuer)
    for uncompressed in (False, True):
        with tempfile.TemporaryDirectory(prefix="wardlight-import-") as folder:
            await asyncio.to_thread(
                fetching.fetch, wanted.values(), Path(folder), uncompressed=uncompressed
            )
            rejects, conflicts = len(report.rejects), len(report.conflicts)
            await importer.take_all(_sent(Path(folder)), source)
        came = {file.sop_uid for file, _ in report.rejects[rejects:]}
        came.update(file.sop_uid for file in report.conflicts[conflicts:])
        came.update(await importer.here(list(wanted)))
        wanted = {uid: each for uid, each in wanted.items() if uid not in came}
        if not wanted:
            return
    report.unsent += [(uid, "the PACS has not sent it") for uid in wanted]


def _sent(folder: Path) -> Iterator[FoundFile]:
    """What the PACS sent, by the UID that it said with each."""
    for file in files_of(folder):
        yield replace(file, sop_uid=uid_of(file.path))
