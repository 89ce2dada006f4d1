"""Addresses of the resources, and the UIDs in them.

Errors  DicomWebError 400: not a UID, or a Host header that is no host
"""

import re
from typing import Final

from starlette.requests import Request

from wardlight_cloud.dicomweb.errors import bad_request
from wardlight_cloud.store.imaging import InstanceRef

PATH: Final = "/dicom-web"
_UID: Final = re.compile(r"[0-9.]{1,64}")  # PS3.5, 9.1; leading zeros happen in the field
_PORTS: Final = {"http": 80, "https": 443}
_OF_PROXIES: Final = (
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "via",
)
_HOST: Final = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")


def uid(text: str, what: str) -> str:
    """A UID of a path or parameter."""
    if _UID.fullmatch(text) is None:
        raise bad_request(f"{what}: not a UID (digits and dots, at most 64)")
    return text


def path_uid(request: Request, name: str) -> str | None:
    """The UID of a path's ``{name}``; None where the path has none."""
    text = request.path_params.get(name)
    return None if text is None else uid(text, f"{name} in the path")


class Addresses:
    """Makes absolute addresses; ``base_url`` None takes scheme and host of each request."""

    def __init__(self, base_url: str | None) -> None:
        self._base_url = base_url

    def root(self, request: Request) -> str:
        """Address of the service."""
        if self._base_url is not None:
            return f"{self._base_url}{PATH}"
        host = request.headers.get("host") or request.url.netloc
        if _HOST.fullmatch(host) is None:
            raise bad_request("Host: neither a name nor an address with a port")
        scheme = request.scope["scheme"]
        return f"{scheme}://{host}{_port_left_out(request, host, scheme)}{PATH}"


def _port_left_out(request: Request, host: str, scheme: str) -> str:
    """The port that a client forgot in ``Host``, where no proxy stands between it and us.

    RFC 9110 7.2 wants it there; dicomweb-client 0.61 sends the name alone, and would be sent away.
    """
    server = request.scope.get("server")
    is_named = host.rpartition("]")[2].count(":") == 1
    if is_named or server is None or not server[1] or server[1] == _PORTS.get(scheme):
        return ""
    is_forwarded = any(name in request.headers for name in _OF_PROXIES)
    return "" if is_forwarded else f":{server[1]}"


def study_address(root: str, study_uid: str) -> str:
    """Address of a study."""
    return f"{root}/studies/{study_uid}"


def series_address(root: str, study_uid: str, series_uid: str) -> str:
    """Address of a series."""
    return f"{root}/studies/{study_uid}/series/{series_uid}"


def instance_address(root: str, ref: InstanceRef) -> str:
    """Address of an instance."""
    return f"{series_address(root, ref.study_uid, ref.series_uid)}/instances/{ref.sop_uid}"
