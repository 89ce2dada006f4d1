"""Which profiles fit what a device advertises. Pure.

All keys of a profile's ``[match.ble]`` must fit; one that reads adverts fits only a device that
sends a kind its decoder reads. What is recognised is a suggestion: an operator enrols by address.
"""

from collections.abc import Mapping
from typing import Final

from wardlight_edge import devices
from wardlight_edge.transports.adverts import Sighting
from wardlight_shared.profile import MatchBle, Profile

_SERVICE_DATA: Final = "service-data:"
_GENERIC: Final = "generic"


def services_of(sighting: Sighting) -> tuple[str, ...]:
    """The services a device names, in its list or by sending data for them."""
    kinds = (each.kind for each in sighting.adverts)
    by_data = (kind.removeprefix(_SERVICE_DATA) for kind in kinds if kind.startswith(_SERVICE_DATA))
    return tuple(dict.fromkeys((*sighting.services, *by_data)))


def matching(sighting: Sighting, profiles: Mapping[str, Profile]) -> tuple[str, ...]:
    """The names of the profiles that fit: the most particular first, of equals the generic one."""
    found = [
        (-_particularity(match, profile), profile.device.manufacturer != _GENERIC, name)
        for name, profile in profiles.items()
        if (match := profile.match.ble) is not None and _fits(sighting, match, profile)
    ]
    return tuple(name for *_, name in sorted(found))


def _fits(sighting: Sighting, match: MatchBle, profile: Profile) -> bool:
    kinds = {each.kind for each in sighting.adverts}
    if match == MatchBle():
        return False
    if match.service is not None and match.service not in services_of(sighting):
        return False
    name = sighting.name or ""
    if match.name_prefix is not None and not name.startswith(match.name_prefix):
        return False
    company = match.manufacturer_id
    if company is not None and f"manufacturer:0x{company:04X}" not in kinds:
        return False
    if profile.transport.adverts is None:
        return True
    return not kinds.isdisjoint(devices.load_advert(profile.decoder).ADVERTS)


def _particularity(match: MatchBle, profile: Profile) -> int:
    """A name says more than a company, that more than data which is read, that than a service."""
    says = (match.name_prefix, match.manufacturer_id, profile.transport.adverts)
    return sum(2**place for place, each in enumerate(reversed(says)) if each is not None)
