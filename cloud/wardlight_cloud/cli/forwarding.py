"""Commands on forwarding rules: `wardlight-cloud dicom rule`, `dicom retry`."""

import argparse
import asyncio
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from wardlight_cloud.cli.dicom_arguments import ae_title, name, url, variable
from wardlight_cloud.cli.on_store import command
from wardlight_cloud.cli.tables import show
from wardlight_cloud.store.base import Store
from wardlight_cloud.store.forwarding import ForwardRule, ForwardTarget, RuleKind
from wardlight_shared.errors import ConfigError

_DAYS_DEFAULT: Final = 14


def add_commands(things: Any, config: argparse.ArgumentParser) -> None:
    """Add the parsers of these commands below `dicom`."""
    retry = command(things, config, "retry", "let what was given up wait again")
    retry.add_argument("rule", nargs="?", help="default: all rules")
    retry.set_defaults(action=_retry)
    rule = things.add_parser("rule", help="what is forwarded, and where to")
    steps = rule.add_subparsers(metavar="STEP", required=True)
    add = command(steps, config, "add", "forward what is stored from now on")
    add.add_argument("name", type=name, help="a-z, 0-9 and -")
    which = add.add_mutually_exclusive_group(required=True)
    which.add_argument("--all", action="store_true", help="all instances")
    which.add_argument("--modality", metavar="CODE", help="series of this modality, as CT")
    which.add_argument("--patient", type=UUID, metavar="ID", help="of this patient of the register")
    which.add_argument("--source", help="that came by this gateway, or from this calling AE title")
    where = add.add_mutually_exclusive_group(required=True)
    where.add_argument("--to", type=ae_title, metavar="AE_TITLE", help="a node, by C-STORE")
    where.add_argument("--to-url", type=url, metavar="URL", help="a DICOMweb service, by STOW-RS")
    token = add.add_mutually_exclusive_group()
    token.add_argument("--token-env", type=variable, metavar="NAME", help="holds its token")
    token.add_argument("--token-file", type=Path, metavar="FILE", help="the same, mode 0600")
    add.add_argument(
        "--give-up-days", type=int, default=_DAYS_DEFAULT, metavar="N", choices=range(1, 366),
        help=f"an instance that has not arrived by then is dead; default {_DAYS_DEFAULT}",
    )  # fmt: skip
    add.add_argument("--from-beginning", action="store_true", help="what is stored already, too")
    add.add_argument(
        "--dry-run", action="store_true",
        help="add nothing; say what the rule names, and whether its target answers",
    )  # fmt: skip
    add.set_defaults(action=_add_rule)
    command(steps, config, "list", "all rules").set_defaults(action=_list_rules)
    status = command(steps, config, "status", "how far each rule has come, and what is dead")
    status.set_defaults(action=_status)
    remove = command(steps, config, "remove", "remove a rule and its list of what was sent")
    remove.add_argument("name")
    remove.set_defaults(action=_remove_rule)


async def _add_rule(store: Store, options: argparse.Namespace) -> int:
    if options.to is not None and (options.token_env or options.token_file):
        raise ConfigError("a token is for --to-url; a node is known by its AE title")
    kind, value = _kind_and_value(options)
    token_file = None if options.token_file is None else str(options.token_file.absolute())
    target = ForwardTarget(options.to, options.to_url, options.token_env, token_file)
    rule = ForwardRule(options.name, kind, value, target, options.give_up_days)
    if options.dry_run:
        return await _try(store, rule, options)
    await store.put_rule(rule, from_beginning=options.from_beginning)
    print(f"{rule.name} forwards {_text_of(rule)}")
    return 0


async def _try(store: Store, rule: ForwardRule, options: argparse.Namespace) -> int:
    from wardlight_cloud.dimse.trying import answer_of

    studies, instances = await store.named_by(rule)
    when = "would be sent" if options.from_beginning else "are older than the rule, and stay"
    print(f"{rule.name} would forward {_text_of(rule)}")
    print(f"stored now: {instances} instances of {studies} studies, which {when}")
    nodes = {node.ae_title: node for node in await store.nodes()}
    does_answer, text = await asyncio.to_thread(
        answer_of, rule.target, nodes, options.settings.dicom
    )
    print(text)
    return 0 if does_answer else 1


def _kind_and_value(options: argparse.Namespace) -> tuple[RuleKind, str]:
    if options.modality is not None:
        return "modality", options.modality.upper()
    if options.patient is not None:
        return "patient", str(options.patient)
    if options.source is not None:
        return "source", options.source
    return "all", ""


def _text_of(rule: ForwardRule) -> str:
    what = f"{rule.kind} {rule.value}".strip()
    return f"{what} to {rule.target.ae_title or rule.target.url}"


async def _list_rules(store: Store, options: argparse.Namespace) -> int:
    show(
        ("rule", "forwards", "gives up after"),
        [(each.name, _text_of(each), f"{each.give_up_days} days") for each in await store.rules()],
    )
    return 0


async def _status(store: Store, options: argparse.Namespace) -> int:
    show(
        ("rule", "forwards", "waiting", "since", "sent", "dead", "last reason"),
        [
            (
                each.rule.name, _text_of(each.rule), each.waiting, each.oldest, each.sent,
                each.dead, each.reason,
            )
            for each in await store.forward_status()
        ],
    )  # fmt: skip
    dead = await store.dead_items()
    if dead:
        show(
            ("dead item", "rule", "SOP Instance UID", "attempts", "since", "reason"),
            [
                (each.item_id, each.rule, each.sop_uid, each.attempts, each.since, each.reason)
                for each in dead
            ],
        )
    return 0


async def _remove_rule(store: Store, options: argparse.Namespace) -> int:
    if not await store.remove_rule(options.name):
        raise ConfigError(f"there is no rule {options.name}")
    print(f"{options.name} is removed")
    return 0


async def _retry(store: Store, options: argparse.Namespace) -> int:
    print(f"{await store.retry_dead(options.rule)} instances wait again")
    return 0
