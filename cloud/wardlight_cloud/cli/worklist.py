"""Commands on orders and the worklists of gateways: worklist add, list, remove, import, steps."""

import argparse
import asyncio
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from wardlight_cloud.cli.on_store import command
from wardlight_cloud.cli.tables import show
from wardlight_cloud.config import ImagesSettings
from wardlight_cloud.store.base import Patient, Store
from wardlight_shared.errors import ConfigError, StorageError, WardlightError

if TYPE_CHECKING:
    from wardlight_cloud.imaging.orders import Entry, OrderedStep
    from wardlight_cloud.store.orders import NewEntry

_GENDERS: Final = {"male": "M", "female": "F", "other": "O", "unknown": ""}
_REMARKS: Final = {
    "": "-", "another-patient": "the order is another patient's", "no-entry": "of no entry",
}  # fmt: skip
_FILE_BYTES: Final = 16 << 20
_FILES: Final = 10_000


def add_commands(commands: Any, config: argparse.ArgumentParser) -> None:
    """Add the parsers of these commands."""
    worklist = commands.add_parser("worklist", help="orders for modalities: add, list, remove")
    steps = worklist.add_subparsers(metavar="STEP", required=True)
    _add_parser(steps, config)
    bring = command(steps, config, "import", "put entries of DICOM or DICOM JSON files on lists")
    bring.add_argument("files", nargs="+", type=Path, metavar="FILE", help="files, or folders")
    _gateway(bring)
    bring.set_defaults(action=_import)
    listed = command(steps, config, "list", "entries by start")
    listed.add_argument("--gateway", help="only what is on the list of this one")
    listed.add_argument("--all", action="store_true", help="also what is done or removed")
    listed.set_defaults(action=_list)
    remove = command(steps, config, "remove", "take an order off all worklists")
    remove.add_argument("accession", help="number of the order")
    remove.add_argument("--step", help="only this scheduled step of it")
    remove.set_defaults(action=_remove)
    performed = command(steps, config, "steps", "what modalities said that they performed")
    performed.add_argument("--accession", help="only of this order")
    performed.set_defaults(action=_steps)


def _add_parser(steps: Any, config: argparse.ArgumentParser) -> None:
    add = command(steps, config, "add", "put one scheduled step of an order on worklists")
    add.add_argument("--accession", required=True, help="number of the order")
    whose = add.add_mutually_exclusive_group(required=True)
    whose.add_argument(
        "--patient", type=UUID, help="id in the register, as `patient list` shows it"
    )
    whose.add_argument("--name", help="of somebody who is not there: FAMILY^GIVEN")
    add.add_argument("--patient-id", help="with --name; else the first identifier of the register")
    add.add_argument("--issuer", default="", help="of --patient-id")
    add.add_argument("--birth-date", default="", metavar="YYYYMMDD", help="with --name")
    add.add_argument("--sex", default="", choices=("M", "F", "O"), help="with --name")
    add.add_argument("--modality", required=True, help="CT, US, ECG, ...")
    add.add_argument("--station", required=True, help="AE title of the modality")
    add.add_argument(
        "--start", required=True, type=_start, metavar="YYYY-MM-DDTHH:MM",
        help="local time of the site",
    )  # fmt: skip
    add.add_argument("--procedure", default="", help="what is ordered, in words")
    add.add_argument("--step", default="1", help="id of the scheduled step (default: 1)")
    add.add_argument("--study-uid", default="", help="default: the order's, or a new one")
    add.add_argument("--referring", default="", help="physician who asks: FAMILY^GIVEN")
    _gateway(add)
    add.set_defaults(action=_add)


def _gateway(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--gateway", action="append", required=True, help="on whose list; may be given again"
    )


def _start(text: str) -> str:
    found = datetime.fromisoformat(text)
    if found.tzinfo is not None:
        raise argparse.ArgumentTypeError("local time of the site, without an offset")
    return f"{found:%Y%m%d %H%M%S}"


async def _add(store: Store, options: argparse.Namespace) -> int:
    # Imported late, as in processes.py.
    from wardlight_cloud.imaging.orders import data_set_of

    entry = data_set_of(await _ordered(store, options))
    made = await _entry(store, entry, options.gateway, options.patient)
    new, changed = await _put(store, made, options.settings.images)
    print(f"{'added' if new else 'changed' if changed else 'known already'}: {made.study_uid}")
    return 0


async def _entry(
    store: Store, entry: "Entry", gateways: list[str], patient: UUID | None = None
) -> "NewEntry":
    """An entry that does not say its study gets that of its order, where there is one."""
    from wardlight_cloud.imaging.orders import accession_of, new_entry

    order = await store.order_of(accession_of(entry))
    known = order.study_uids[0] if order is not None and len(order.study_uids) == 1 else ""
    return new_entry(entry, gateways, patient=patient, study_uid=known)


