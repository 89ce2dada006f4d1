"""Devices as TOML text, with the keys of [[device]] that differ from their defaults. Pure.

Source  TOML 1.0.0: basic strings, arrays, inline tables
"""

from collections.abc import Iterable
from datetime import date
from pathlib import Path

import msgspec

from wardlight_edge.config import DeviceSettings


def text_of(devices: Iterable[DeviceSettings], heading: str) -> str:
    """The whole file; ``heading`` is its first comment."""
    parts = [f"# {heading}\n"]
    for device in devices:
        lines = (f"{key} = {_value(value)}\n" for key, value in _given(device).items())
        parts.append("\n[[device]]\n" + "".join(lines))
    return "".join(parts)


def _given(section: msgspec.Struct) -> dict[str, object]:
    fields = msgspec.structs.fields(section)
    values = {each.encode_name: (getattr(section, each.name), each.default) for each in fields}
    return {key: value for key, (value, default) in values.items() if value != default}


def _value(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case str():
            return _string(value)
        case Path() | date():
            return _string(str(value))
        case tuple() | list():
            return f"[{', '.join(map(_value, value))}]"
        case msgspec.Struct():
            pairs = (f"{key} = {_value(each)}" for key, each in _given(value).items())
            return f"{{ {', '.join(pairs)} }}"
    raise TypeError(f"{type(value).__name__} has no form in TOML")


def _string(text: str) -> str:
    """JSON's form of a string is TOML's, but for DEL."""
    return msgspec.json.encode(text).decode().replace("\x7f", "\\u007f")
