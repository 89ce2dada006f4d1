"""What every kind of own/ is to the face: its parameters, its pages, its reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from wardlight_cloud.fhir.own.asked import Asked
from wardlight_cloud.security.access import Reach


@dataclass(frozen=True, slots=True)
class Made:
    """One resource. ``version`` and ``updated`` None: it has neither."""

    resource: dict[str, Any]
    version: str | None = None
    updated: datetime | None = None


Page = tuple[Sequence[Made], bytes | None]
"""Resources, and the cursor of the next page; None = this was the last."""


class OwnKind(Protocol):
    """One kind of resource."""

    @property
    def kind(self) -> str:
        """Its name."""

    @property
    def parameters(self) -> Mapping[str, str]:
        """Search parameters and their types, as the CapabilityStatement says."""

    async def find(self, asked: Asked, reach: Reach, *, count: int, after: bytes | None) -> Page:
        """A page; ValueError for a cursor that is not one of this search."""

    async def read(self, resource_id: str, reach: Reach) -> Made | None:
        """One resource; None where there is none in reach."""
