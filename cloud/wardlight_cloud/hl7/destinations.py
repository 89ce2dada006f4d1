"""Destinations as the settings have them.

Errors  ConfigError: a certificate that cannot be read, a metric that is none
"""

import ssl

from wardlight_cloud.config import Hl7DestinationSettings, Hl7Settings
from wardlight_cloud.hl7.messages import Parties
from wardlight_cloud.hl7.mllp import Address
from wardlight_cloud.hl7.sender import Destination
from wardlight_shared.codes import METRICS
from wardlight_shared.errors import ConfigError


def destinations(settings: Hl7Settings) -> tuple[Destination, ...]:
    """All of them; none are named twice."""
    return tuple(_destination(settings, each) for each in settings.destinations)


def _destination(settings: Hl7Settings, own: Hl7DestinationSettings) -> Destination:
    unknown = [name for name in own.metrics if name not in METRICS]
    if unknown:
        raise ConfigError(
            f"hl7.destinations.metrics: {unknown[0]} is no metric; docs/devices.md names them"
        )
    return Destination(
        own.name,
        Address(own.host, own.port, _context(own), own.answer_s),
        Parties(
            settings.application, settings.facility, own.application, own.facility,
            own.authorities,
        ),
        own.interval_s,
        frozenset(METRICS[name].wire for name in own.metrics),
    )  # fmt: skip


def _context(own: Hl7DestinationSettings) -> ssl.SSLContext | None:
    if not own.tls:
        return None
    try:
        context = ssl.create_default_context(cafile=own.ca_file)
        if own.cert_file is not None:
            context.load_cert_chain(own.cert_file, own.key_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"hl7.destinations {own.name}: ca_file, cert_file or key_file cannot be read "
            f"({type(error).__name__})"
        ) from None
    return context
