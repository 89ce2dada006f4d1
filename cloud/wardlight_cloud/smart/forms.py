"""Bodies of requests: forms, read in a bounded way, each field once.

Errors  OAuthError invalid_request (RFC 6749 3.2: a parameter must not come twice)
"""

import asyncio
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import Request

from wardlight_cloud.smart.errors import OAuthError

BODY_MAX: Final = 32 * 1024
_FIELDS_MAX: Final = 64
_BODY_S: Final = 20.0
_FORM: Final = "application/x-www-form-urlencoded"


async def form_of(request: Request) -> dict[str, str]:
    """Fields of a form; empty ones count as not there (RFC 6749 3.2)."""
    if media_type(request) != _FORM:
        raise OAuthError("invalid_request", f"send a body of type {_FORM}")
    return fields((await body_of(request)).decode("utf-8", "replace"))


def media_type(request: Request) -> str:
    """What a body says it is."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def fields(text: str) -> dict[str, str]:
    """Parameters of a query or form."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_FIELDS_MAX)
    except ValueError as error:
        raise OAuthError("invalid_request", "too many parameters") from error
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise OAuthError("invalid_request", "a parameter came twice")
        if "\0" in value:
            raise OAuthError("invalid_request", "a parameter holds the character NUL")
        found[name] = value
    return {name: value for name, value in found.items() if value}


async def body_of(request: Request) -> bytes:
    """The body of a request."""
    body = b""
    try:
        async with asyncio.timeout(_BODY_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > BODY_MAX:
                    text = f"a body has at most {BODY_MAX} bytes"
                    raise OAuthError("invalid_request", text, 413)
    except TimeoutError as error:
        raise OAuthError("invalid_request", "the body did not come", 408) from error
    return body
