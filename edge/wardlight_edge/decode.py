"""``wardlight-edge decode``: what a hex string of a device means, as JSON.

A tool for people: it needs no settings, no radio and no gateway. decode_gatt and decode_values
find the decoder, decode_json describes what is printed.

Exit codes  0 decoded; 2 malformed bytes or a wrong question, with one line that says what and where
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from wardlight_edge import decode_gatt, decode_input, decode_json, decode_values
from wardlight_shared.errors import ConfigError, DecodeError
from wardlight_shared.floats import float_type, sfloat
from wardlight_shared.model import Absent, DeviceInfo

_ADDRESS_UNKNOWN: Final = bytes(6)
_KEY_BYTES: Final = 16
_FLOATS: Final[Mapping[str, tuple[int, Callable[[bytes], Decimal | Absent]]]] = {
    "sfloat": (2, sfloat),
    "float": (4, float_type),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.epilog = (
        "HEX may hold spaces, colons, dashes and 0x. With - it is read from standard input; for "
        "--char and --advert one notification or advertisement a line, in order."
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--char", metavar="UUID", help="value of this GATT characteristic")
    what.add_argument(
        "--advert", metavar="KIND", help="advertisement: service-data:UUID or manufacturer:ID"
    )
    what.add_argument(
        "--serial", metavar="NAME",
        help=f"bytes of a serial line, masimo also text: {', '.join(decode_values.serial_names())}",
    )  # fmt: skip
    what.add_argument("--hl7", action="store_true", help="HL7 v2 message, hex or text")
    what.add_argument("--astm", action="store_true", help="ASTM E1394 records, hex or text")
    what.add_argument("--apdu", action="store_true", help="ISO/IEEE 11073-20601 APDUs")
    what.add_argument("--sfloat", action="store_true", help="SFLOAT-Type, little endian as in GATT")
    what.add_argument("--float", action="store_true", help="FLOAT-Type, little endian as in GATT")
    parser.add_argument("--service", metavar="UUID", help="service of the characteristic")
    parser.add_argument("--manufacturer", metavar="M", help="as Device Information says it")
    parser.add_argument("--model", metavar="N", help="as Device Information says it")
    parser.add_argument("--address", metavar="A", help="address of an encrypted advertisement")
    parser.add_argument(
        "--key-file", type=Path, metavar="FILE", help="file with the bind key in hex"
    )
    parser.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE",
        help="setting of the decoder, as in [options] of a profile",
    )  # fmt: skip
    parser.add_argument("hex", nargs="+", metavar="HEX", help="the bytes, or - for standard input")


def run(options: argparse.Namespace) -> int:
    """Decode and print; returns the exit code."""
    try:
        shown = _document(options)
    except DecodeError as error:
        sys.stderr.write(f"wardlight-edge: {' '.join(str(error).split())}\n")
        return 2
    if _is_empty(shown, is_message=options.char is None and options.advert is None):
        sys.stderr.write("wardlight-edge: nothing in this is a reading to publish\n")
    sys.stdout.write(json.dumps(shown, ensure_ascii=False, indent=2) + "\n")
    return 0


def _is_empty(shown: Mapping[str, Any], *, is_message: bool) -> bool:
    """Whether nothing was found: a message is asked for its readings, not for its sender."""
    return not any(shown[name] for name in shown if name != "device" or not is_message)


_OF_CHAR: Final = ("service", "manufacturer", "model")
_OF_ADVERT: Final = ("address", "key_file")
_OF_OTHERS: Final = ("option",)


def _check_options(options: argparse.Namespace) -> None:
    """An option that means nothing for what is decoded is a mistake, not to be passed over."""
    is_number = any(getattr(options, name) for name in _FLOATS)
    for names, is_meant, where in (
        (_OF_CHAR, options.char is not None, "--char"),
        (_OF_ADVERT, options.advert is not None, "--advert"),
        (
            _OF_OTHERS,
            options.advert is None and not is_number,
            "--serial, --hl7, --astm, --apdu and waveforms of --char",
        ),
    ):
        given = [name for name in names if getattr(options, name)]
        if given and not is_meant:
            raise ConfigError(f"--{given[0].replace('_', '-')}: goes with {where} only")


def _document(options: argparse.Namespace) -> dict[str, Any]:
    _check_options(options)
    for name, (size, function) in _FLOATS.items():
        if getattr(options, name):
            return decode_json.number_document(_floats(_one(options), name, size, function))
    return decode_json.document(_decoded(options))


def _decoded(options: argparse.Namespace) -> decode_json.Decoded:
    settings = _settings(options.option)
    if options.char is not None:
        service = (
            None if options.service is None else decode_values.uuid(options.service, "--service")
        )
        info = DeviceInfo(manufacturer=options.manufacturer, model=options.model)
        characteristic = decode_values.uuid(options.char, "--char")
        return decode_gatt.gatt(characteristic, service, info, _several(options), settings)
    if options.advert is not None:
        address, key = _address(options.address), _key(options.key_file)
        return decode_values.advert(options.advert, address, key, _several(options))
    if options.serial is not None:
        return decode_values.serial(options.serial, _line(options), settings)
    name = next(each for each in ("hl7", "astm", "apdu") if getattr(options, each))
    return decode_values.message(name, _message(options), settings)


def _several(options: argparse.Namespace) -> Sequence[bytes]:
    if options.hex == ["-"]:
        return decode_input.lines(_standard_input())
    return [decode_input.octets(" ".join(options.hex))]


def _one(options: argparse.Namespace) -> bytes:
    if options.hex == ["-"]:
        return decode_input.octets(_standard_input(), "standard input")
    return decode_input.octets(" ".join(options.hex))


def _line(options: argparse.Namespace) -> bytes:
    if options.hex == ["-"]:
        return decode_input.line(_standard_input(), "standard input", decode_input.STANDARD_INPUT)
    return decode_input.line(" ".join(options.hex))


def _message(options: argparse.Namespace) -> bytes:
    if options.hex == ["-"]:
        return decode_input.message(
            _standard_input(), "standard input", decode_input.STANDARD_INPUT
        )
    return decode_input.message(" ".join(options.hex))


def _standard_input() -> str:
    octets = sys.stdin.buffer.read(decode_input.MAX_CHARACTERS + 1)
    if len(octets) > decode_input.MAX_CHARACTERS:
        raise DecodeError(f"standard input: more than {decode_input.MAX_CHARACTERS} bytes")
    return octets.decode(decode_input.STANDARD_INPUT)


def _floats(
    octets: bytes, name: str, size: int, function: Callable[[bytes], Decimal | Absent]
) -> list[Decimal | Absent]:
    if len(octets) % size:
        raise DecodeError(f"--{name}: {len(octets)} bytes, each number has {size}")
    return [function(octets[at : at + size]) for at in range(0, len(octets), size)]


def _settings(pairs: Sequence[str]) -> dict[str, str | int | float | bool]:
    found: dict[str, str | int | float | bool] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError(f"--option {pair}: write NAME=VALUE")
        words: dict[str, bool] = {"true": True, "false": False}
        found[name] = int(value) if value.isdecimal() else words.get(value, value)
    return found


def _address(text: str | None) -> bytes:
    if text is None:
        return _ADDRESS_UNKNOWN
    octets = decode_input.octets(text, "--address")
    if len(octets) != len(_ADDRESS_UNKNOWN):
        raise ConfigError(f"--address: {len(octets)} bytes, an address has 6")
    return octets


def _key(file: Path | None) -> bytes | None:
    if file is None:
        return None
    try:
        text = file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--key-file {file}: cannot be read") from error
    octets = decode_input.octets(text, "--key-file")
    if len(octets) != _KEY_BYTES:
        raise ConfigError(f"--key-file {file}: {len(octets)} bytes, a bind key has {_KEY_BYTES}")
    return octets
