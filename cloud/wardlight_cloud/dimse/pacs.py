"""A PACS as the source of an import: what it has, by C-FIND, and by which way it gives it.

Errors  PacsError: the PACS refuses or does not answer
Source  PS3.4 C.4.1
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydicom.dataset import Dataset
from pynetdicom import build_context
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext

from wardlight_cloud.config import DicomSettings
from wardlight_cloud.dimse.entity import (
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
    Entity,
)
from wardlight_cloud.store.forwarding import DicomNode
from wardlight_shared.errors import ConfigError, WardlightError

_ADDRESS: Final = re.compile(
    r"ae://(?P<ae>[^@\\]{1,16})"
    r"(?:@(?P<host>[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):(?P<port>[0-9]{1,5}))?"
)
PENDING: Final = frozenset({0xFF00, 0xFF01})
SUCCESS: Final = 0x0000
Way = Literal["get", "move"]
WAYS: Final[dict[Way, str]] = {"get": STUDY_ROOT_GET, "move": STUDY_ROOT_MOVE}
"""Ways to fetch, the better one first: a C-GET needs nothing of the PACS but our AE title."""


class PacsError(WardlightError):
    """The PACS refuses, or does not answer."""


@dataclass(frozen=True, slots=True)
class PacsStudy:
    """A study of the PACS; "" where it does not tell."""

    study_uid: str
    date: str
    modalities: str


@dataclass(frozen=True, slots=True)
class PacsInstance:
    """An instance of the PACS; ``sop_class`` "" where it is not told."""

    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class: str


def pacs_node(address: str) -> DicomNode | str:
    """The node of ``ae://CALLED@host:port``, or the AE title of ``ae://CALLED``, of our list.

    ConfigError for another text.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise ConfigError("write the PACS as ae://CALLED_AE@host:port, or ae://AE_TITLE of a node")
    if match["host"] is None:
        return match["ae"]
    if not 0 < int(match["port"]) < 65536:
        raise ConfigError(f"there is no port {match['port']}")
    return DicomNode(match["ae"], match["host"].strip("[]"), int(match["port"]))


class Pacs:
    """Asks one PACS."""

    def __init__(self, node: DicomNode, settings: DicomSettings, *, calling: str) -> None:
        self.node = node
        self.calling = calling
        self.entity = Entity(settings.model_copy(update={"ae_title": calling}))

    def ways(self) -> tuple[Way, ...]:
        """By which ways it gives objects, the better one first."""
        with self.association([build_context(each) for each in WAYS.values()]) as assoc:
            accepted = {context.abstract_syntax for context in assoc.accepted_contexts}
        return tuple(way for way, uid in WAYS.items() if uid in accepted)

    def studies(self, date: str = "") -> list[PacsStudy]:
        """Its studies, of a date or range of dates or all."""
        wanted = Dataset()
        wanted.QueryRetrieveLevel, wanted.StudyInstanceUID = "STUDY", ""
        wanted.StudyDate, wanted.ModalitiesInStudy = date, ""
        with self.association([build_context(STUDY_ROOT_FIND)]) as assoc:
            found = [_study(each) for each in _answers(assoc.send_c_find(wanted, STUDY_ROOT_FIND))]
        return list({each.study_uid: each for each in found}.values())

    def instances(self, study_uid: str) -> dict[str, PacsInstance]:
        """Instances of a study by SOP Instance UID."""
        found: dict[str, PacsInstance] = {}
        with self.association([build_context(STUDY_ROOT_FIND)]) as assoc:
            for series in self._series(assoc, study_uid):
                wanted = Dataset()
                wanted.QueryRetrieveLevel, wanted.StudyInstanceUID = "IMAGE", study_uid
                wanted.SeriesInstanceUID, wanted.SOPClassUID = series, ""
                wanted.SOPInstanceUID = ""
                for answer in _answers(assoc.send_c_find(wanted, STUDY_ROOT_FIND)):
                    uid, sop_class = str(answer.SOPInstanceUID), answer.get("SOPClassUID")
                    found[uid] = PacsInstance(study_uid, series, uid, str(sop_class or ""))
        return found

    def _series(self, assoc: Association, study_uid: str) -> list[str]:
        wanted = Dataset()
        wanted.QueryRetrieveLevel, wanted.StudyInstanceUID = "SERIES", study_uid
        wanted.SeriesInstanceUID = ""
        answers = _answers(assoc.send_c_find(wanted, STUDY_ROOT_FIND))
        return [str(answer.SeriesInstanceUID) for answer in answers]

    def association(self, contexts: Sequence[PresentationContext], **more: Any) -> "_Standing":
        """An association as a context manager; released at its end."""
        named = self.entity.calling(self.node, list(contexts))
        return _Standing(self.entity, self.node, named | more)


class _Standing:
    """An association that stands, or PacsError."""

    def __init__(self, entity: Entity, node: DicomNode, named: dict[str, Any]) -> None:
        self._assoc = entity.associate(node.host, node.port, **named)
        self._node = node

    def __enter__(self) -> Association:
        if not self._assoc.is_established:
            why = "refuses the association" if self._assoc.is_rejected else "does not answer"
            raise PacsError(f"{self._node.ae_title} {why}")
        return self._assoc

    def __exit__(self, *exception: object) -> None:
        if self._assoc.is_established:
            self._assoc.release()


def _study(answer: Dataset) -> PacsStudy:
    modalities = answer.get("ModalitiesInStudy") or ""
    several = [modalities] if isinstance(modalities, str) else list(modalities)
    return PacsStudy(
        str(answer.StudyInstanceUID), str(answer.get("StudyDate") or ""), "+".join(several)
    )


def _answers(answers: Iterator[tuple[Dataset, Dataset | None]]) -> Iterator[Dataset]:
    for status, answer in answers:
        code = status.get("Status")
        if code in PENDING and answer is not None:
            yield answer
        elif code != SUCCESS:
            raise PacsError("no answer" if code is None else f"C-FIND ended with {code:#06x}")
