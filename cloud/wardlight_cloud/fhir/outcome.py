"""OperationOutcome: what went wrong, where, and what to do.

Source  R4 4.0.1 OperationOutcome; issue-type value set
"""

from collections.abc import Sequence
from typing import Any, Literal

import orjson
from starlette.responses import Response

MEDIA_TYPE = "application/fhir+json"
IssueType = Literal[
    "invalid",
    "structure",
    "required",
    "value",
    "invariant",
    "code-invalid",
    "business-rule",
    "conflict",
    "multiple-matches",
    "duplicate",
    "deleted",
    "not-found",
    "login",
    "forbidden",
    "not-supported",
    "too-long",
    "too-costly",
    "processing",
    "transient",
    "timeout",
    "exception",
    "informational",
]


class FhirError(Exception):
    """An answer that is not a resource; ``expression`` names the parameter or element at fault.

    ``issues`` stand in the place of the one that the others make.
    """

    def __init__(
        self,
        status: int,
        code: IssueType,
        diagnostics: str,
        *,
        expression: str | None = None,
        headers: dict[str, str] | None = None,
        issues: Sequence[dict[str, Any]] = (),
    ) -> None:
        super().__init__(diagnostics)
        self.status = status
        self.code = code
        self.expression = expression
        self.headers = headers or {}
        self._issues = list(issues)

    def outcome(self) -> dict[str, Any]:
        """The OperationOutcome."""
        own = [outcome_issue("error", self.code, str(self), self.expression)]
        return {"resourceType": "OperationOutcome", "issue": self._issues or own}

    def response(self) -> Response:
        """The HTTP answer."""
        return Response(orjson.dumps(self.outcome()), self.status, self.headers, MEDIA_TYPE)


def outcome_issue(
    severity: Literal["error", "warning", "information"],
    code: IssueType,
    diagnostics: str,
    expression: str | None = None,
) -> dict[str, Any]:
    """One issue."""
    issue: dict[str, Any] = {"severity": severity, "code": code, "diagnostics": diagnostics}
    if expression is not None:
        issue["expression"] = [expression]
    return issue


def invalid(parameter: str, diagnostics: str) -> FhirError:
    """400 for a search parameter."""
    return FhirError(400, "invalid", f"{parameter}: {diagnostics}", expression=f"http.{parameter}")
