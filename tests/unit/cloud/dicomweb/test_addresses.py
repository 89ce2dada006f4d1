"""What addresses in answers begin with."""

from typing import Any

import pytest
from starlette.requests import Request

from wardlight_cloud.dicomweb.addresses import Addresses
from wardlight_cloud.dicomweb.errors import DicomWebError


def _request(host: str, port: int | None = 18080, scheme: str = "http", **headers: str) -> Request:
    named = {"host": host, **{name.replace("_", "-"): text for name, text in headers.items()}}
    scope: dict[str, Any] = {
        "type": "http", "method": "GET", "path": "/dicom-web/studies", "query_string": b"",
        "scheme": scheme, "server": None if port is None else ("127.0.0.1", port),
        "headers": [(name.encode(), text.encode()) for name, text in named.items()],
    }  # fmt: skip
    return Request(scope)


@pytest.mark.parametrize(
    ("request_", "root"),
    [
        (_request("127.0.0.1:18080"), "http://127.0.0.1:18080"),
        (_request("pacs.example:8443", 18080, "https"), "https://pacs.example:8443"),
        # Without its port: as dicomweb-client asks
        (_request("127.0.0.1"), "http://127.0.0.1:18080"),
        (_request("[::1]"), "http://[::1]:18080"),
        (_request("[::1]:18080"), "http://[::1]:18080"),
        (_request("pacs.example", 80), "http://pacs.example"),
        (_request("pacs.example", 443, "https"), "https://pacs.example"),
        (_request("pacs.example", None), "http://pacs.example"),
        # A proxy keeps its own port to itself
        (_request("pacs.example", x_forwarded_for="10.0.0.1"), "http://pacs.example"),
        (_request("pacs.example", scheme="https", forwarded="for=x"), "https://pacs.example"),
    ],
)
def test_addresses_begin_with_what_the_client_calls_the_server(
    request_: Request, root: str
) -> None:
    assert Addresses(None).root(request_) == f"{root}/dicom-web"


def test_the_setting_counts_before_what_the_client_says() -> None:
    root = Addresses("https://pacs.example").root(_request("elsewhere.example"))
    assert root == "https://pacs.example/dicom-web"


def test_a_host_that_is_none_is_refused() -> None:
    with pytest.raises(DicomWebError, match="Host"):
        Addresses(None).root(_request("pacs.example/@evil"))
