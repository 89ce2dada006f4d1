"""Commands on the image index: images list, show, reconcile, versions, hold, release, reads."""

import argparse
import os
import pwd
from typing import Any, Final
from uuid import UUID

import orjson

from wardlight_cloud.cli.image_objects import add_commands as add_object_commands
from wardlight_cloud.cli.image_objects import opened_intake, sha256
from wardlight_cloud.cli.image_reads import add_commands as add_read_commands
from wardlight_cloud.cli.on_store import command
from wardlight_cloud.cli.tables import show
from wardlight_cloud.store.base import Store
from wardlight_cloud.store.imaging import ImageQuery, ImageRow, Level, Match
from wardlight_shared.errors import ConfigError, StorageError

_MOST: Final = 1000

_NO_ISSUER: Final = (
    "no-issuer: neither the image nor the settings say who gave out its patient id. Where the ids "
    "of a site are one system's, set images.issuer or images.gateway_issuers to it: images that "
    "come from then on find their patients; assign those that wait. "
    "An import is told by --issuer."
)


def add_commands(commands: Any, config: argparse.ArgumentParser) -> None:
    """Add the parsers of these commands."""
    text = "the image store: studies, whose they are, what is kept and whether it is whole"
    steps = commands.add_parser("images", help=text, description=text).add_subparsers(
        metavar="STEP", required=True
    )
    _add_list(steps, config)
    one = command(steps, config, "show", "series of a study, its holds and its files")
    one.add_argument("study", metavar="STUDY-UID")
    one.set_defaults(action=_show)
    _add_reconcile(steps, config)
    _add_versions(steps, config)
    _add_holds(steps, config)
    add_object_commands(steps, config)
    add_read_commands(steps, config)


def _add_list(steps: Any, config: argparse.ArgumentParser) -> None:
    found = command(steps, config, "list", "studies, newest first")
    found.add_argument("--patient", type=UUID, metavar="ID", help="of a patient of the register")
    found.add_argument("--patient-id", metavar="TEXT", help="PatientID of the images")
    found.add_argument("--accession", metavar="TEXT", help="accession number")
    found.add_argument("--since", metavar="YYYYMMDD", help="study date, and later")
    found.add_argument("--count", type=int, default=50, metavar="N", help="at most, default 50")
    found.set_defaults(action=_list)


def _add_reconcile(steps: Any, config: argparse.ArgumentParser) -> None:
    text = "studies that are no patient's: list them, say whose they are"
    own = steps.add_parser("reconcile", help=text, description=text).add_subparsers(
        metavar="WHAT", required=True
    )
    waiting = command(own, config, "list", "studies that wait, and why")
    waiting.set_defaults(action=_waiting)
    assign = command(own, config, "assign", "say whose a study is; it stands above every rule")
    assign.add_argument("study", metavar="STUDY-UID")
    assign.add_argument("patient", type=UUID, metavar="PATIENT", help="as `patient list` shows it")
    _add_who(assign)
    assign.set_defaults(action=_assign)


def _add_versions(steps: Any, config: argparse.ArgumentParser) -> None:
    found = command(
        steps, config, "versions", "files that share a SOP Instance UID; choose which is shown"
    )
    found.add_argument("instance", nargs="?", metavar="SOP-INSTANCE-UID", help="default: all")
    found.add_argument("--show", type=sha256, metavar="SHA256", help="show this file from now on")
    found.add_argument("--reason", metavar="TEXT", default="", help="why; kept for ever")
    _add_who(found)
    found.set_defaults(action=_versions)


def _add_holds(steps: Any, config: argparse.ArgumentParser) -> None:
    hold = command(steps, config, "hold", "put a study under legal hold: no rule removes it")
    hold.add_argument("study", metavar="STUDY-UID")
    hold.add_argument("--reason", required=True, metavar="TEXT", help="why; kept for ever")
    _add_who(hold)
    hold.set_defaults(action=_hold)
    release = command(steps, config, "release", "end the legal hold of a study")
    release.add_argument("study", metavar="STUDY-UID")
    _add_who(release)
    release.set_defaults(action=_release)


