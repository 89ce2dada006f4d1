"""What a request prefers: ``Prefer``, in however many lines.

Names count in any letters, values, too, with or without quotes; of what is said twice the first
counts. Parts behind a ``;`` are taken for preferences as well: clients write both.

Source  RFC 7240 2; R4 4.0.1 3.1.0.1.7 (return), 3.1.1.3.3 (handling); HL7 Bulk Data Access 2.0
"""

import re
from collections.abc import Mapping
from typing import Final

from starlette.requests import Request

from wardlight_cloud.fhir.remembered import remembered

_PART: Final = re.compile(r'(?:"[^"]*"|[^",;])+')


def preferences(request: Request) -> Mapping[str, str]:
    """Values by name, both in small letters; "" for what has none."""
    said = request.headers.getlist("prefer")
    return _preferences(",".join(said)) if said else {}


@remembered(64)
def _preferences(said: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for part in _PART.findall(said):
        name, _, value = part.partition("=")
        if name := name.strip().lower():
            found.setdefault(name, value.strip().strip('"').strip().lower())
    return found
