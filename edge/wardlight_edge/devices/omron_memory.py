"""Omron cuffs that keep their records behind a lock: read from their memory, never written to.

In      one slot of the memory of a model, by its name as in "HEM-7322T"; see _omron_record
        B305B680-AEE7-11E1-A730-0002A5D5C51B and 49123040-, 4D0BF320-, 5128CE60-, 560F1420-AEE8-...:
        pieces of a conversation, which ``dialogue`` joins
Out     systolic_bp, diastolic_bp, pulse_rate_nibp with the cuff's own time and user number; see
        _omron_record. (): a slot never written, and the pieces by themselves
Errors  DecodeError: another length, a systolic pressure beyond what the cuff can hold
Options model = "HEM-7322T" and such, one of _omron_models: without it nothing is read
Source  userx14/omblepy; eigger/hass-omron: frames, addresses, slots and clocks, as each part names
Vectors tests/vectors/omron_memory.toml
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from wardlight_edge.devices._base import Options
from wardlight_edge.devices._dialogue import Bookmarks
from wardlight_edge.devices._gatt import decode_value
from wardlight_edge.devices._omron_frames import FROM_CUFF, UNLOCK
from wardlight_edge.devices._omron_memory import OmronMemory
from wardlight_edge.devices._omron_models import LAYOUTS
from wardlight_edge.devices._omron_record import readings_of
from wardlight_edge.devices._options import check_options
from wardlight_shared.errors import ConfigError
from wardlight_shared.model import Reading

CONTROL_POINTS: Final = frozenset({UNLOCK})

NEEDS_KEY: Final = True
"""The cuff is opened with a secret of 16 octets that the gateway keeps for it."""


def _slot(model: str, value: bytes) -> tuple[Reading, ...]:
    return readings_of(value, LAYOUTS[model], model, None)


def _piece(value: bytes) -> tuple[Reading, ...]:
    del value
    return ()


CHARACTERISTICS: Final[Mapping[str, Callable[[bytes], tuple[Reading, ...]]]] = {
    **{model: partial(_slot, model) for model in LAYOUTS},
    UNLOCK: _piece,
    **dict.fromkeys(FROM_CUFF, _piece),
}


def decode(characteristic: str, value: bytes) -> tuple[Reading, ...]:
    """Decode one slot of a model's memory; a piece of a conversation has no Readings."""
    return decode_value(CHARACTERISTICS, characteristic, value)


def dialogue(options: Options, bookmarks: Bookmarks) -> OmronMemory:
    """Make the conversation that reads the memory of one cuff."""
    check_options("omron_memory", options, frozenset({"model"}))
    model = options.get("model")
    if not isinstance(model, str) or model not in LAYOUTS:
        raise ConfigError(f"[options] model: must be one of {', '.join(LAYOUTS)}")
    return OmronMemory(model, LAYOUTS[model], bookmarks)
