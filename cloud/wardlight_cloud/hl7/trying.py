"""A message that no patient's record can be hurt by, to try a destination."""

from datetime import datetime
from typing import Final
from uuid import UUID

from wardlight_cloud.hl7.messages import Parties, message
from wardlight_cloud.store.base import Patient

CONTROL_ID: Final = "WARDLIGHT-TEST"


def test_message(parties: Parties, now: datetime) -> bytes:
    """An ORU^R01 without results, for training (MSH-11 T)."""
    nobody = Patient(UUID(int=0), "TEST", "WARDLIGHT", None, "unknown", (), 0, now)
    return message(parties, nobody, (), control_id=CONTROL_ID, now=now, processing="T")
