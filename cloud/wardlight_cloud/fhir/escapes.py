"""Parameters as URLs, forms and headers write them: UTF-8, or refused.

Octets that are none would become the character U+FFFD, which nothing has: a search for it, or one
that leaves it out (``code:not=%FF``), would find something else than was meant.

Errors  FhirError 400
Source  RFC 3986 2.5; R4 4.0.1 3.1.0.1.6 (UTF-8)
"""

from urllib.parse import parse_qsl, unquote

from starlette.requests import Request

from wardlight_cloud.fhir.outcome import FhirError


def pairs_of(text: bytes | str, where: str) -> list[tuple[str, str]]:
    """Names and values; ``where`` they stand, for an error."""
    try:
        whole = text if isinstance(text, str) else text.decode()
        return parse_qsl(whole, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise _refused(where) from None


def unescaped(text: str, where: str) -> str:
    """A path without its escapes."""
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise _refused(where) from None


def query_pairs(request: Request) -> list[tuple[str, str]]:
    """Those of the URL."""
    return pairs_of(request.scope["query_string"], "http.query")


def header_text(request: Request, name: str) -> str | None:
    """A header that holds letters of any script (HTTP itself says nothing of them), once."""
    lines = request.headers.getlist(name)
    if len(lines) > 1:  # one of them would count, and the other one, too, to who wrote it
        raise FhirError(400, "invalid", f"{name}: can be given once", expression=f"http.{name}")
    text = lines[0] if lines else None
    if text is None or text.isascii():
        return text
    try:
        return text.encode("latin-1").decode()
    except UnicodeDecodeError:
        raise _refused(f"http.{name}") from None


def _refused(where: str) -> FhirError:
    text = (
        "Octets, or escapes like %FF, that are not UTF-8. Write letters as UTF-8, escaped: %C3%BC."
    )
    return FhirError(400, "value", text, expression=where)
