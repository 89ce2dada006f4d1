"""Associations of pynetdicom as a C-STORE, C-FIND or N-ACTION user opens them here."""

from typing import Any

from pynetdicom import AE
from pynetdicom.association import Association

from wardlight_edge.dicom.checkpoint import guard


def associate(entity: AE, *arguments: Any, **named: Any) -> Association:
    """As ``entity.associate``; a request begins when the reactor stands.

    Without this, a user that sends object after object now and then waits for its whole DIMSE
    timeout, since the reactor has taken the answer away.
    """
    made = entity.associate(*arguments, **named)
    if made.is_established:
        guard(made)
    return made
