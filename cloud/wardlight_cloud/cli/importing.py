"""`wardlight-cloud import dicom`: what a folder holds, or a PACS."""

import argparse
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from wardlight_cloud.cli.dicom_arguments import ae_title
from wardlight_cloud.cli.import_lists import conflicting, listed, reasons, rejected, unsent
from wardlight_cloud.cli.on_store import command
from wardlight_cloud.cli.progress import telling
from wardlight_cloud.config import Settings
from wardlight_cloud.store.base import Store
from wardlight_shared.errors import ConfigError

if TYPE_CHECKING:
    from wardlight_cloud.imaging.importing import Importer, ImportReport

_SHOWN: Final = 100
_NO_ISSUER: Final = (
    "{} files do not say who gave out their patient number: it may be another hospital's, so their "
    "studies are no patient's of ours until an operator says whose (`images reconcile list`: "
    "no-issuer, `images reconcile assign`). Where the files are of one hospital, import them with "
    "--issuer from the beginning: what is stored stays as it is"
)
_ISSUER_LATE: Final = (
    "{} files were stored already, and --issuer says nothing of those; studies wait for want of an "
    "issuer (`images reconcile list`: no-issuer): `images reconcile assign` says whose each is"
)
_MOST: Final = 1000
_DATES: Final = re.compile(r"\d{8}|\d{8}-(\d{8})?|-\d{8}", re.ASCII)


def add_commands(commands: Any, config: argparse.ArgumentParser) -> None:
    """Add the parser of this command."""
    importing = commands.add_parser("import", help="take what other systems have")
    kinds = importing.add_subparsers(metavar="KIND", required=True)
    dicom = command(kinds, config, "dicom", "take DICOM files of a folder, or studies of a PACS")
    dicom.add_argument(
        "source",
        help="a folder, a file, a DICOMDIR, ae://CALLED@host:port, or ae://AE_TITLE of a node",
    )
    dicom.add_argument("--dry-run", action="store_true", help="only say what would be taken")
    dicom.add_argument(
        "--rejects", type=Path, metavar="FILE",
        help="write there all files that are rejected, or have the UID of another one, and what a "
        f"PACS has not sent, with the reasons (default: the first {_SHOWN} of each are shown)",
    )  # fmt: skip
    dicom.add_argument(
        "--issuer", metavar="ISSUER", default="",
        help="who gave out the patient ids of files that do not say it, as the register writes it; "
        "default: nobody knows, and their studies wait for an operator",
    )  # fmt: skip
    pacs = dicom.add_argument_group("of a PACS")
    pacs.add_argument(
        "--calling", type=ae_title, metavar="AE", help="our AE title; default: dicom.ae_title"
    )
    pacs.add_argument(
        "--by", choices=("get", "move"),
        help="C-GET, or C-MOVE to ourselves; default: what it accepts, C-GET first",
    )  # fmt: skip
    pacs.add_argument(
        "--port", type=_port, metavar="PORT",
        help="where it sends to by C-MOVE, on dicom.host; default: dicom.port",
    )  # fmt: skip
    pacs.add_argument(
        "--date", type=_dates, metavar="RANGE",
        help="studies of 20240101-20241231, 20240101-, or one day; default: all",
    )  # fmt: skip
    dicom.set_defaults(action=_import)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 65536):
        raise argparse.ArgumentTypeError("a number up to 65535")
    return int(text)


def _dates(text: str) -> str:
    if _DATES.fullmatch(text) is None:
        raise argparse.ArgumentTypeError("a range of days as YYYYMMDD-YYYYMMDD, or a day")
    try:
        days = [datetime.strptime(day, "%Y%m%d") for day in text.split("-") if day]  # noqa: DTZ007
    except ValueError as error:
        raise argparse.ArgumentTypeError("there is no such day") from error
    if days != sorted(days):
        raise argparse.ArgumentTypeError("the first day is after the last one")
    return text


async def _import(store: Store, options: argparse.Namespace) -> int:
    from wardlight_cloud.cli import importing_pacs

    is_pacs = options.source.lower().startswith(importing_pacs.PACS)
    if not is_pacs:
        _check_folder(options)
    if not options.dry_run:
        _check_owner(options.settings)
    await _tell_of_rules(store, options.source)
    async with (
        _importer(store, options.settings, is_dry=options.dry_run) as importer,
        telling(lambda: _counts(importer.report)),
    ):
        report = importer.report
        try:
            with listed(report, options.rejects):
                if is_pacs:
                    await importing_pacs.take(store, options, importer)
                else:
                    await _take_folder(Path(options.source), importer, options.issuer)
        except BaseException:  # what was done until then is done
            if report.files or report.unsent:
                _show(report, is_dry=options.dry_run)
            raise
    _show(report, is_dry=options.dry_run)
    await _tell_of_issuers(store, report, options.issuer.strip())
    if report.unsent:
        print(f"{len(report.unsent)} were not sent by the PACS; start the import again")
    return 1 if report.unsent or report.rejects else 0


