"""Notes with a request who asks, for whoever writes down what became of it (audit/).

A name that was tried and not believed is noted, too: that it was not believed stands in the answer.
"""

from collections.abc import Mapping, MutableMapping
from typing import Final

from starlette.requests import HTTPConnection

from wardlight_cloud.security.access import Access

_CLIENT: Final = "wardlight.client"
_LOGIN: Final = "wardlight.login"
_ANSWER: Final = "wardlight.answer"
_NAME_MAX: Final = 64


def note_client(request: HTTPConnection, client: str) -> None:
    """A client asks, or says that it is this one."""
    request.scope[_CLIENT] = client[:_NAME_MAX]


def note_login(request: HTTPConnection, login: str) -> None:
    """A user asks, or says to be this one."""
    request.scope[_LOGIN] = login[:_NAME_MAX]


def note_access(request: HTTPConnection, access: Access) -> None:
    """The holder of a token asks."""
    request.scope[_CLIENT] = access.client
    if access.user is not None:
        request.scope[_LOGIN] = access.user


def note_answer(scope: MutableMapping[str, object], body: bytes | memoryview) -> None:
    """What is answered, before it is compressed: it names the patients whose data it shows."""
    scope[_ANSWER] = body


def answer_of(scope: Mapping[str, object]) -> bytes:
    """What was noted, or nothing."""
    body = scope.get(_ANSWER, b"")
    return body if isinstance(body, bytes) else b""


def noted(scope: Mapping[str, object]) -> tuple[str, str]:
    """Client and login of a request, "" for none."""
    return str(scope.get(_CLIENT, "")), str(scope.get(_LOGIN, ""))