def _add_who(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--by", metavar="NAME", help="who decides; default: your account here")


def _who(options: argparse.Namespace) -> str:
    if options.by is not None:
        return str(options.by)
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        raise ConfigError("this account has no name; say who decides with --by NAME") from None


async def _list(store: Store, options: argparse.Namespace) -> int:
    matches = []
    if options.patient_id is not None:
        matches.append(Match("PatientID", "equal", (options.patient_id,)))
    if options.accession is not None:
        matches.append(Match("AccessionNumber", "equal", (options.accession,)))
    if options.since is not None:
        matches.append(Match("StudyDate", "range", (options.since, "")))
    patients = None if options.patient is None else (options.patient,)
    limit = min(max(options.count, 1), _MOST)
    rows = await store.images(ImageQuery(Level.STUDY, tuple(matches), patients, limit=limit))
    show(
        ("study", "date", "accession", "modalities", "series", "instances", "patient"),
        [
            (
                row.study_uid, _first(row, "00080020"), _first(row, "00080050"),
                " ".join(row.modalities), row.study_series, row.study_instances, row.patient,
            )
            for row in rows
        ],
    )  # fmt: skip
    return 0


def _first(row: ImageRow, tag: str) -> object:
    values = orjson.loads(row.study).get(tag, {}).get("Value", [])
    return values[0] if values else None


async def _show(store: Store, options: argparse.Namespace) -> int:
    match = Match("StudyInstanceUID", "equal", (options.study,))
    series = await store.images(ImageQuery(Level.SERIES, (match,), limit=_MOST))
    if not series:
        raise StorageError("there is no such study on the index")
    instances = await store.instances(options.study)
    sizes = {uid: 0 for uid in (row.series_uid for row in series)}
    for each in instances:
        sizes[each.series_uid] += each.size
    show(
        ("series", "instances", "bytes"),
        [(row.series_uid, row.series_instances, sizes[row.series_uid]) for row in series],
    )
    print(f"patient: {series[0].patient or '-'}")
    print(f"cold files: {sum(each.tier == 'cold' for each in instances)} of {len(instances)}")
    for hold in await store.holds(options.study):
        state = "held" if hold.released_at is None else f"held until {hold.released_at:%Y-%m-%d}"
        print(f"{state}: by {hold.placed_by} since {hold.placed_at:%Y-%m-%d}: {hold.reason}")
    return 0


async def _waiting(store: Store, options: argparse.Namespace) -> int:
    waiting = await store.unmatched(count=_MOST)
    show(
        ("study", "patient id", "issuer", "accession", "modalities", "instances", "since", "why"),
        [
            (
                each.study_uid, each.patient_id, each.issuer, each.accession,
                " ".join(each.modalities), each.instances, each.since, each.why,
            )
            for each in waiting
        ],
    )  # fmt: skip
    if any(each.why == "no-issuer" for each in waiting):
        print(_NO_ISSUER)
    return 0


async def _assign(store: Store, options: argparse.Namespace) -> int:
    await store.assign_study(options.study, options.patient, by=_who(options))
    print("assigned")
    return 0


async def _versions(store: Store, options: argparse.Namespace) -> int:
    if options.show is not None:
        if options.instance is None:
            raise ConfigError("--show: say of which SOP Instance UID")
        from wardlight_cloud.imaging.versions import show_version

        async with opened_intake(options.settings, store) as intake:
            await show_version(
                store, intake, options.instance, options.show,
                by=_who(options), reason=options.reason,
            )  # fmt: skip
    show(
        ("instance", "sha256", "bytes", "stored", "shown", "way", "gateway", "from", "study"),
        [
            (
                each.sop_uid, each.sha256.hex(), each.size, each.stored_at, each.is_shown,
                each.source.way, each.source.gateway, each.source.calling_ae or None,
                f"{each.study_uid} (not seen there)" if each.is_elsewhere else each.study_uid,
            )
            for each in await store.versions(options.instance)
        ],
    )  # fmt: skip
    return 0


async def _hold(store: Store, options: argparse.Namespace) -> int:
    await store.hold_study(options.study, reason=options.reason, by=_who(options))
    print("held")
    return 0


async def _release(store: Store, options: argparse.Namespace) -> int:
    if not await store.release_study(options.study, by=_who(options)):
        raise StorageError("this study is not under hold")
    print("released")
    return 0
