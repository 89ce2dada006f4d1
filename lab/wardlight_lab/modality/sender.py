"""Sends studies to a gateway as a modality does: one association a study, tried until it is taken.

What the gateway took (status 0x0000) is told to the caller: SOP Instance UID and the SHA-256 of the
pixels or the document that were sent.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.association import Association

from wardlight_lab.modality.association import associate

_log = logging.getLogger(__name__)
_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 30.0
_SUCCESS: Final = 0x0000

Taken = Callable[[str, str], None]
"""Is told SOP Instance UID and content hash of each object that was taken."""


class Modality:
    """A C-STORE user. ``stopped`` ends it between two objects."""

    def __init__(
        self, host: str, port: int, called_ae: str, taken: Taken, stopped: Callable[[], bool]
    ) -> None:
        self._host, self._port, self._called_ae = host, port, called_ae
        self._taken = taken
        self._stopped = stopped

    def send(self, calling_ae: str, objects: Sequence[Dataset]) -> bool:
        """Send a study; True when every object was taken, False when told to stop before."""
        waiting, pause_s = list(objects), _PAUSE_S
        while waiting and not self._stopped():
            taken = self._associated(calling_ae, waiting)
            waiting = waiting[taken:]
            if waiting and not self._stopped():
                _log.info("the gateway does not take images now", extra={"left": len(waiting)})
                self._pause(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        return not waiting

    def _associated(self, calling_ae: str, objects: Sequence[Dataset]) -> int:
        """How many, from the first on, were taken on one association."""
        entity = AE(ae_title=calling_ae)
        for made in objects:
            entity.add_requested_context(made.SOPClassUID, made.file_meta.TransferSyntaxUID)
        association = associate(entity, self._host, self._port, ae_title=self._called_ae)
        if not association.is_established:
            return 0
        try:
            return self._stored(association, objects)
        finally:
            if association.is_established:
                association.release()

    def _stored(self, association: Association, objects: Sequence[Dataset]) -> int:
        for taken, made in enumerate(objects):
            answer = association.send_c_store(made) if not self._stopped() else None
            if answer is None or answer.get("Status") != _SUCCESS:
                return taken
            self._taken(str(made.SOPInstanceUID), content_hash(made))
        return len(objects)

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._stopped():
            time.sleep(0.05)


def content_hash(made: Dataset) -> str:
    """SHA-256 of what the object shows: pixels, document or waveform, else of its UID."""
    for keyword in ("PixelData", "EncapsulatedDocument"):
        if keyword in made:
            return hashlib.sha256(made[keyword].value).hexdigest()
    return hashlib.sha256(str(made.SOPInstanceUID).encode()).hexdigest()
