"""What a decoder module is: a GATT decoder or a serial decoder.

A profile names its decoder; the decoder is the module of that name in this package. Both kinds
take bytes and give frozen values: they do no I/O, read no clock and keep no state beyond the
framing of one line. DecodeError is the only error that bytes can cause.
"""

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

import msgspec

from wardlight_shared.model import Reading

Options = Mapping[str, str | int | float | bool]
"""``[options]`` of a profile: settings of the decoder itself (line format, named quirks)."""


class GattDecoder(Protocol):
    """A module that decodes values of GATT characteristics into Readings.

    ``CHARACTERISTICS`` holds what it decodes: 16-bit UUID as in "0x2A35", or the 128-bit UUID in
    capitals, to the function for it.
    """

    @property
    def CHARACTERISTICS(self) -> Mapping[str, Callable[[bytes], tuple[Reading, ...]]]:
        """Characteristic to decoding function."""
        ...

    def decode(self, characteristic: str, value: bytes) -> tuple[Reading, ...]:
        """Decode one value whole: all its readings, or DecodeError and none of them.

        A value without a reading to store (an intermediate cuff pressure) gives ().
        """
        ...


@runtime_checkable
class SitedDecoder(Protocol):
    """A GattDecoder of a device that may say once, beside its values, where it measures."""

    @property
    def SITE_CHARACTERISTIC(self) -> str:
        """The characteristic that says it."""
        ...

    def body_site(self, value: bytes) -> str | None:
        """Decode it: the site's name, None for one that means nothing. May raise DecodeError."""
        ...

    def at_site(self, readings: tuple[Reading, ...], site: str | None) -> tuple[Reading, ...]:
        """Give ``site`` to the readings that name none."""
        ...


class Samples(msgspec.Struct, frozen=True):
    """An unbroken run of waveform samples, in the form of records.WaveformBody.

    metric    a ``metric`` of the code table
    unit      UCUM unit
    rate_mhz  sampling rate in millihertz
    first     place of sample 0, counted in samples from the start of the frame
    origin    value of sample s = (origin + s) * 10**scale
    samples   int16, little endian
    """

    metric: str
    unit: str
    rate_mhz: int
    first: int
    origin: int
    samples: bytes
    scale: int = 0


class Frame(msgspec.Struct, frozen=True):
    """What a serial device reported at one moment, and its samples since the frame before."""

    readings: tuple[Reading, ...]
    samples: tuple[Samples, ...] = ()


class FramerCounts(msgspec.Struct, frozen=True):
    """Totals since the framer was made.

    frames          frames of the line (not of ``feed``) that were whole
    damaged         frames that were not: wrong checksum, lost or added bytes
    skipped_octets  bytes thrown away to find the next whole frame
    """

    frames: int
    damaged: int
    skipped_octets: int


class Framer(Protocol):
    """The framing state of one line; a new line needs a new framer."""

    @property
    def counts(self) -> FramerCounts:
        """What was received so far."""
        ...

    def feed(self, octets: bytes) -> tuple[Frame, ...]:
        """Take the next bytes of the line, any number; return the frames they complete.

        Never raises for what a line can carry. The result does not depend on how the bytes were
        cut into calls, and what is kept between calls is bounded.
        """
        ...


class SerialDecoder(Protocol):
    """A module that decodes the byte stream of a serial device."""

    def framer(self, options: Options) -> Framer:
        """Make the framer of one line; ConfigError for an option it does not know."""
        ...


Decoder = GattDecoder | SerialDecoder
