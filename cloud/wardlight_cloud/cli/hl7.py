"""Commands on HL7 v2 out: `wardlight-cloud hl7` (docs/hl7-out.md)."""

import argparse
from datetime import UTC, datetime
from typing import Any

from wardlight_cloud.cli.on_store import command, row_id
from wardlight_cloud.cli.tables import show
from wardlight_cloud.store.base import Store
from wardlight_shared.errors import ConfigError

# What sends is imported late, as in processes.py.


def add_commands(commands: Any, config: argparse.ArgumentParser) -> None:
    """Add the parsers of these commands."""
    hl7 = commands.add_parser("hl7", help="messages to systems that speak HL7 v2")
    steps = hl7.add_subparsers(metavar="STEP", required=True)
    listed = command(steps, config, "list", "how far each destination has come")
    listed.set_defaults(action=_list)
    command(steps, config, "dead", "messages that were refused").set_defaults(action=_dead)
    shown = command(steps, config, "show", "print a message; it holds a patient's data")
    shown.add_argument("message", type=row_id, help="its number, as `hl7 dead` shows it")
    shown.set_defaults(action=_show)
    retry = command(steps, config, "retry", "let dead messages wait again, with what holds now")
    retry.add_argument("destination", nargs="?", help="default: all")
    retry.add_argument("--message", type=row_id, metavar="N", help="only this one")
    retry.set_defaults(action=_retry)
    drop = command(steps, config, "drop", "forget a dead message")
    drop.add_argument("message", type=row_id, help="its number, as `hl7 dead` shows it")
    drop.set_defaults(action=_drop)
    test = command(steps, config, "test", "connect to a destination")
    test.add_argument("destination")
    test.add_argument(
        "--send", action="store_true",
        help="send a message without results, of a made-up patient, marked as test (MSH-11 T)",
    )  # fmt: skip
    test.set_defaults(action=_test)


async def _list(store: Store, options: argparse.Namespace) -> int:
    known = {each.name for each in options.settings.hl7.destinations}
    show(
        ("destination", "waiting", "since", "sent", "dead", "commits behind", "trouble"),
        [
            (
                each.name if each.name in known else f"{each.name} (not in the settings)",
                each.waiting, each.oldest, each.sent, each.dead, each.behind, each.reason,
            )
            for each in await store.hl7_status()
        ],
    )  # fmt: skip
    print("Observations that others wrote by FHIR are not sent: only what devices measured is.")
    return 0


async def _dead(store: Store, options: argparse.Namespace) -> int:
    show(
        ("message", "destination", "MSH-10", "patient", "observations", "attempts", "since",
         "answer"),
        [
            (
                each.message_id, each.destination, each.control_id, each.patient_id,
                each.observations, each.attempts, each.made_at, each.reason,
            )
            for each in await store.dead_hl7()
        ],
    )  # fmt: skip
    return 0


async def _show(store: Store, options: argparse.Namespace) -> int:
    body = await store.hl7_body(options.message)
    if body is None:
        raise ConfigError(f"there is no message {options.message} that waits or is dead")
    print(body.decode().replace("\r", "\n"), end="")
    return 0


async def _retry(store: Store, options: argparse.Namespace) -> int:
    from wardlight_cloud.hl7.retrying import retry

    retried = await retry(store, options.destination, options.message)
    print(f"{retried.waiting} messages wait again")
    if retried.overtaken:
        print(
            f"{retried.overtaken} messages are dropped: what they told is their patient's no longer"
        )
    return 0


async def _drop(store: Store, options: argparse.Namespace) -> int:
    if not await store.drop_hl7(options.message):
        raise ConfigError(f"there is no dead message {options.message}")
    print("it is forgotten")
    return 0


async def _test(store: Store, options: argparse.Namespace) -> int:
    from wardlight_cloud.hl7.destinations import destinations
    from wardlight_cloud.hl7.mllp import MllpClient, MllpError
    from wardlight_cloud.hl7.trying import CONTROL_ID, test_message

    found = [
        each for each in destinations(options.settings.hl7) if each.name == options.destination
    ]
    if not found:
        raise ConfigError(f"hl7.destinations has no {options.destination}")
    to = found[0]
    try:
        async with MllpClient(to.address) as client:
            print(f"{to.name} takes connections")
            if options.send:
                body = test_message(to.parties, datetime.now(UTC))
                answer = await client.send(body, CONTROL_ID)
                print(f"it answers {answer.code} {answer.error}".strip())
                return 0 if answer.code == "AA" else 1
    except MllpError as error:
        print(f"{to.name}: {error}")
        return 1
    return 0
