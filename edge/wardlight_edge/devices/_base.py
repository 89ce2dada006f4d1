"""What a decoder module is: a GATT decoder, an advert decoder or a serial decoder.

A profile names its decoder; the decoder is the module of that name in this package. All kinds
take bytes and give frozen values: they do no I/O, read no clock and keep no state beyond the
framing of one line. DecodeError is the only error that bytes can cause.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Protocol, runtime_checkable

import msgspec

from wardlight_shared.model import Reading

Options = Mapping[str, str | int | float | bool]
"""``[options]`` of a profile: settings of the decoder itself (line format, named quirks)."""

NO_OPTIONS: Final[Options] = MappingProxyType({})


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
    """What a serial device reported at one moment, and its samples since the frame before.

    before, after  where ``readings`` are the median of many values a second: what was shown lowest
                   and highest, in order, before and after the median was; () where nothing differed
    """

    readings: tuple[Reading, ...]
    samples: tuple[Samples, ...] = ()
    before: tuple[tuple[Reading, ...], ...] = ()
    after: tuple[tuple[Reading, ...], ...] = ()


class FramerCounts(msgspec.Struct, frozen=True):
    """Totals since the framer was made.

    frames          frames of the line (not of ``feed``) that were whole
    damaged         frames that were not: wrong checksum, lost or added bytes
    skipped_octets  bytes thrown away to find the next whole frame
    damaged_at      how many bytes were fed before the first that is damaged or missing, where the
                    framer tells; None = none
    """

    frames: int
    damaged: int
    skipped_octets: int
    damaged_at: int | None = None


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


class Assembler(Protocol):
    """Joins notifications of one link into whole values; a new link needs a new assembler."""

    def take(self, characteristic: str, segment: bytes) -> bytes | None:
        """Take one notification; return the value it completes, None while more must come.

        DecodeError for a segment that does not fit the one before: what was begun is given up.
        What is kept between calls is bounded. A characteristic that sends whole values is
        returned as it came.
        """
        ...


@runtime_checkable
class SegmentedDecoder(Protocol):
    """A GattDecoder whose ``decode`` takes values that may come in several notifications."""

    def assembler(self) -> Assembler:
        """Make the assembler of one link."""
        ...


@runtime_checkable
class WaveformDecoder(Protocol):
    """A GattDecoder that can also give the waveform of a value."""

    def decode_frame(self, characteristic: str, value: bytes) -> Frame:
        """Decode one value whole: the readings of ``decode``, and its samples."""
        ...


@runtime_checkable
class TunedWaveformDecoder(Protocol):
    """A WaveformDecoder whose samples mean what the options of a profile say."""

    def frame_decoder(self, options: Options) -> Callable[[str, bytes], Frame]:
        """Make the ``decode_frame`` of a profile; ConfigError for an option it does not know."""
        ...


class AdvertReceiver(Protocol):
    """What was heard of one device: adverts repeat, and a stranger may replay them."""

    @property
    def is_unique(self) -> bool:
        """Whether no two adverts of the device have the same bytes: each carries a counter."""
        ...

    @property
    def memory(self) -> bytes:
        """What the next receiver of this device must know, so that nothing is taken twice."""
        ...

    def take(self, kind: str, payload: bytes) -> tuple[Reading, ...]:
        """Decode one advert; () for a repetition and for what is not to be published.

        DecodeError: malformed; AdvertRefused: not to be believed. Then nothing has changed.
        """
        ...

    def rested(self) -> None:
        """Note that the device was silent for long: the same bytes are a new measurement now.

        What names itself (by a counter, a packet number or a time) stays a repetition.
        """
        ...


@runtime_checkable
class AdvertDecoder(Protocol):
    """A module that decodes advertisements.

    ``ADVERTS`` holds the kinds it reads: "service-data:0xFCD2" or "manufacturer:0x0157".
    """

    @property
    def ADVERTS(self) -> frozenset[str]:
        """Kinds of advertisement."""
        ...

    def receiver(
        self,
        address: bytes,
        key: bytes | None,
        memory: bytes = b"",
        options: Options = NO_OPTIONS,
    ) -> AdvertReceiver:
        """Make the receiver of one device: its 6-byte address as printed, its bind key or None.

        ``memory`` is that of the receiver before; b"" and what cannot be read is a new beginning,
        and so is another key. The key comes from a file of the gateway, never from a profile.
        ConfigError: an address or a key of another length, an option it does not know.
        """
        ...


class SerialDecoder(Protocol):
    """A module that decodes the byte stream of a serial device."""

    def framer(self, options: Options) -> Framer:
        """Make the framer of one line; ConfigError for an option it does not know."""
        ...


Decoder = GattDecoder | SerialDecoder | AdvertDecoder
