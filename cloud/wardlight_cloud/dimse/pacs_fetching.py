"""Objects of a PACS into files: by C-GET, or by C-MOVE to ourselves.

Errors  PacsError: the PACS refuses or does not answer
Source  PS3.4 C.4.2 (C-MOVE), C.4.3 (C-GET); PS3.7 D.3.3.4 (role selection)
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

from pydicom.dataset import Dataset
from pynetdicom import AllStoragePresentationContexts, build_context, build_role, evt

from wardlight_cloud.dimse.entity import STUDY_ROOT_GET, STUDY_ROOT_MOVE
from wardlight_cloud.dimse.pacs import PENDING, SUCCESS, Pacs, PacsError, PacsInstance
from wardlight_cloud.dimse.pacs_receiving import Keeper, Receiver, syntaxes

_SOME_FAILED: Final = 0xB000
_NONE_SENT: Final = 0xA702
_UNKNOWN_DESTINATION: Final = 0xA801
_CLASSES_A_TIME: Final = 120  # of 128 contexts, one is the retrieval's own
_UIDS_A_TIME: Final = 100


class Fetching(Protocol):
    """A way to fetch."""

    def fetch(self, instances: Iterable[PacsInstance], folder: Path, *, uncompressed: bool) -> None:
        """Write instances of a study into ``folder``; what does not come is not told.

        ``uncompressed``: take nothing else. A server that has chosen a compressed syntax for a SOP
        class sends what it has uncompressed only to those who leave it no choice.
        """


class ByGet:
    """The objects come on the association that asks for them."""

    def __init__(self, pacs: Pacs) -> None:
        self._pacs = pacs

    def fetch(self, instances: Iterable[PacsInstance], folder: Path, *, uncompressed: bool) -> None:
        """See Fetching."""
        wanted = list(instances)
        named = list(dict.fromkeys(each.sop_class for each in wanted))
        classes = _storage_classes() if "" in named else tuple(named)
        keeper = Keeper(folder, (each.sop_uid for each in wanted))
        for start in range(0, len(classes), _CLASSES_A_TIME):
            group = classes[start : start + _CLASSES_A_TIME]
            fitting = [each for each in wanted if each.sop_class in ("", *group)]
            self._get(fitting, group, keeper, uncompressed=uncompressed)

    def _get(
        self,
        wanted: Sequence[PacsInstance],
        classes: tuple[str, ...],
        keeper: Keeper,
        *,
        uncompressed: bool,
    ) -> None:
        taken = syntaxes(uncompressed=uncompressed)
        contexts = [build_context(STUDY_ROOT_GET)]
        contexts += [build_context(each, taken) for each in classes]
        with self._pacs.association(
            contexts,
            ext_neg=[build_role(each, scp_role=True) for each in classes],
            evt_handlers=[(evt.EVT_C_STORE, keeper.keep)],
        ) as assoc:
            for identifier in _by_series(wanted):
                for status, _ in assoc.send_c_get(identifier, STUDY_ROOT_GET):
                    _check(status, "C-GET")


class ByMove:
    """The PACS calls us: it knows our AE title, our address and the port of the receiver."""

    def __init__(self, pacs: Pacs, receiver: Receiver, port: int) -> None:
        self._pacs = pacs
        self._receiver = receiver
        self._port = port

    def fetch(self, instances: Iterable[PacsInstance], folder: Path, *, uncompressed: bool) -> None:
        """See Fetching."""
        wanted = list(instances)
        keeper = Keeper(folder, (each.sop_uid for each in wanted))
        with (
            self._receiver.taking(keeper, uncompressed=uncompressed),
            self._pacs.association([build_context(STUDY_ROOT_MOVE)]) as assoc,
        ):
            for identifier in _by_series(wanted):
                for status, _ in assoc.send_c_move(identifier, self._pacs.calling, STUDY_ROOT_MOVE):
                    self._check_destination(status)
                    _check(status, "C-MOVE")

    def _check_destination(self, status: Dataset) -> None:
        if status.get("Status") == _UNKNOWN_DESTINATION:
            raise PacsError(
                f"{self._pacs.node.ae_title} does not know where {self._pacs.calling} is: enter "
                f"there this AE title with the address of this machine and port {self._port}"
            )


def _by_series(wanted: Iterable[PacsInstance]) -> Iterator[Dataset]:
    """Identifiers of retrievals at level IMAGE, of a few instances each."""
    by_series: dict[tuple[str, str], list[str]] = {}
    for each in wanted:
        by_series.setdefault((each.study_uid, each.series_uid), []).append(each.sop_uid)
    for (study_uid, series_uid), uids in by_series.items():
        for start in range(0, len(uids), _UIDS_A_TIME):
            identifier = Dataset()
            identifier.QueryRetrieveLevel, identifier.StudyInstanceUID = "IMAGE", study_uid
            identifier.SeriesInstanceUID = series_uid
            identifier.SOPInstanceUID = uids[start : start + _UIDS_A_TIME]
            yield identifier


def _check(status: Dataset, service: str) -> None:
    """Objects of other SOP classes than we asked with count as failed: that is no error."""
    code = status.get("Status")
    if code is None:
        raise PacsError(f"the association ended during {service}")
    if code not in (*PENDING, SUCCESS, _SOME_FAILED, _NONE_SENT):
        raise PacsError(f"{service} ended with {code:#06x}")


def _storage_classes() -> tuple[str, ...]:
    return tuple(str(each.abstract_syntax) for each in AllStoragePresentationContexts)
