"""Media types that a client accepts (PS3.18, 8.7; RFC 9110, 12.5.1), in the order it prefers them.

    Accept: multipart/related; type="application/dicom"; transfer-syntax=*, application/zip;q=0.5

The query parameter ``accept`` stands for the header, for clients that cannot set one.
Errors  DicomWebError 400 when the text is not a list of media ranges
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request

from wardlight_cloud.dicomweb.errors import bad_request

ANY: Final = "*/*"
RELATED: Final = "multipart/related"
_MOST: Final = 64
_LONGEST: Final = 4096
_WORD: Final = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_PARAMETER: Final = re.compile(rf'\s*;\s*({_WORD})\s*=\s*({_WORD}(?:/{_WORD})?|"[^"]*")|\s*;')
_RANGE: Final = re.compile(rf"\s*({_WORD}/{_WORD})")
_QUALITY: Final = re.compile(r"(0(\.[0-9]{0,3})?|1(\.0{0,3})?)")


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One alternative: ``kind`` is what the content is, ``is_multipart`` how it is wrapped.

    ``transfer_syntax`` None = not said, "*" = as stored.
    """

    kind: str
    is_multipart: bool = False
    transfer_syntax: str | None = None
    quality: float = 1.0

    @property
    def is_anything(self) -> bool:
        """``*/*``, on its own or as the type of parts."""
        return self.kind == ANY


def media_ranges(text: str) -> tuple[MediaRange, ...]:
    """Alternatives of an Accept header, best first; those with quality 0 are left out."""
    if len(text) > _LONGEST:
        raise bad_request("Accept: longer than this server reads")
    found = list(_ranges(text))
    if len(found) > _MOST:
        raise bad_request(f"Accept: more than {_MOST} media types")
    wanted = [each for each in found if each.quality > 0]
    return tuple(sorted(wanted, key=lambda each: -each.quality))


def accepted(request: Request) -> tuple[MediaRange, ...]:
    """What a request accepts; without a word about it, anything."""
    text = request.query_params.get("accept") or ", ".join(request.headers.getlist("accept"))
    return media_ranges(text) or (MediaRange(ANY),)


def takes(ranges: Sequence[MediaRange], *kinds: str) -> str | None:
    """The first of ``kinds``, single part, that the best matching range takes."""
    for each in ranges:
        for kind in kinds:
            if not each.is_multipart and _covers(each.kind, kind):
                return kind
    return None


def _covers(pattern: str, kind: str) -> bool:
    return pattern in (ANY, kind) or (
        pattern.endswith("/*") and kind.startswith(pattern.removesuffix("*"))
    )


def _ranges(text: str) -> Iterator[MediaRange]:
    position = 0
    while position < len(text):
        if text[position] in ", \t":
            position += 1
            continue
        begin = _RANGE.match(text, position)
        if begin is None:
            raise bad_request("Accept: not a list of media types")
        position = begin.end()
        parameters: dict[str, str] = {}
        while (found := _PARAMETER.match(text, position)) is not None:
            position = found.end()
            if found[1]:
                parameters[found[1].lower()] = found[2].strip('"')
        yield _media_range(begin[1].lower(), parameters)
        if text[position:].strip() and not text[position:].lstrip().startswith(","):
            raise bad_request("Accept: not a list of media types")


def _media_range(kind: str, parameters: dict[str, str]) -> MediaRange:
    quality = parameters.get("q", "1")
    if _QUALITY.fullmatch(quality) is None:
        raise bad_request("Accept: q must be a number from 0 to 1")
    is_multipart = kind == RELATED
    content = parameters.get("type", ANY).lower() if is_multipart else kind
    return MediaRange(content, is_multipart, parameters.get("transfer-syntax"), float(quality))
