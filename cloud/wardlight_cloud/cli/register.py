"""Commands on the register and the ledger: patient, user, client, ledger."""

import argparse
from collections import Counter
from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

from wardlight_cloud.cli.on_store import PAGE, all_pages, command, row_id
from wardlight_cloud.cli.tables import show
from wardlight_cloud.store.base import Patient, Store

_GENDERS = ("male", "female", "other", "unknown")


def add_commands(commands: Any, config: argparse.ArgumentParser) -> None:
    """Add the parsers of these commands."""
    _patient(commands, config)
    ledger = command(
        commands,
        config,
        "ledger",
        "what is recorded, stored, missing, and why",
    )
    ledger.add_argument("gateway", nargs="?", help="default: all")
    ledger.add_argument("--letters", action="store_true", help="list the dead letters too")
    ledger.add_argument(
        "--release", type=row_id, metavar="LETTER", help="a dead letter is dealt with: let it go"
    )
    ledger.set_defaults(action=_ledger)


def _patient(commands: Any, config: argparse.ArgumentParser) -> None:
    patient = commands.add_parser("patient", help="add and list patients")
    steps = patient.add_subparsers(metavar="STEP", required=True)
    add = command(steps, config, "add", "add a patient; prints the id")
    add.add_argument("--family", required=True)
    add.add_argument("--given", required=True)
    add.add_argument("--birth-date", type=date.fromisoformat, metavar="YYYY-MM-DD")
    add.add_argument("--gender", choices=_GENDERS, default="unknown")
    add.add_argument("--identifier", nargs=2, action="append", metavar=("SYSTEM", "VALUE"))
    add.set_defaults(action=_add_patient)
    listed = command(steps, config, "list", "all patients")
    listed.add_argument(
        "--shared", action="store_true",
        help="only those that have the same identifier (system and value) as another one",
    )  # fmt: skip
    listed.set_defaults(action=_list_patients)


async def _add_patient(store: Store, options: argparse.Namespace) -> int:
    patient = Patient(
        patient_id=uuid4(),
        family=options.family,
        given=options.given,
        birth_date=options.birth_date,
        gender=options.gender,
        identifiers=tuple(map(tuple, options.identifier or ())),
        commit_seq=0,
        updated_at=datetime.now(UTC),
    )
    print((await store.put_patient(patient)).patient_id)
    return 0


async def _list_patients(store: Store, options: argparse.Namespace) -> int:
    found = await all_pages(lambda after: store.patients(count=PAGE, after=after))
    if options.shared:
        told = Counter(pair for each in found for pair in set(each.identifiers) if pair[0])
        found = [each for each in found if any(told[pair] > 1 for pair in each.identifiers)]
    show(
        ("patient", "family", "given", "born"),
        [(each.patient_id, each.family, each.given, each.birth_date) for each in found],
    )
    return 0


async def _ledger(store: Store, options: argparse.Namespace) -> int:
    if options.release is not None:
        await store.release_dead_letter(options.release)
    reports = await store.ledger_report(options.gateway)
    show(
        (
            "gateway",
            "outbox",
            "recorded",
            "stored",
            "rejected",
            "removed",
            "missing",
            "lost before",
        ),
        [
            (
                each.gateway,
                _outbox(each.epoch),
                each.recorded,
                each.stored,
                each.rejected,
                _causes(each.removed),
                sum(last - first + 1 for first, last in each.missing),
                _causes(each.losses),
            )
            for each in reports
        ],
    )
    if options.letters:
        letters = await store.dead_letters(count=1000)
        show(
            ("letter", "gateway", "outbox", "seq", "bytes", "stored", "reason"),
            [
                (
                    each.letter_id, each.gateway, _outbox(each.epoch), each.seq, each.size_bytes,
                    each.stored_at, each.reason,
                )
                for each in letters
                if options.gateway in (None, each.gateway)
            ],
        )  # fmt: skip
    return 0


def _outbox(epoch: int) -> str:
    """As the operations page shows it."""
    return f"{epoch:016x}"


def _causes(counts: Any) -> str:
    return ", ".join(f"{count} {cause}" for cause, count in sorted(counts.items())) or "0"
