"""Where the running gateway of these settings listens, and what lets an operator in.

Errors  TransportError: it does not run, or this account may not speak to it
"""

from wardlight_edge.config import Settings
from wardlight_shared.errors import TransportError


def port_of(settings: Settings) -> int:
    """The port of its page."""
    file = settings.data_dir / "status.port"
    try:
        return int(file.read_text(encoding="ascii"))
    except PermissionError as error:
        # The folder is the gateway's own; its page is open to everybody on this machine.
        if settings.status.port:
            return settings.status.port
        raise TransportError(
            f"{file} may not be read: use the account of the gateway, or root"
        ) from error
    except (OSError, ValueError) as error:
        raise TransportError(f"the gateway does not run ({file} is not there)") from error


def token_of(settings: Settings) -> str:
    """What an operator shows; only the gateway's account and root can read it."""
    file = settings.data_dir / "status.token"
    try:
        return file.read_text(encoding="ascii").strip()
    except PermissionError as error:
        raise TransportError(f"{file}: use the account of the gateway, or root") from error
    except (OSError, UnicodeDecodeError) as error:
        raise TransportError(f"the gateway does not run ({file} is not there)") from error
