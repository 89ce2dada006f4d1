"""A waveform that comes in notifications of any size, cut into whole seconds. Pure.

What a session folds into blocks are frames of one second (devices.Samples). A break in the
waveform shows as a second without its first sample: the block before it ends there.
"""


class Seconds:
    """Collects samples of ``size`` octets, ``rate`` a second, and gives out whole seconds.

    Kept between calls: less than one second.
    """

    def __init__(self, rate: int, size: int) -> None:
        self._whole = rate * size
        self._size = size
        self._octets = bytearray()
        self._is_broken = False

    def broken(self) -> None:
        """Samples were lost: what is collected is given up."""
        self._octets.clear()
        self._is_broken = True

    def add(self, samples: bytes) -> bytes | None:
        """Take whole samples; return all seconds they complete, None when there is none."""
        self._octets += samples
        end = len(self._octets) - len(self._octets) % self._whole
        if not end:
            return None
        done = bytes(self._octets[self._size * self._is_broken : end])
        del self._octets[:end]
        self._is_broken = False
        return done


def first_of(count: int, rate: int) -> int:
    """Place of the first of ``count`` samples that end with a second."""
    return -count % rate
