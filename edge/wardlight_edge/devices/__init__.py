"""Decoders without I/O: one file for each device family, named by the profiles.

``load`` finds the module that a profile's ``decoder`` names; there is no list to edit.
"""

from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import Final, cast

from wardlight_edge.devices._adverts import AdvertRefused, Refusal
from wardlight_edge.devices._base import (
    NO_OPTIONS,
    AdvertDecoder,
    AdvertReceiver,
    Assembler,
    Decoder,
    Frame,
    Framer,
    FramerCounts,
    GattDecoder,
    Options,
    Samples,
    SegmentedDecoder,
    SerialDecoder,
    SitedDecoder,
    TunedWaveformDecoder,
    WaveformDecoder,
)
from wardlight_edge.devices._body_packets import NAME as BODY_COMPOSITION
from wardlight_edge.devices._body_packets import BodyPackets
from wardlight_edge.devices._conversation import (
    Action,
    Conversation,
    ConversingDecoder,
    Event,
    HangUp,
    Now,
    Reject,
    Say,
    Subject,
    Take,
    Tell,
)
from wardlight_edge.devices._dialogue import (
    KEY,
    KEY_OCTETS,
    Bookmark,
    Bookmarks,
    ClockShown,
    ConsentingDecoder,
    Dialogue,
    DialogueDecoder,
    Done,
    Fetched,
    InformedDialogue,
    KeyedDecoder,
    Passed,
    Read,
    Steps,
    Trouble,
    Write,
)
from wardlight_edge.devices._event import event_id
from wardlight_edge.devices._plausible import flag_implausible
from wardlight_edge.devices._quirks import repaired
from wardlight_edge.devices._units import ConversionError, convert
from wardlight_edge.devices._user_data import Consent
from wardlight_shared.errors import ConfigError

__all__ = [
    "BODY_COMPOSITION",
    "COMPANIONS",
    "KEY",
    "KEY_OCTETS",
    "NO_OPTIONS",
    "Action",
    "AdvertDecoder",
    "AdvertReceiver",
    "AdvertRefused",
    "Assembler",
    "BodyPackets",
    "Bookmark",
    "Bookmarks",
    "ClockShown",
    "Consent",
    "ConsentingDecoder",
    "Conversation",
    "ConversingDecoder",
    "ConversionError",
    "Decoder",
    "Dialogue",
    "DialogueDecoder",
    "Done",
    "Event",
    "Fetched",
    "Frame",
    "Framer",
    "FramerCounts",
    "GattDecoder",
    "HangUp",
    "InformedDialogue",
    "KeyedDecoder",
    "Now",
    "Options",
    "Passed",
    "Read",
    "Refusal",
    "Reject",
    "Samples",
    "Say",
    "SegmentedDecoder",
    "SerialDecoder",
    "SitedDecoder",
    "Steps",
    "Subject",
    "Take",
    "Tell",
    "Trouble",
    "TunedWaveformDecoder",
    "WaveformDecoder",
    "Write",
    "convert",
    "event_id",
    "flag_implausible",
    "is_conversing",
    "load",
    "load_advert",
    "load_conversing",
    "load_gatt",
    "load_serial",
    "names",
    "provisional",
    "repaired",
]

COMPANIONS: Final[Mapping[str, str]] = {
    "0x2A19": "battery",
    "0x2A08": "current_time",
    "0x2A0F": "current_time",
    "0x2A2B": "current_time",
    "0x2A23": "device_information",
    "0x2A24": "device_information",
    "0x2A25": "device_information",
    "0x2A26": "device_information",
    "0x2A27": "device_information",
    "0x2A28": "device_information",
    "0x2A29": "device_information",
    "0x2A2A": "device_information",
    "0x2A50": "device_information",
    "0x2BFF": "device_information",
}
"""Characteristics that stand beside the measurement in any device, to the module for them."""


def names() -> tuple[str, ...]:
    """The names of all decoders of this program: the public modules of this package."""
    found = (module.name for module in iter_modules(__path__))
    return tuple(sorted(name for name in found if not name.startswith("_")))


def provisional(name: str) -> frozenset[str]:
    """Characteristics of the decoder ``name`` that show a measurement before it has settled."""
    found: frozenset[str] = getattr(load(name), "PROVISIONAL", frozenset())
    return found


@lru_cache(maxsize=64)
def load(name: str) -> Decoder:
    """Return the decoder module ``name``; ConfigError when this program has none of that name."""
    if not name.isidentifier() or name.startswith("_") or find_spec(f"{__name__}.{name}") is None:
        raise ConfigError(f"decoder {name!r}: no such module in {__name__}")
    return cast(Decoder, import_module(f"{__name__}.{name}"))


def load_gatt(name: str) -> GattDecoder:
    """Return the GATT decoder ``name``; ConfigError when it is none."""
    module = load(name)
    if not hasattr(module, "CHARACTERISTICS"):
        raise ConfigError(f"decoder {name!r} decodes no GATT characteristics")
    return cast(GattDecoder, module)


def load_serial(name: str) -> SerialDecoder:
    """Return the serial decoder ``name``; ConfigError when it is none."""
    module = load(name)
    if not hasattr(module, "framer"):
        raise ConfigError(f"decoder {name!r} decodes no serial line")
    return cast(SerialDecoder, module)


def load_advert(name: str) -> AdvertDecoder:
    """Return the advert decoder ``name``; ConfigError when it is none."""
    module = load(name)
    if not isinstance(module, AdvertDecoder):
        raise ConfigError(f"decoder {name!r} decodes no advertisements")
    return module


def is_conversing(name: str) -> bool:
    """Whether the decoder ``name`` answers its device."""
    return hasattr(load(name), "conversation")


def load_conversing(name: str) -> ConversingDecoder:
    """Return the decoder ``name`` that answers its device; ConfigError when it is none."""
    module = load(name)
    if not is_conversing(name):
        raise ConfigError(f"decoder {name!r} holds no conversation")
    return cast(ConversingDecoder, module)
