"""Instances in Explicit VR Little Endian, made of other transfer syntaxes by worker processes.

Errors  DicomWebError 406: this one cannot be made; the text says why
"""

from collections.abc import AsyncIterator, Sequence
from typing import Final

from wardlight_cloud.dicomweb.jobs import Transcoded
from wardlight_cloud.dicomweb.octets import Segment, Slice
from wardlight_cloud.dicomweb.parts import Part
from wardlight_cloud.dicomweb.syntaxes import EXPLICIT_LITTLE
from wardlight_cloud.dicomweb.workshop import Workshop
from wardlight_cloud.store.imaging import InstanceRef

_KIND: Final = f"application/dicom; transfer-syntax={EXPLICIT_LITTLE}"


class Transcoder:
    """Makes Explicit VR Little Endian of instances."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    async def transcoded(self, ref: InstanceRef) -> Segment:
        """The file anew; its file meta information and data set in Explicit VR Little Endian."""
        if ref.transfer_syntax == EXPLICIT_LITTLE:
            return Slice(ref.sha256, 0, ref.size)
        return await self._workshop.make(ref, Transcoded())

    async def parts(self, refs: Sequence[InstanceRef]) -> AsyncIterator[Part]:
        """Several, each made when it is its turn."""
        for ref in refs:
            yield Part(_KIND, await self.transcoded(ref))