async def _tell_of_rules(store: Store, source: str) -> None:
    """An old archive is much for a PACS that wants what is new, or that it came from."""
    caller = source.partition("://")[2].partition("@")[0]
    names = [
        f"{rule.name} (to {rule.target.ae_title or rule.target.url})"
        for rule in await store.rules()
        if rule.kind != "source" or rule.value == caller
    ]
    if names:
        print(
            f"Forwarding rules send what is imported, too, where it fits: {', '.join(names)}; "
            "see `dicom rule status`"
        )


async def _tell_of_issuers(store: Store, report: "ImportReport", issuer: str) -> None:
    if not issuer and report.unissued:
        print(_NO_ISSUER.format(report.unissued))
    known = report.counts["known"] if issuer else 0
    if known and any(each.why == "no-issuer" for each in await store.unmatched(count=_MOST)):
        print(_ISSUER_LATE.format(known))


def _check_folder(options: argparse.Namespace) -> None:
    """What was meant for a PACS must not take a whole folder."""
    if not options.source:
        raise ConfigError("import dicom: SOURCE is empty; name a folder, a file or ae://...")
    given = (("--calling", options.calling), ("--by", options.by), ("--port", options.port),
             ("--date", options.date))  # fmt: skip
    named = [name for name, value in given if value is not None]
    if named:
        raise ConfigError(
            f"{', '.join(named)}: only of a PACS (ae://...), a folder is taken as a whole"
        )


async def _take_folder(source: Path, importer: "Importer", issuer: str) -> None:
    from wardlight_cloud.imaging.folder import files_of
    from wardlight_cloud.store.image_arrivals import Source

    try:
        await importer.take_all(files_of(source), Source("import", assumed_issuer=issuer))
    except OSError as error:
        raise ConfigError(f"{source}: cannot be read ({error.strerror})") from error


def _check_owner(settings: Settings) -> None:
    """What root stores could not be read by services of another user, nor stored beside."""
    from wardlight_cloud.store.object_names import OBJECTS
    from wardlight_cloud.store.objects import OBJECTS_FOLDER

    if settings.objects.url is not None or os.geteuid() != 0:
        return
    folder = (settings.objects.folder or settings.data_dir / OBJECTS_FOLDER) / OBJECTS
    if folder.exists() and (owner := folder.stat().st_uid) != 0:
        raise ConfigError(
            f"{folder}: the services store there as user {owner}, who could not read what root "
            f"stores; run this as that user (sudo -u '#{owner}' ...)"
        )


@asynccontextmanager
async def _importer(store: Store, settings: Settings, *, is_dry: bool) -> "AsyncIterator[Importer]":
    from wardlight_cloud.imaging.importing import Importer
    from wardlight_cloud.imaging.intake import ImageIntake
    from wardlight_cloud.imaging.matching import Issuers
    from wardlight_cloud.imaging.pool import HeaderPool
    from wardlight_cloud.store.objects import open_objects

    objects = await open_objects(settings)
    try:
        async with HeaderPool(settings.images) as pool:
            issuers = Issuers.of(settings.images)
            yield Importer(
                store, objects, pool, ImageIntake(store, objects, pool, issuers=issuers),
                data_dir=settings.data_dir, largest_bytes=settings.objects.largest_bytes,
                is_dry=is_dry,
            )  # fmt: skip
    finally:
        await objects.close()


def _counts(report: "ImportReport") -> str:
    counts = report.counts
    return (
        f"{report.files} files: {counts['new']} new, {counts['known']} known, "
        f"{counts['conflict']} with the UID of another file, {counts['rejected']} rejected"
    )


def _show(report: "ImportReport", *, is_dry: bool) -> None:
    for kind in (rejected, conflicting, unsent):
        for line in kind(report, _SHOWN):
            print(line)
    if max(len(report.rejects), len(report.conflicts), len(report.unsent)) > _SHOWN:
        print(f"... and more: the first {_SHOWN} of each are shown; --rejects FILE lists all")
        for line in reasons(report):
            print(line)
    print(f"{'would be: ' if is_dry else ''}{_counts(report)}, {report.octets} bytes")
