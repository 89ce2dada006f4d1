"""Which operations there are, on what, and what a token needs for them."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Protocol

from starlette.responses import Response

from wardlight_cloud.fhir.observation_searches import ObservationStore
from wardlight_cloud.fhir.operations.everything import Everything, Get
from wardlight_cloud.fhir.operations.lastn import lastn
from wardlight_cloud.fhir.operations.stats import stats
from wardlight_cloud.fhir.stored.asker import Asker
from wardlight_cloud.security.access import Interaction
from wardlight_cloud.store.sealing import CursorStore

Call = Callable[[Asker], Awaitable[Response]]


class OperationStore(ObservationStore, CursorStore, Protocol):
    """What operations ask of the store."""


class Operations:
    """The handlers; all may be asked by GET or POST, since none changes anything."""

    def __init__(
        self,
        store: OperationStore,
        get: Get,
        parameters: Callable[[], Mapping[str, Mapping[str, str]]],
    ) -> None:
        self._store = store
        self._everything = Everything(store, get, parameters)

    def call(self, method: str, kind: str, rest: str) -> tuple[Call, Interaction] | None:
        """The handler of a path below a kind, and what it needs; None: there is none."""
        if method not in ("GET", "HEAD", "POST"):
            return None
        match kind, rest.split("/"):
            case "Observation", ["$lastn"]:
                return partial(lastn, self._store), Interaction.SEARCH
            case "Observation", ["$stats"]:
                return partial(stats, self._store), Interaction.SEARCH
            case "Patient", [patient_id, "$everything"]:
                return partial(self._everything.of, patient_id=patient_id), Interaction.READ
        return None
