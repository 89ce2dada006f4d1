"""JSON of resources: read strictly, kept canonically, made whole on the way out.

Kept  without resourceType, id, meta.versionId and meta.lastUpdated; what is left of meta first;
      decimals with the digits they were written with (36.50 stays 36.50)

Errors  FhirError 400: not JSON, a name twice, too deep, what no text of FHIR holds (NUL, a half of
        a surrogate pair), NaN
Source  R4 4.0.1 2.6.2 (JSON), 2.24.0.1 (decimals)
"""

import json
from collections import Counter
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NoReturn

import msgspec

from wardlight_cloud.fhir.observation_texts import instant
from wardlight_cloud.fhir.outcome import FhirError
from wardlight_cloud.store.resources import ResourceRow

DEEPEST: Final = 64
_LONGEST_NUMBER: Final = 64
_LARGEST_EXPONENT: Final = 100
_encoder: Final = msgspec.json.Encoder(decimal_format="number")
_META: Final = b'{"meta":{'
_OWN_META: Final = ("versionId", "lastUpdated")


def parsed(data: bytes) -> Any:
    """JSON values of a body; decimals are Decimal."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _refused(f"The body is not UTF-8 (octet {error.start}).") from None
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_float=_decimal,
            parse_int=_integer,
            parse_constant=_constant,
        )
    except json.JSONDecodeError as error:
        raise _refused(
            f"The body is not JSON: {error.msg}, line {error.lineno}, column {error.colno}."
        ) from None
    except RecursionError:
        raise _too_deep() from None
    _check(value, DEEPEST)
    return value


def stored_text(resource: dict[str, Any]) -> bytes:
    """The body as the store keeps it."""
    meta = {k: v for k, v in resource.get("meta", {}).items() if k not in _OWN_META}
    rest = {k: v for k, v in resource.items() if k not in ("resourceType", "id", "meta")}
    return _encoder.encode({"meta": meta, **rest} if meta else rest)


def dumped(value: Any) -> bytes:
    """JSON of values that ``parsed`` gave."""
    return _encoder.encode(value)


def whole(row: ResourceRow) -> bytes:
    """The resource of a row that is not deleted, with type, id, version and time."""
    assert row.body is not None  # noqa: S101 - a deleted one has none to be made whole
    head = (
        f'{{"resourceType":"{row.kind}","id":"{row.id}","meta":{{"versionId":"{row.commit_seq}",'
        f'"lastUpdated":"{instant(row.stored_at)}"'
    ).encode()
    if row.body.startswith(_META):
        return head + b"," + row.body[len(_META) :]
    return head + (b"}}" if row.body == b"{}" else b"}," + row.body[1:])


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        times = Counter(name for name, _ in pairs)
        twice = next(name for name, count in times.items() if count > 1)
        raise _refused(f"The name {twice[:64]!r} stands twice in one object.")
    return made


def _decimal(text: str) -> Decimal:
    if len(text) > _LONGEST_NUMBER:
        raise _refused(f"A number has more than {_LONGEST_NUMBER} characters.")
    try:
        number = Decimal(text)
    except InvalidOperation:  # an exponent that no Decimal holds
        raise _beyond() from None
    if not -_LARGEST_EXPONENT <= number.adjusted() <= _LARGEST_EXPONENT:
        raise _beyond()
    return number


def _beyond() -> FhirError:
    return _refused(f"A number is beyond 1e{_LARGEST_EXPONENT}, or as small.")


def _integer(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise _refused(f"A number has more than {_LONGEST_NUMBER} characters.")
    return int(text)


def _constant(text: str) -> NoReturn:
    raise _refused(f"{text} is no number of JSON.")


def _check(value: Any, depth: int) -> None:
    if isinstance(value, str):
        if "\0" in value or not _is_encodable(value):
            raise _refused("A text holds NUL or half of a surrogate pair.")
        return
    if not isinstance(value, dict | list):
        return
    if depth == 0:
        raise _too_deep()
    for each in value:
        _check(each, depth - 1)
        if isinstance(value, dict):
            _check(value[each], depth - 1)


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _too_deep() -> FhirError:
    return FhirError(400, "too-costly", f"The body has more than {DEEPEST} levels.")


def _refused(diagnostics: str) -> FhirError:
    return FhirError(400, "structure", diagnostics)
