"""Sample array of a Generic Health Sensor: a piece of a waveform, as Samples in powers of ten.

In      unit u16 | scale factor, offset, sample period in s: FLOAT-Type | samples a period u8
        | octets a sample u8 | count u32 | the samples, little endian
        value of a sample = scale factor * sample + offset
        Integers of two's complement; a sensor that means them without a sign says so in its profile
        ([options] samples = "unsigned"). No public text says which of the two the standard means;
        the encoders that its authors published give the bounds of the samples a sign
Out     Samples, each value exact where the scale factor is m * 10**n with m of at most two digits
        and the offset has no finer digit; else rounded to less than a twentieth of one step of the
        sensor, so that each step can be told from the next. A range beyond 16 bit becomes several
        runs with other origins, none is cut
Errors  DecodeError: another number of octets than stated, a factor, offset or period that is no
        number, factor 0, 0 or more than 4 octets a sample, several values a period (a vector, of
        which the code tells no parts), a rate that is no waveform's, over 128 runs, a unit
        that does not fit
Source  Bluetooth GHSS 1.0, 3.2 (fields). The formula: HL7 Personal Health Device IG, profile
        PhdRtsaObservation (mapping of ISO/IEEE 11073-10206 to FHIR SampledData, whose data are
        multiplied by the factor before the origin is added) and its example 2;
        brianreinhold/NordicPHDs GhsControlStructs.h (y = mx + b, y the original quantity);
        philips-labs/BLE-GHS-Server-Simulator SampleArrayObservation.kt. Signed: the last two
"""

from collections.abc import Iterator
from decimal import Decimal
from struct import Struct, unpack
from typing import Final

import msgspec

from wardlight_edge.devices._base import Samples
from wardlight_edge.devices._ghs_fields import Fields
from wardlight_edge.devices._mdc import DIMENSIONS, UNIT_BY_CODE
from wardlight_edge.devices._units import is_permitted
from wardlight_shared.errors import DecodeError
from wardlight_shared.floats import float_from_word, parts_from_decimal

HEAD: Final = Struct("<HIIIBBI")
_WIDTHS: Final = range(1, 5)
_CODES: Final = {1: "b", 2: "h", 4: "i"}
_MOST_UNIT_PLACES: Final = range(-12, 7)  # picovolt to megaohm
_MOST_DIGITS: Final = 15  # of an offset in steps of the waveform
_MOST_RUNS: Final = 128
RATES_MHZ: Final = range(1000, 10_000_001)
_SPAN: Final = 3 << 14  # of a run: 16 bit less the distance of two origins
_STEP: Final = 1 << 14
_LOW, _HIGH = -(1 << 15), (1 << 15) - 1


class SampleArray(msgspec.Struct, frozen=True):
    """The fields as they came; ``factor``, ``offset`` and ``period`` are words of FLOAT-Type."""

    unit: int
    factor: int
    offset: int
    period: int
    dimensions: int
    width: int
    octets: bytes


def sample_array(fields: Fields) -> SampleArray:
    """Read the value of a sample array observation."""
    unit, factor, offset, period, dimensions, width, count = fields.read(HEAD)
    return SampleArray(unit, factor, offset, period, dimensions, width, fields.take(width * count))


def rate_mhz(period: int) -> int | None:
    """Rate in millihertz of a period in s, a word of FLOAT-Type; None for no waveform's."""
    seconds = float_from_word(period)
    if not isinstance(seconds, Decimal) or seconds <= 0 or not -5 <= seconds.adjusted() <= 0:
        return None
    rate = round(1000 / seconds)
    return rate if rate in RATES_MHZ else None


