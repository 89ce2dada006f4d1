"""What a gateway says a file is, against what the file is.

The gateway has it from the command with which the modality sent it, and commits the instance under
that name. A file of another one would be committed and nobody would find it.

Errors  HeaderError "other-instance", "other-class"
Source  PS3.4, B.2.3 (data set does not match SOP Class); PS3.10, 7.1
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wardlight_cloud.imaging.errors import HeaderError
from wardlight_cloud.store.image_arrivals import InstanceHeader, KnownFile


@dataclass(frozen=True, slots=True)
class Announced:
    """Instance and class of an offer; "" = it does not say."""

    sop_uid: str = ""
    sop_class: str = ""

    @classmethod
    def of(cls, about: Mapping[str, object]) -> "Announced":
        """As an offer has them."""
        return cls(_uid(about.get("sop_instance")), _uid(about.get("sop_class")))

    def check_header(self, header: InstanceHeader) -> None:
        """HeaderError where data set or meta information are of something else."""
        self._check((header.sop_uid, header.meta_uid), (header.sop_class, header.meta_class))

    def check_known(self, file: KnownFile) -> None:
        """The same for a file whose header was read before."""
        self._check((file.sop_uid,), (file.sop_class,))

    def _check(self, uids: Iterable[str], classes: Iterable[str]) -> None:
        if _differs(self.sop_uid, uids):
            raise HeaderError("other-instance", "the file is another instance than was announced")
        if _differs(self.sop_class, classes):
            raise HeaderError("other-class", "the file is of another class than was announced")


def _uid(said: object) -> str:
    return said.rstrip("\0 ") if isinstance(said, str) else ""


def _differs(announced: str, found: Iterable[str]) -> bool:
    return announced != "" and any(each not in ("", announced) for each in found)
