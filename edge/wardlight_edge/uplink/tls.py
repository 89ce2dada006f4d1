"""TLS to the broker: the context, and in plain words why a handshake failed.

Errors  ConfigError: certificate files cannot be used
"""

import ssl
from pathlib import Path
from typing import Final

from wardlight_edge.config import UplinkSettings
from wardlight_shared.errors import ConfigError

NOT_LET_IN: Final = (
    "check that uplink.cert_file is of the authority that the broker trusts, and that the broker "
    "lets this gateway in"
)
"""What to do when this gateway's certificate is good as far as it can see itself."""


def context(settings: UplinkSettings) -> ssl.SSLContext:
    """TLS 1.2 or newer, the broker's certificate checked, ours shown."""
    for name in ("ca_file", "cert_file", "key_file"):
        _check_readable(name, getattr(settings, name))
    try:
        made = ssl.create_default_context(cafile=str(settings.ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"uplink.ca_file: {settings.ca_file} holds no certificate ({error}); "
            "put the authority's certificate there"
        ) from error
    try:
        made.load_cert_chain(settings.cert_file, settings.key_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"uplink.cert_file, uplink.key_file: {settings.cert_file} and {settings.key_file} are "
            f"no certificate and its key ({error}); put the pair of this gateway there"
        ) from error
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.sslsocket_class = _ClosingSocket
    return made


def _check_readable(name: str, path: Path) -> None:
    try:
        with path.open("rb"):
            return
    except OSError as error:
        raise ConfigError(
            f"uplink.{name}: {path} cannot be read ({error.strerror}); put the file back"
        ) from error


def explained(error: OSError | ValueError, settings: UplinkSettings, gateway: str) -> str:
    """Why there is no connection, and what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the broker's certificate is not accepted ({error.verify_message}): "
            "check uplink.ca_file, uplink.host and this gateway's clock"
        )
    if isinstance(error, ssl.SSLError):
        advice = own_fault(settings, gateway) or NOT_LET_IN
        return f"the broker broke off the TLS handshake ({error.reason or error}): {advice}"
    reason = getattr(error, "strerror", None) or error
    return f"{reason}: check uplink.host, uplink.port, the network and the broker"


def own_fault(settings: UplinkSettings, gateway: str) -> str | None:
    """What is wrong with this gateway's certificate; asked when the broker does not let it in."""
    # Late: only a gateway in trouble pays for reading certificates.
    from wardlight_edge.uplink import certificate

    return certificate.fault(settings.cert_file, gateway)


class _ClosingSocket(ssl.SSLSocket):
    """Closes itself when the handshake fails: paho 2.2 would leave it open until it is collected.

    A gateway whose broker is unreachable tries for days.
    """

    def do_handshake(self, block: bool = False) -> None:
        """Shake hands, or close."""
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise
