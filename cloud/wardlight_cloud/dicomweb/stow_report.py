"""What a STOW request is told of each of its instances (PS3.18, 10.5.3 and annex I)."""

from typing import Any, Final

import orjson

from wardlight_cloud.dicomweb.addresses import series_address, study_address
from wardlight_cloud.dicomweb.storing import Taken, Verdict

_Json = dict[str, Any]

OUT_OF_RESOURCES: Final = 0xA700
CANNOT_UNDERSTAND: Final = 0xC000
PROCESSING_FAILURE: Final = 0x0110
DUPLICATE: Final = 0x0111
NO_SUCH_CLASS: Final = 0x0122
OTHER_STUDY: Final = 0xA900  # the data set does not match what was asked for
_REASONS: Final = {
    Verdict.CONFLICT: DUPLICATE,
    Verdict.UNREADABLE: CANNOT_UNDERSTAND,
    Verdict.NO_STUDY: NO_SUCH_CLASS,
    Verdict.OTHER_STUDY: OTHER_STUDY,
    Verdict.NO_ROOM: OUT_OF_RESOURCES,
    Verdict.FAILED: PROCESSING_FAILURE,
}


class StowReport:
    """Collects verdicts; ``body`` is the answer."""

    def __init__(self, root: str, study_uid: str | None) -> None:
        self._root = root
        self._study_uid = study_uid
        self._stored: list[_Json] = []
        self._failed: list[_Json] = []
        self._others: list[_Json] = []
        self._studies: dict[str, None] = {}
        self._reasons: set[int] = set()

    def add(self, taken: Taken) -> None:
        """The verdict on a file."""
        if taken.verdict is Verdict.STORED:
            self._studies[taken.study_uid] = None
            address = f"{study_address(self._root, taken.study_uid)}/instances"
            if taken.series_uid:
                base = series_address(self._root, taken.study_uid, taken.series_uid)
                address = f"{base}/instances/{taken.sop_uid}"
            self._stored.append(_named(taken) | {"00081190": {"vr": "UR", "Value": [address]}})
        else:
            self.add_failure(_REASONS[taken.verdict], taken)

    def add_failure(self, reason: int, taken: Taken | None = None) -> None:
        """Something that is not stored; without UIDs it is one of the other failures."""
        self._reasons.add(reason)
        why = {"00081197": {"vr": "US", "Value": [reason]}}
        if taken is not None and taken.sop_uid:
            self._failed.append(_named(taken) | why)
        else:
            self._others.append(why)

    @property
    def count(self) -> int:
        """Instances in the report."""
        return len(self._stored) + len(self._failed) + len(self._others)

    @property
    def status(self) -> int:
        """200 all are stored, 202 some, 409 none; 503 where none for want of room or a database."""
        if not self._failed and not self._others:
            return 200
        if self._stored:
            return 202
        is_ours = self._reasons <= {OUT_OF_RESOURCES, PROCESSING_FAILURE}
        return 503 if is_ours else 409

    @property
    def body(self) -> bytes:
        """The report as DICOM JSON."""
        report: _Json = {}
        study = self._study_uid or (next(iter(self._studies)) if len(self._studies) == 1 else None)
        if study is not None:
            report["00081190"] = {"vr": "UR", "Value": [study_address(self._root, study)]}
        for tag, items in (
            ("00081198", self._failed), ("00081199", self._stored), ("0008119A", self._others)
        ):  # fmt: skip
            if items:
                report[tag] = {"vr": "SQ", "Value": items}
        return orjson.dumps(report)


def _named(taken: Taken) -> _Json:
    named = {"00081155": {"vr": "UI", "Value": [taken.sop_uid]}}
    if taken.sop_class:
        named["00081150"] = {"vr": "UI", "Value": [taken.sop_class]}
    return named
