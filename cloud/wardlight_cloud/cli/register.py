"""Commands on the register and the ledger: gateway, patient, user, client, ledger."""

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from typing import Any, TypeVar
from uuid import uuid4

from wardlight_cloud.cli.assigning import add_commands as add_assigning
from wardlight_cloud.cli.on_store import command
from wardlight_cloud.cli.tables import show
from wardlight_cloud.store.base import Patient, Store
from wardlight_shared.errors import ConfigError

# Imported late, as in processes.py: hashing and the web framework are not every command's business.
_GENDERS = ("male", "female", "other", "unknown")
_PAGE = 500
_T = TypeVar("_T")


def add_commands(commands: Any, config: argparse.ArgumentParser) -> None:
    """Add the parsers of these commands."""
    _gateway(commands, config)
    _patient(commands, config)
    user = command(commands, config, "user", "add a dashboard user, or give one a new password")
    user.add_argument("login")
    user.set_defaults(action=_put_user)
    client = command(commands, config, "client", "add an API client, or give one a new token")
    client.add_argument("name")
    client.add_argument(
        "--scope", action="append", metavar="SCOPE", help="default: system/*.rs (read all)"
    )
    client.set_defaults(action=_put_client)
    ledger = command(
        commands,
        config,
        "ledger",
        "what is recorded, stored, missing, and why",
    )
    ledger.add_argument("gateway", nargs="?", help="default: all")
    ledger.add_argument("--letters", action="store_true", help="list the dead letters too")
    ledger.add_argument(
        "--release", type=int, metavar="LETTER", help="a dead letter is dealt with: let it go"
    )
    ledger.set_defaults(action=_ledger)


def _gateway(commands: Any, config: argparse.ArgumentParser) -> None:
    gateway = commands.add_parser("gateway", help="add, disable and list gateways; their devices")
    steps = gateway.add_subparsers(metavar="STEP", required=True)
    for name, text, action in (
        ("add", "let a gateway in (its certificate has this name)", _add_gateway),
        ("disable", "refuse a gateway from now on", _disable_gateway),
    ):
        step = command(steps, config, name, text)
        step.add_argument("gateway", help="3 to 32 of a-z, 0-9 and '-'")
        step.set_defaults(action=action)
    command(steps, config, "list", "all gateways").set_defaults(action=_list_gateways)
    command(steps, config, "devices", "all devices").set_defaults(action=_list_devices)
    add_assigning(steps, config)


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
    command(steps, config, "list", "all patients").set_defaults(action=_list_patients)


async def _add_gateway(store: Store, options: argparse.Namespace) -> int:
    from wardlight_cloud.security.roles import Role

    if not Role.GATEWAY.accepts(options.gateway):
        raise ConfigError(
            f"{options.gateway!r} is no name of a gateway: 3 to 32 of a-z, 0-9 and '-', "
            "and not the start of another role's names"
        )
    await store.put_gateway(options.gateway)
    return 0


async def _disable_gateway(store: Store, options: argparse.Namespace) -> int:
    known = {gateway.gateway for gateway in await store.gateways()}
    if options.gateway not in known:
        raise ConfigError(f"there is no gateway {options.gateway!r}; see `gateway list`")
    await store.put_gateway(options.gateway, enabled=False)
    return 0


async def _list_gateways(store: Store, options: argparse.Namespace) -> int:
    show(
        ("gateway", "enabled", "online", "last seen", "software"),
        [
            (each.gateway, each.enabled, each.online, each.last_seen_at, each.software)
            for each in await store.gateways()
        ],
    )
    return 0


async def _list_devices(store: Store, options: argparse.Namespace) -> int:
    found = await _every(lambda after: store.devices(count=_PAGE, after=after))
    show(
        ("device", "gateway", "last seen", "battery %"),
        [(each.identity, each.gateway, each.last_seen_at, each.battery_percent) for each in found],
    )
    return 0


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
    found = await _every(lambda after: store.patients(count=_PAGE, after=after))
    show(
        ("patient", "family", "given", "born"),
        [(each.patient_id, each.family, each.given, each.birth_date) for each in found],
    )
    return 0


async def _put_user(store: Store, options: argparse.Namespace) -> int:
    from wardlight_cloud.security.passwords import hash_password, new_password

    password = new_password()
    await store.put_user(options.login, await asyncio.to_thread(hash_password, password))
    print(f"password of {options.login}: {password}")
    return 0


async def _put_client(store: Store, options: argparse.Namespace) -> int:
    from wardlight_cloud.security.tokens import new_token, token_hash

    token = new_token()
    await store.put_client(options.name, token_hash(token), options.scope or ["system/*.rs"])
    print(f"bearer token of {options.name} (shown once): {token}")
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


async def _every(
    page: Callable[[bytes | None], Awaitable[tuple[tuple[_T, ...], bytes | None]]],
) -> list[_T]:
    """All rows of all pages; ``page`` reads the one that begins after a cursor."""
    rows, after = await page(None)
    found = list(rows)
    while after is not None:
        rows, after = await page(after)
        found += rows
    return found


def _causes(counts: Any) -> str:
    return ", ".join(f"{count} {cause}" for cause, count in sorted(counts.items())) or "0"
