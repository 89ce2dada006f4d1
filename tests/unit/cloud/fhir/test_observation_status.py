"""Observation.status of what was corrected or withdrawn (R4 4.0.1, observation-status)."""

import pytest

from wardlight_cloud.fhir.observation_texts import status
from wardlight_cloud.store.observation_rows import Kind
from wardlight_shared.codes import METRICS
from wardlight_shared.model import CODE_BY_ABSENT, Absent, Flag

INVALID = CODE_BY_ABSENT[Absent.INVALID]


def _kind(flags: Flag, absent: int = 0, metric: str = "systolic_bp") -> Kind:
    return Kind(METRICS[metric].wire, 0, absent, "mm[Hg]", int(flags))


GOOD = _kind(Flag(0), metric="diastolic_bp")
CORRECTED = _kind(Flag.CORRECTED)
WITHDRAWN = _kind(Flag.WITHDRAWN, INVALID)


@pytest.mark.parametrize(
    ("kinds", "code"),
    [
        ([GOOD], b"final"),
        ([CORRECTED], b"corrected"),
        ([_kind(Flag.CORRECTED | Flag.EARLY)], b"corrected"),
        ([WITHDRAWN], b"entered-in-error"),
        ([CORRECTED, GOOD], b"corrected"),
        ([WITHDRAWN, GOOD], b"corrected"),
        ([WITHDRAWN, WITHDRAWN], b"entered-in-error"),
        ([_kind(Flag.CORRECTED, INVALID)], b"entered-in-error"),
    ],
)
def test_status(kinds: list[Kind], code: bytes) -> None:
    flags = 0
    for kind in kinds:
        flags |= kind.flags
    assert status(kinds, flags) == code
