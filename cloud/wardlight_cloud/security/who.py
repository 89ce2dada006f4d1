"""Notes with a request who asks, for whoever writes down what became of it (audit/).

A name that was tried and not believed is noted, too: that it was not believed stands in the answer.
"""

import re
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Final

from starlette.requests import HTTPConnection

from wardlight_cloud.security.access import Access

_CLIENT: Final = "wardlight.client"
_LOGIN: Final = "wardlight.login"
_ANSWER: Final = "wardlight.answer"
_PATIENTS: Final = "wardlight.patients"
_INTERACTION: Final = "wardlight.interaction"
_NAME_MAX: Final = 64
_PATIENTS_MAX: Final = 500
_UUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_SHOWN: Final = re.compile(rb"Patient/(" + _UUID.encode() + rb')"')
_ID: Final = re.compile(_UUID, re.IGNORECASE)


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


def noting_patients(scope: MutableMapping[str, object]) -> None:
    """From here on patients can be noted; requests that are made of this one note theirs with it.

    Of what is told without a request (exports, subscriptions) others take notes.
    """
    scope[_PATIENTS] = dict[str, None]()


def note_patients(scope: Mapping[str, object], patients: Iterable[str]) -> None:
    """Patients, by their ids, whose data are asked for where the answer may not name them."""
    known = scope.get(_PATIENTS)
    if isinstance(known, dict):
        for each in patients:
            if len(known) >= _PATIENTS_MAX:
                return
            known[each] = None


def note_resource(scope: Mapping[str, object], kind: str, resource_id: str, text: bytes) -> None:
    """The patients of a resource that is asked for, shown in part or written; and one that is."""
    own = [resource_id.lower()] if kind == "Patient" and _ID.fullmatch(resource_id) else []
    note_patients(scope, (*own, *patients_in(text)))


def patients_in(text: bytes) -> list[str]:
    """Ids of patients in references and addresses of FHIR JSON, each once."""
    return [each.decode() for each in dict.fromkeys(_SHOWN.findall(text))]


def patients_noted(scope: Mapping[str, object]) -> list[str]:
    """Those, each once."""
    known = scope.get(_PATIENTS)
    return list(known) if isinstance(known, dict) else []


def note_interaction(scope: MutableMapping[str, object], interaction: str) -> None:
    """What a request turned out to be, which its path does not say."""
    scope[_INTERACTION] = interaction


def interaction_of(scope: Mapping[str, object]) -> str | None:
    """What was noted; None = what the path says."""
    found = scope.get(_INTERACTION)
    return found if isinstance(found, str) else None
