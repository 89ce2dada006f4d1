"""`wardlight-cloud export`: stored images as a file set."""

import argparse
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from wardlight_cloud.cli.on_store import command
from wardlight_cloud.cli.progress import telling
from wardlight_cloud.imaging.folder import VERSIONS_NAME
from wardlight_cloud.store.base import Patient, Store
from wardlight_shared.errors import ConfigError

if TYPE_CHECKING:
    from wardlight_cloud.imaging.export_files import ExportReport

_MOST: Final = 1000


def add_commands(commands: Any, config: argparse.ArgumentParser) -> None:
    """Add the parser of this command."""
    export = command(commands, config, "export", "write studies as DICOM files with a DICOMDIR")
    which = export.add_mutually_exclusive_group(required=True)
    which.add_argument("--study", metavar="UID", action="append", help="may be given again")
    which.add_argument("--patient", type=UUID, metavar="ID", help="of the register")
    which.add_argument("--all", action="store_true", help="everything, unmatched studies too")
    export.add_argument(
        "--to", type=Path, required=True, metavar="FOLDER", help="it must be empty, or not exist"
    )
    export.add_argument(
        "--update", action="store_true",
        help="go on with an export that is in FOLDER, or add to it; files that are right are left",
    )  # fmt: skip
    export.add_argument(
        "--versions", action="store_true",
        help="also files that share their SOP Instance UID with the one that is shown; with --all "
        "they are always written",
    )  # fmt: skip
    export.set_defaults(action=_export)


async def _export(store: Store, options: argparse.Namespace) -> int:
    from wardlight_cloud.imaging.exporting import Exporter, studies_of
    from wardlight_cloud.store.objects import open_objects

    owner = await _owner(store, options.patient)
    objects = await open_objects(options.settings)
    try:
        exporter = Exporter(
            store, objects, options.to,
            is_update=options.update, with_versions=options.versions or options.all, owner=owner,
        )  # fmt: skip
        studies = _named(options.study) if options.study else studies_of(store, options.patient)
        async with telling(lambda: _counts(exporter.report)):
            report = await exporter.export(studies, is_everything=options.all)
    except OSError as error:
        whole = "; what is there is whole, --update goes on with it" if options.to.is_dir() else ""
        raise ConfigError(f"{options.to}: cannot be written ({error.strerror}){whole}") from error
    finally:
        await objects.close()
    for sop_uid, reason in report.failed:
        print(f"failed  {sop_uid}  {reason}")
    for study_uid in report.absent:
        print(f"absent  {study_uid}  there is no such study")
    is_nobodys = options.patient is not None and not report.asked
    if is_nobodys:
        print(f"absent  {options.patient}  no study is on record as this patient's")
    for study_uid, words in report.differing.items():
        print(
            f"differs  {study_uid}  its files say another {', '.join(words)} than the register has "
            "of this patient: check whose they are before you hand them out"
        )
    for line in _besides(report):
        print(line)
    if options.all:
        await _tell_aside(store)
    print(_counts(report))
    return 1 if report.failed or report.absent or is_nobodys else 0


async def _owner(store: Store, patient: UUID | None) -> Patient | None:
    if patient is None:
        return None
    found, _ = await store.patients(ids=[patient])
    if not found:
        raise ConfigError(f"there is no patient {patient}; see `patient list`")
    return found[0]


def _counts(report: "ExportReport") -> str:
    return (
        f"{report.studies} studies: {report.written} files written ({report.octets} bytes), "
        f"{report.present} were there, {len(report.failed)} failed"
    )


def _besides(report: "ExportReport") -> Iterator[str]:
    if report.versions:
        yield (
            f"{report.versions} of the files share their SOP Instance UID with one that is shown: "
            f"they are in {VERSIONS_NAME}, not in the DICOMDIR; `import dicom` keeps them beside it"
        )
    if report.versions_left:
        yield (
            f"{report.versions_left} files that share their SOP Instance UID with one that is "
            "shown are left out: `images versions` lists them, --versions writes them too"
        )
    if report.kept:
        yield (
            f"{report.kept} studies have files in the folder that the store does not have any "
            "more: the DICOMDIR goes on naming them"
        )


async def _tell_aside(store: Store) -> None:
    aside = await store.blobs_aside(count=_MOST)
    if aside:
        several = f"{_MOST} or more" if len(aside) == _MOST else str(len(aside))
        print(
            f"{several} files from gateways are set aside as no readable DICOM files, and not "
            "exported: `blobs aside` lists them with their hashes; in the object store they lie as "
            "sha256/ab/cd/<the hash that begins with abcd>"
        )


async def _named(uids: list[str]) -> AsyncIterator[str]:
    for uid in uids:
        yield uid
