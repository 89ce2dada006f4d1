"""What an app will be able to do, in sentences for the person who is asked."""

from typing import Final

from wardlight_cloud.security.access import ANY, Interaction, Level, Permission
from wardlight_cloud.smart.authorize import AuthorizationRequest

_KINDS: Final = {
    ANY: "everything that this server holds",
    "Observation": "measurements, such as heart rate and blood pressure",
    "Patient": "name, birth date, sex and identifiers",
    "Device": "the devices that measured",
    "DeviceMetric": "what the devices can measure",
    "ImagingStudy": "images",
    "DocumentReference": "documents",
    "DiagnosticReport": "reports of findings",
    "MedicationRequest": "prescribed medicines",
    "MedicationStatement": "medicines taken",
    "Questionnaire": "questionnaires",
    "QuestionnaireResponse": "answers to questionnaires",
    "CarePlan": "care plans",
    "Appointment": "appointments",
    "Practitioner": "names of staff",
    "Organization": "names of institutions",
    "Endpoint": "addresses of this server's services",
}
_WHOSE: Final = {
    Level.PATIENT: "of this patient",
    Level.USER: "of all patients that you can see",
    Level.SYSTEM: "of all patients",
}


def sentences(request: AuthorizationRequest) -> list[str]:
    """One sentence for each right, then who is told who the user is, and for how long."""
    found = [_sentence(each) for each in request.permissions]
    if "openid" in request.scopes:
        found.append("Know that it is you, by a number that stands for you.")
    return [*dict.fromkeys(found), _how_long(request.scopes)]


def _sentence(permission: Permission) -> str:
    what = _KINDS.get(permission.kind, f"resources of the kind {permission.kind}")
    if permission.categories is not None:
        codes = sorted({code for _, code in permission.categories})
        what = f"{what} (only the category {' or '.join(codes)})"
    return f"{_verbs(permission.interactions)} {what}, {_WHOSE[permission.level]}."


def _verbs(interactions: frozenset[Interaction]) -> str:
    found = ["read"] if interactions & {Interaction.READ, Interaction.SEARCH} else []
    words = {
        Interaction.CREATE: "add", Interaction.UPDATE: "change", Interaction.DELETE: "delete",
    }  # fmt: skip
    found += [word for each, word in words.items() if each in interactions]
    text = " and ".join(found) if len(found) < _MANY else f"{', '.join(found[:-1])} and {found[-1]}"
    return text.capitalize()


_MANY: Final = 3


def _how_long(scopes: tuple[str, ...]) -> str:
    if "offline_access" in scopes:
        return "Go on with it while you are away, until this is revoked."
    if "online_access" in scopes:
        return "Go on with it for as long as you stay signed in here."
    return "All this for an hour; then the app has to ask again."
