"""Who may see which images, and who may store some: the one place that decides it.

A request shows the session of a signed-in user or a bearer token. Users see the images of all
patients; a token those that its scopes for ImagingStudy reach: ``s`` searches, ``r`` retrieves,
``c`` stores. A token for one patient reaches that patient's studies, and stores nothing.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from starlette.requests import Request

from wardlight_cloud.dicomweb.errors import DicomWebError, not_found
from wardlight_cloud.security.access import Access, Interaction
from wardlight_cloud.security.tokens import STORE_IMAGES
from wardlight_cloud.store.image_reads import Reader
from wardlight_cloud.store.imaging import ImageStore

Authenticate = Callable[[Request], Awaitable[object]]
"""The login of a session or an Access; raises PermissionError when the request shows neither."""

_CHALLENGE: Final = 'Bearer realm="dicom-web"'


@dataclass(frozen=True, slots=True)
class Reach:
    """What somebody may do: ``patients`` None = images of all patients, and of nobody yet."""

    reader: Reader
    patients: tuple[UUID, ...] | None
    may_store: bool


def reach_of(who: object, interaction: Interaction) -> Reach:
    """The rights of a signed-in user (the login, text) or of an Access, by its scopes.

    Raises DicomWebError 403. All that a study holds counts as ImagingStudy here.
    """
    if not isinstance(who, Access):
        return Reach(Reader("user", str(who)), None, may_store=True)
    found = who.to("ImagingStudy", interaction)
    if found is None:
        scope = f"ImagingStudy.{interaction}"
        raise DicomWebError(
            403, f"The token is for other scopes; this needs one such as .../{scope}.",
            {"WWW-Authenticate": f'{_CHALLENGE}, error="insufficient_scope"'},
        )  # fmt: skip
    # Whose a file is that is being sent is known when it has been matched, which may be later.
    may_store = interaction is Interaction.CREATE and found.patients is None
    reader = Reader("client", who.client) if who.user is None else Reader("user", who.user)
    return Reach(reader, found.patients, may_store)


async def reach(request: Request, authenticate: Authenticate, interaction: Interaction) -> Reach:
    """Rights of a request; raises DicomWebError 401 and 403."""
    try:
        who = await authenticate(request)
    except PermissionError as error:
        raise DicomWebError(401, str(error), {"WWW-Authenticate": _CHALLENGE}) from error
    return reach_of(who, interaction)


async def is_in_reach(images: ImageStore, reach: Reach, study_uid: str) -> bool:
    """Whether somebody may see a study; one that is not there is in reach of who sees all."""
    return reach.patients is None or await images.patient_of_study(study_uid) in reach.patients


async def require_study(images: ImageStore, reach: Reach, study_uid: str) -> None:
    """Raise DicomWebError 404 for a study out of reach: whether it exists is not told."""
    if not await is_in_reach(images, reach, study_uid):
        raise not_found("study")


def require_store(reach: Reach) -> None:
    """Raise DicomWebError 403 for somebody who may not store."""
    if not reach.may_store:
        raise DicomWebError(
            403, f"The token may not store: it needs the scope {STORE_IMAGES}; ask the operator."
        )