def runs(
    array: SampleArray, metric: str, where: str, *, is_signed: bool = True
) -> tuple[Samples, ...]:
    """Return the samples of ``metric``; they end where a second ends."""
    unit = UNIT_BY_CODE.get(DIMENSIONS | array.unit)
    if unit is None or not is_permitted(metric, unit):
        raise DecodeError(f"{where}: unit {array.unit} does not fit {metric}")
    rate = rate_mhz(array.period)
    if rate is None:
        raise DecodeError(f"{where}: the sample period of {metric} is that of no waveform")
    if array.dimensions != 1 or array.width not in _WIDTHS:
        raise DecodeError(
            f"{where}: {metric} has {array.dimensions} samples a period of {array.width} octets, "
            f"wanted is 1 of 1 to 4"
        )
    factor, offset = float_from_word(array.factor), float_from_word(array.offset)
    if not isinstance(factor, Decimal) or not isinstance(offset, Decimal) or not factor:
        raise DecodeError(f"{where}: scale factor or offset of {metric} is no number")
    scale = _scale(factor, offset)
    if scale not in _MOST_UNIT_PLACES or offset.adjusted() - scale > _MOST_DIGITS:
        raise DecodeError(f"{where}: scale factor and offset of {metric} are those of no waveform")
    values = _scaled(_integers(array, is_signed), factor, offset, scale)
    first = _first(len(values), rate)
    found: list[Samples] = []
    for origin, run in _by_origin(values):
        if len(found) == _MOST_RUNS:
            raise DecodeError(f"{where}: {metric} varies too much to be a waveform")
        packed = b"".join((each - origin).to_bytes(2, "little", signed=True) for each in run)
        found.append(Samples(metric, unit, rate, first, origin, packed, scale))
        first += len(run)
    return tuple(found)


def _integers(array: SampleArray, is_signed: bool) -> list[int]:
    code = _CODES.get(array.width)
    if code is None:
        width, octets = array.width, array.octets
        return [
            int.from_bytes(octets[at : at + width], "little", signed=is_signed)
            for at in range(0, len(octets), width)
        ]
    count = len(array.octets) // array.width
    return list(unpack(f"<{count}{code if is_signed else code.upper()}", array.octets))


def _scale(factor: Decimal, offset: Decimal) -> int:
    """Power of ten of the values: the exact one, or the second digit of the factor."""
    exact = min(_exponent(factor), _exponent(offset)) if offset else _exponent(factor)
    return max(exact, factor.adjusted() - 1)


def _exponent(number: Decimal) -> int:
    """Place of the last digit that is not 0."""
    mantissa, exponent = parts_from_decimal(number)
    while mantissa % 10 == 0:
        mantissa, exponent = mantissa // 10, exponent + 1
    return exponent


def _scaled(samples: list[int], factor: Decimal, offset: Decimal, scale: int) -> list[int]:
    """Return factor * sample + offset in units of 10**scale, half to even."""
    by, by_exponent = parts_from_decimal(factor)
    plus, plus_exponent = parts_from_decimal(offset)
    exponent = min(by_exponent, plus_exponent, scale)
    by, plus = by * 10 ** (by_exponent - exponent), plus * 10 ** (plus_exponent - exponent)
    unit = 10 ** (scale - exponent)
    return [_rounded(by * sample + plus, unit) for sample in samples]


def _rounded(number: int, unit: int) -> int:
    whole, rest = divmod(number, unit)
    return whole + (2 * rest > unit or (2 * rest == unit and whole & 1))


def _first(count: int, rate: int) -> int:
    """Place of the first sample in the seconds that end with the last one."""
    seconds = -(-count * 1000 // rate)
    return -(-seconds * rate // 1000) - count


def _by_origin(values: list[int]) -> Iterator[tuple[int, list[int]]]:
    """Cut into runs that 16 bit can hold; with origin 0 wherever that does."""
    run: list[int] = []
    low = high = values[0] if values else 0
    for each in values:
        wider = min(low, each), max(high, each)
        if wider[1] - wider[0] > _SPAN and not _fits(*wider):
            yield _origin(low, high), run
            run, wider = [], (each, each)
        low, high = wider
        run.append(each)
    if run:
        yield _origin(low, high), run


def _fits(low: int, high: int) -> bool:
    return low >= _LOW and high <= _HIGH


def _origin(low: int, high: int) -> int:
    """The same for runs of about the same place, so that one block can hold them."""
    return 0 if _fits(low, high) else ((low + high) // 2 + _STEP // 2) // _STEP * _STEP