async def _ordered(store: Store, options: argparse.Namespace) -> "OrderedStep":
    from wardlight_cloud.imaging.orders import OrderedStep

    name, patient_id, issuer = options.name, options.patient_id, options.issuer
    birth_date, sex = options.birth_date, options.sex
    if options.patient is not None:
        patient = await _patient(store, options.patient)
        name = f"{patient.family}^{patient.given}"
        patient_id, issuer = _identity(patient, patient_id, issuer, options.settings.images)
        birth_date = f"{patient.birth_date:%Y%m%d}" if patient.birth_date else ""
        sex = _GENDERS[patient.gender]
    if not patient_id:
        raise ConfigError("--patient-id: needed, and the register has none for this patient")
    return OrderedStep(
        options.accession, name, patient_id, options.modality, options.station, options.start,
        issuer, birth_date, sex, options.procedure, options.step, options.study_uid,
        options.referring,
    )  # fmt: skip


async def _patient(store: Store, patient_id: UUID) -> Patient:
    found, _ = await store.patients(ids=[patient_id])
    if not found:
        raise ConfigError(f"there is no patient {patient_id}; see `patient list`")
    return found[0]


def _identity(
    patient: Patient, patient_id: str | None, issuer: str, settings: ImagesSettings
) -> tuple[str, str]:
    """Patient ID and issuer as the modality will write them."""
    from wardlight_cloud.imaging.orders import issuer_of

    known = [each for each in patient.identifiers if patient_id in (None, each[1])]
    if patient_id is not None and not known:
        raise ConfigError("--patient-id: the register has no such identifier for this patient")
    if not known:
        return "", ""
    system, value = known[0]
    return value, issuer or issuer_of(system, settings.issuers, settings.issuer)


async def _import(store: Store, options: argparse.Namespace) -> int:
    counts = {"added": 0, "changed": 0, "known": 0, "refused": 0}
    for file in _files(options.files):
        try:
            for entry in await asyncio.to_thread(_read, file):
                made = await _entry(store, entry, options.gateway)
                new, changed = await _put(store, made, options.settings.images)
                counts["added" if new else "changed" if changed else "known"] += 1
        except StorageError:
            raise
        except WardlightError as error:
            print(f"{file}: {error}")
            counts["refused"] += 1
    print(
        f"{counts['added']} added, {counts['changed']} changed, {counts['known']} known already, "
        f"{counts['refused']} not taken"
    )
    return 1 if counts["refused"] else 0


def _read(file: Path) -> "list[Entry]":
    from wardlight_cloud.imaging.orders import data_sets_in

    try:
        if file.stat().st_size > _FILE_BYTES:
            raise ConfigError(f"larger than {_FILE_BYTES} octets")
        return data_sets_in(file.read_bytes())
    except OSError as error:
        raise ConfigError(error.strerror or "cannot be read") from None


def _files(paths: list[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        found += (
            sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
        )
    if len(found) > _FILES:
        raise ConfigError(f"{len(found)} files, at most {_FILES} at a time")
    return found


async def _put(store: Store, entry: "NewEntry", settings: ImagesSettings) -> tuple[int, int]:
    from wardlight_cloud.imaging.matching import Issuers
    from wardlight_cloud.imaging.order_owner import check_owner

    known = {gateway.gateway for gateway in await store.gateways()}
    unknown = sorted(set(entry.gateways) - known)
    if unknown:
        raise ConfigError(f"there is no gateway {unknown[0]!r}; see `gateway list`")
    await check_owner(store, entry, Issuers.of(settings))
    return await store.put_entries([entry])


async def _list(store: Store, options: argparse.Namespace) -> int:
    show(
        ("order", "step", "patient id", "modality", "station", "starts", "state", "gateways"),
        [
            (
                each.accession, each.step_id, each.patient_id, each.modality, each.station_ae,
                each.starts, each.state, ", ".join(each.gateways) or "-",
            )
            for each in await store.entries(
                gateway=options.gateway, everything=options.all, count=10_000
            )
        ],
    )  # fmt: skip
    return 0


async def _remove(store: Store, options: argparse.Namespace) -> int:
    count = await store.remove_entries(options.accession, options.step)
    print(f"{count} removed" if count else "none was on a list")
    return 0


async def _steps(store: Store, options: argparse.Namespace) -> int:
    show(
        ("order", "status", "modality", "station", "began", "ended", "gateway", "events", "remark"),
        [
            (
                ", ".join(sorted({s.accession for s in each.scheduled})) or "-", each.status,
                each.modality, each.station_ae, each.started, each.ended or "-", each.gateway,
                each.events, _REMARKS[each.remark],
            )
            for each in await store.steps(accession=options.accession, count=1000)
        ],
    )  # fmt: skip
    return 0
