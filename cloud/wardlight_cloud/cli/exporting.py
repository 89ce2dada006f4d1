"""`wardlight-cloud export`: stored images as a file set."""

import argparse
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from wardlight_cloud.cli.on_store import command
from wardlight_cloud.cli.progress import telling
from wardlight_cloud.store.base import Store
from wardlight_shared.errors import ConfigError

if TYPE_CHECKING:
    from wardlight_cloud.imaging.exporting import ExportReport

_SHOWN: Final = 100


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
    export.set_defaults(action=_export)


async def _export(store: Store, options: argparse.Namespace) -> int:
    from wardlight_cloud.imaging.exporting import Exporter, studies_of
    from wardlight_cloud.store.objects import open_objects

    objects = await open_objects(options.settings)
    try:
        exporter = Exporter(store, objects, options.to, is_update=options.update)
        studies = _named(options.study) if options.study else studies_of(store, options.patient)
        async with telling(lambda: _counts(exporter.report)):
            report = await exporter.export(studies)
    except OSError as error:
        raise ConfigError(f"{options.to}: cannot be written ({error.strerror})") from error
    finally:
        await objects.close()
    for file, reason in report.failed[:_SHOWN]:
        print(f"failed  {file}  {reason}")
    for study_uid in report.absent[:_SHOWN]:
        print(f"absent  {study_uid}  there is no such study")
    print(_counts(report))
    return 1 if report.failed or report.absent else 0


def _counts(report: "ExportReport") -> str:
    return (
        f"{report.studies} studies: {report.written} files written ({report.octets} bytes), "
        f"{report.present} were there, {len(report.failed)} failed"
    )


async def _named(uids: list[str]) -> AsyncIterator[str]:
    for uid in uids:
        yield uid
