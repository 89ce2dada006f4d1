"""Look-up tables of grey images: Modality LUT and VOI LUT.

A table maps what comes in to 0 to 2**n - 1, n being the third value of its descriptor; what lies
before and after it takes its ends. Entries stand in words, or in octets where there are only so
many. The first value mapped is signed where what comes in can be: in Implicit VR nothing else says
it.
Source  PS3.3, C.11.1.1 and C.11.2.1.1

Errors  Refusal: a descriptor or data that are none
"""

from collections.abc import Iterable
from typing import NamedTuple, Self

import numpy as np
from pydicom.dataset import Dataset

from wardlight_cloud.dicomweb.making.refusal import Refusal
from wardlight_cloud.imaging.decoding import Samples

_MOST = 1 << 16  # entries; written as 0


class Lookup(NamedTuple):
    """A table: its entries, what the first of them stands for, and the largest there can be."""

    entries: Samples
    first: int
    most: int

    @classmethod
    def of(cls, item: Dataset, *, is_signed: bool) -> Self:
        """From an item of ModalityLUTSequence or VOILUTSequence.

        is_signed  whether values below zero can come in
        """
        try:
            count, first, bits = (int(each) for each in item.LUTDescriptor)
            entries = _entries(item.LUTData, (count % _MOST) or _MOST)
        except (AttributeError, TypeError, ValueError) as error:
            raise Refusal("A look-up table of this image cannot be read.") from error
        if not 8 <= bits <= 16:
            raise Refusal("A look-up table of this image has entries of no allowed depth.")
        if is_signed and first >= _MOST // 2:
            first -= _MOST
        return cls(entries, first, (1 << bits) - 1)

    def applied(self, values: Samples) -> Samples:
        """What the table makes of values, 0 to ``most``."""
        places = np.floor(values + 0.5) if values.dtype.kind == "f" else values
        places = np.clip(places.astype(np.int64) - self.first, 0, len(self.entries) - 1)
        return np.minimum(self.entries[places], self.most)


def _entries(data: bytes | int | Iterable[int], count: int) -> Samples:
    if isinstance(data, bytes):
        size = 2 if len(data) >= 2 * count else 1
        found = np.frombuffer(data, f"<u{size}")
    else:
        found = np.asarray([data] if isinstance(data, int) else list(data), np.int64) % _MOST
    if len(found) < count:
        raise ValueError("fewer entries than the descriptor says")
    return found[:count].astype(np.int32)
