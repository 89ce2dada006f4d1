"""The broker's permissions follow the register: written whole, then put in force.

The settings say where the file is and how the broker hears of it: by SIGHUP to the process that
``broker.pid_file`` names, or by ``broker.reload_command`` where it runs elsewhere (a container,
another account).
"""

import subprocess
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from wardlight_cloud.config import BrokerSettings
from wardlight_cloud.security.broker import BrokerPermissions
from wardlight_cloud.security.broker_reload import (
    BrokerReloadError,
    check_mosquitto_acl,
    reload_broker,
    write_permissions,
)
from wardlight_shared.errors import ConfigError

_COMMAND_TIMEOUT_S: Final = 30.0
_AGAIN: Final = "The register has the change; then run `wardlight-cloud gateway permissions`."


def permit(settings: BrokerSettings, gateways: Iterable[str]) -> str:
    """Let exactly these gateways in at the broker; returns what was done, for the operator.

    The broker is told even when the file says the same as before: it may not have read it.
    Raises ConfigError for a file that cannot be written or a name that fits no role, and
    BrokerReloadError when the broker was not told; both name the remedy.
    """
    file = settings.permissions_file
    if file is None:
        return (
            "The broker was not told: broker.permissions_file is not set, so its permissions are "
            "kept by somebody else (docs/operations.md, The broker's permissions)."
        )
    try:
        write_permissions(file, _text(settings, gateways))
        return _put_in_force(settings, file)
    except BrokerReloadError as error:
        raise BrokerReloadError(f"{error} {_AGAIN}") from error
    except OSError as error:
        raise ConfigError(
            f"broker.permissions_file: {file} cannot be written ({error.strerror}); run this as an "
            f"account that may. {_AGAIN}"
        ) from error


def _text(settings: BrokerSettings, gateways: Iterable[str]) -> str:
    try:
        permissions = BrokerPermissions(
            gateways=gateways, collectors=settings.collectors, apis=settings.apis
        )
    except ValueError as error:
        raise ConfigError(f"the broker's permissions: {error}") from error
    if settings.kind == "mosquitto":
        return permissions.mosquitto_acl()
    return permissions.nats_authorization()


def _put_in_force(settings: BrokerSettings, file: Path) -> str:
    if settings.pid_file is not None:
        try:
            reload_broker(settings.pid_file, partial(_check, settings, file), file)
        except PermissionError as error:
            raise BrokerReloadError(
                f"This account may not signal the broker that {settings.pid_file} names; run this "
                "as root or as the broker's account."
            ) from error
        return f"{file} is written, and the broker was told to read it."
    if settings.reload_command:
        _check(settings, file)
        _run(settings.reload_command)
        return f"{file} is written, and broker.reload_command told the broker to read it."
    return (
        f"{file} is written. The broker does not know yet: send it SIGHUP, or set broker.pid_file "
        "or broker.reload_command."
    )


def _check(settings: BrokerSettings, file: Path) -> None:
    # nats-server checks for itself, and keeps what it had.
    if settings.kind == "mosquitto":
        check_mosquitto_acl(file)


def _run(command: Sequence[str]) -> None:
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=_COMMAND_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BrokerReloadError(f"broker.reload_command does not run: {error}.") from error
    if result.returncode != 0:
        said = (result.stderr or result.stdout).strip()
        raise BrokerReloadError(
            f"broker.reload_command ended with exit code {result.returncode}: {said}"
        )
