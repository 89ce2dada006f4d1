"""What a client of DICOMweb is told when its request cannot be answered: a status and a sentence.

Errors  DicomWebError, turned into an answer by the face; the text names no patient and no value
"""

from collections.abc import Mapping

from starlette.responses import Response

from wardlight_shared.errors import StorageError

TEXT = "text/plain; charset=utf-8"


class DicomWebError(Exception):
    """An answer with an error status (PS3.18, 8.5)."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """The answer."""
        headers = {"Cache-Control": "no-store", **self.headers}
        return Response(f"{self.text}\n", self.status, headers, TEXT)


class FileChangedError(StorageError):
    """Another file of the SOP Instance UID was shown while an answer was made from the first."""


def bad_request(text: str) -> DicomWebError:
    """400: the request is malformed; ``text`` says where and what to do."""
    return DicomWebError(400, text)


def not_found(what: str) -> DicomWebError:
    """404: the archive has no such study, series, instance, frame or attribute."""
    return DicomWebError(404, f"The archive has no such {what}.")


def not_acceptable(text: str) -> DicomWebError:
    """406: it is there, and cannot be had in the form that was asked for."""
    return DicomWebError(406, text)
