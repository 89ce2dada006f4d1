"""OperationOutcome: what went wrong, where, and what to do.

Source  R4 4.0.1 OperationOutcome; issue-type value set
"""

from typing import Any, Literal

import orjson
from starlette.responses import Response

MEDIA_TYPE = "application/fhir+json"
IssueType = Literal[
    "invalid",
    "not-found",
    "login",
    "forbidden",
    "not-supported",
    "too-long",
    "transient",
    "exception",
    "informational",
]


class FhirError(Exception):
    """An answer that is not a resource; ``expression`` names the parameter or element at fault."""

    def __init__(
        self,
        status: int,
        code: IssueType,
        diagnostics: str,
        *,
        expression: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(diagnostics)
        self.status = status
        self.code = code
        self.expression = expression
        self.headers = headers or {}

    def response(self) -> Response:
        """The HTTP answer."""
        issue = outcome_issue("error", self.code, str(self), self.expression)
        body = orjson.dumps({"resourceType": "OperationOutcome", "issue": [issue]})
        return Response(body, self.status, self.headers, MEDIA_TYPE)


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
