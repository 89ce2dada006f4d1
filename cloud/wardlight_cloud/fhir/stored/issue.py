"""What is wrong with a foreign resource, as those who look for it tell it."""

import msgspec

from wardlight_cloud.fhir.outcome import IssueType


class Issue(msgspec.Struct, frozen=True):
    """What is wrong, where (a path as in FHIRPath), as a code of issue-type. Quotes no value."""

    code: IssueType
    diagnostics: str
    expression: str
