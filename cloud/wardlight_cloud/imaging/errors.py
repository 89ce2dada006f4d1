"""Why a file is not taken."""

from wardlight_shared.errors import WardlightError


class HeaderError(WardlightError):
    """A file that is no DICOM instance which can be put on the index.

    ``reason`` is one word for counting and for receipts: "preamble", "meta", "syntax", "uid",
    "study", "parse", "cut", "size", "time", "memory"; "other-instance", "other-class" for one that
    is another than was announced. The message never holds anything of the file.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
