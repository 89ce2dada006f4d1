"""Why the collector keeps an object that nobody sees: the words of its receipts, on either side.

A receipt (blobs.BlobState, STORED) with a reason is for an object on no index: "set aside: "
and one of these words. Both sides show people the same meaning.

Source  docs/wire-format.md, Blobs; docs/image-store.md, Files that are refused
"""

from collections.abc import Mapping
from typing import Final

_SAID: Final = "set aside: "
_NO_FILE: Final = "it is no DICOM file that can be read"
MEANINGS: Final[Mapping[str, str]] = {
    "preamble": _NO_FILE,
    "meta": _NO_FILE,
    "syntax": "its transfer syntax is missing or no UID",
    "uid": "its Study, Series, SOP Class or SOP Instance UID is missing or no UID",
    "study": "it is of no study, and so of no patient (a palette, protocol or template)",
    "parse": "its data set cannot be read",
    "cut": "something of it is missing",
    "size": "its header is too large",
    "time": "reading its header took too long",
    "memory": "reading its header took too much memory",
    "other-instance": "it is another instance than its sender said",
    "other-class": "it is of another SOP class than its sender said",
}


def receipt_reason(word: str) -> str:
    """What a receipt says."""
    return f"{_SAID}{word}"


def word_of(reason: str) -> str:
    """The word of a receipt's reason; one of another form is its own word."""
    return reason.removeprefix(_SAID)


def meaning(word: str) -> str:
    """What a word says of the object, as part of a sentence; that of a newer collector, itself."""
    return MEANINGS.get(word, word)
