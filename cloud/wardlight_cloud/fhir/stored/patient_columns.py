"""The columns of the register that a Patient resource says: what readings are matched by."""

from datetime import UTC, date, datetime
from typing import Any, Final, Literal
from uuid import UUID

from wardlight_cloud.store.base import Patient

_GENDERS: Final[dict[str, Literal["male", "female", "other", "unknown"]]] = {
    "male": "male", "female": "female", "other": "other", "unknown": "unknown",
}  # fmt: skip
_WHOLE_DAY: Final = len("2026-01-31")


def patient_columns(resource: dict[str, Any]) -> Patient:
    """A row of the register; a birth date that is not a whole day is none."""
    name = _name(resource.get("name", []))
    given = name.get("given", [])
    birth = resource.get("birthDate", "")
    return Patient(
        patient_id=UUID(resource["id"]),
        family=name.get("family", ""),
        given=" ".join(each for each in given if isinstance(each, str)),
        birth_date=date.fromisoformat(birth) if len(birth) == _WHOLE_DAY else None,
        gender=_GENDERS.get(resource.get("gender", ""), "unknown"),
        identifiers=tuple(
            (each.get("system", ""), each["value"])
            for each in resource.get("identifier", [])
            if each.get("value")
        ),
        commit_seq=0,
        updated_at=datetime.now(UTC),
    )


def _name(names: list[dict[str, Any]]) -> dict[str, Any]:
    """The official name, else the usual one, else the first."""
    for use in ("official", "usual"):
        for name in names:
            if name.get("use") == use:
                return name
    return names[0] if names else {}
