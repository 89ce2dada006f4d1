"""Values of search parameters as conditions of the store, with prefixes and modifiers.

A comma means or; what is repeated is one condition more. Modifiers: ``:missing`` with all types,
``:not`` with tokens, ``:exact`` and ``:contains`` with strings, ``:below`` with URIs,
``:identifier`` and ``:Kind`` with references; any other one is refused, since an answer without it
would hold more than was asked for.

Errors  FhirError 400 with the parameter at fault
Source  R4 4.0.1 3.1.1.4
"""

import re
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Final

from wardlight_cloud.fhir.addresses import local_reference
from wardlight_cloud.fhir.outcome import invalid
from wardlight_cloud.fhir.stored.index_values import (
    ANY_SYSTEM,
    IDENTIFIER,
    folded,
    indexed_text,
)
from wardlight_cloud.fhir.stored.moments import Interval, interval, today
from wardlight_cloud.fhir.stored.parameter_table import SearchParameter
from wardlight_cloud.fhir.stored.units import UCUM, in_base_unit
from wardlight_cloud.store.resources import (
    Condition,
    HasAny,
    HasRange,
    HasText,
    RangeMatch,
    TextMatch,
)

MOST_ALTERNATIVES: Final = 200
_ESCAPED: Final = re.compile(r"\\(.)")
_ID: Final = re.compile(r"[A-Za-z0-9.-]{1,64}")
_PREFIXES: Final = ("eq", "ne", "lt", "gt", "le", "ge", "sa", "eb", "ap")
NUMBER: Final = re.compile(r"[+-]?\d{1,40}(\.\d{1,40})?([eE][+-]?\d{1,2})?", re.ASCII)
_TENTH: Final = Decimal("0.1")
_HALF: Final = Decimal("0.5")


def condition(parameter: SearchParameter, modifier: str, text: str, base: str) -> Condition:
    """The condition of one parameter as it was given; ``modifier`` without its colon."""
    name = f"{parameter.name}:{modifier}" if modifier else parameter.name
    if modifier == "missing":
        if text not in ("true", "false"):
            raise invalid(name, "use true or false")
        return HasAny(parameter.name, negated=text == "true")
    values = alternatives(text)
    if not values:
        raise invalid(name, "has no value; leave it out, or say what to look for")
    if len(values) > MOST_ALTERNATIVES:
        raise invalid(name, f"has more than {MOST_ALTERNATIVES} values; ask in parts")
    return _MAKERS[parameter.type](parameter, modifier, values, base)


def alternatives(text: str) -> list[str]:
    """The values of a list, split at commas that are not escaped; escapes are still in them."""
    return [each for each in parts_of(text, ",") if each]


def plain(text: str) -> str:
    r"""A value without its escapes: ``\,`` ``\|`` ``\$`` ``\\``."""
    return _ESCAPED.sub(r"\1", text) if "\\" in text else text


def parts_of(text: str, mark: str, most: int = -1) -> list[str]:
    """The text cut at marks that are not escaped, at most so often; escapes are still in it."""
    if "\\" not in text:
        return text.split(mark, most)
    parts: list[str] = []
    start = place = 0
    while place < len(text):
        if text[place] == "\\":
            place += 2
            continue
        if text[place] == mark and most != len(parts):
            parts.append(text[start:place])
            start = place + 1
        place += 1
    return [*parts, text[start:]]


def _refuse_modifier(parameter: SearchParameter, modifier: str, *known: str) -> None:
    if modifier and modifier not in known:
        text = (
            f"the modifier is not supported; this server knows :{', :'.join(('missing', *known))}"
        )
        raise invalid(f"{parameter.name}:{modifier}", text)


def _token(parameter: SearchParameter, modifier: str, values: Sequence[str], _: str) -> Condition:
    _refuse_modifier(parameter, modifier, "not")
    found = tuple(match for value in values for match in token_matches(parameter.name, value))
    return HasText(parameter.name, found, negated=modifier == "not")


def token_matches(name: str, value: str) -> list[TextMatch]:
    """``code``, ``system|code``, ``|code`` or ``system|``."""
    system, *code = parts_of(value, "|", 1)
    if not code:
        return [TextMatch(indexed_text(plain(system)))]
    text, of = plain(code[0]), indexed_text(plain(system))
    if not text:
        if not of:
            raise invalid(name, "has neither a system nor a code")
        return [TextMatch(None, of)]
    return [TextMatch(indexed_text(text), each) for each in (of, ANY_SYSTEM)]


def _string(parameter: SearchParameter, modifier: str, values: Sequence[str], _: str) -> Condition:
    _refuse_modifier(parameter, modifier, "exact", "contains")
    texts = [plain(value) for value in values]
    if not all(folded(text) for text in texts):
        raise invalid(parameter.name, "has nothing to look for")
    match modifier:
        case "exact":
            found = [TextMatch(folded(text), text) for text in texts]
        case "contains":
            found = [TextMatch(folded(text), how="contains") for text in texts]
        case _:
            found = [TextMatch(folded(text), how="prefix") for text in texts]
    return HasText(parameter.name, tuple(found))


def _uri(parameter: SearchParameter, modifier: str, values: Sequence[str], _: str) -> Condition:
    _refuse_modifier(parameter, modifier, "below")
    texts = [indexed_text(plain(value)) for value in values]
    if modifier == "below":
        below = [TextMatch(text.rstrip("/") + "/", how="prefix") for text in texts]
        return HasText(parameter.name, (*below, *map(TextMatch, texts)))
    return HasText(parameter.name, tuple(map(TextMatch, texts)))


def _reference(
    parameter: SearchParameter, modifier: str, values: Sequence[str], base: str
) -> Condition:
    if modifier == "identifier":
        name = parameter.name + IDENTIFIER
        found = [match for value in values for match in token_matches(name, value)]
        return HasText(name, tuple(found))
    targets = parameter.targets
    if modifier:
        _refuse_modifier(parameter, modifier, "identifier", *(targets or (modifier,)))
        targets = (modifier,)
    texts = [text for value in values for text in _references(parameter, targets, value, base)]
    return HasText(parameter.name, tuple(TextMatch(indexed_text(text)) for text in texts))


def _references(
    parameter: SearchParameter, targets: Sequence[str] | None, value: str, base: str
) -> list[str]:
    """What the index may hold for ``id``, ``Kind/id`` or a URL."""
    text = plain(value)
    local = local_reference(text, base)
    if local is not None:
        kind = local.partition("/")[0]
        if targets is not None and kind not in targets:
            raise invalid(parameter.name, f"expected a reference to {', '.join(targets)}")
        return [local]
    if _ID.fullmatch(text) is None:
        return [text]
    if targets is None:
        raise invalid(parameter.name, "may lead to any type; write it as Type/id")
    return [*(f"{kind}/{text}" for kind in targets), text]


def _date(parameter: SearchParameter, modifier: str, values: Sequence[str], _: str) -> Condition:
    _refuse_modifier(parameter, modifier)
    return HasRange(parameter.name, tuple(_date_match(parameter.name, each) for each in values))


def _date_match(name: str, value: str) -> RangeMatch:
    prefix, text = _prefix(value)
    try:
        low, high = interval(text.replace(" ", "+"))  # a "+" that a client did not escape
    except ValueError as error:
        raise invalid(name, str(error)) from error
    if prefix == "ap":
        low, high = around(low, high)
    return RangeMatch(prefix, low, high)  # type: ignore[arg-type]


def around(low: Decimal, high: Decimal) -> Interval:
    """A tenth of the time from then to today, to either side (R4 3.1.1.4.3.1)."""
    gap = abs(today() - (low + high) / 2) * _TENTH
    return low - gap, high + gap


def _prefix(value: str) -> tuple[str, str]:
    return (value[:2], value[2:]) if value[:2] in _PREFIXES else ("eq", value)


def _quantity(
    parameter: SearchParameter, modifier: str, values: Sequence[str], _: str
) -> Condition:
    _refuse_modifier(parameter, modifier)
    found = [match for each in values for match in quantity_matches(parameter.name, each)]
    return HasRange(parameter.name, tuple(found))


def quantity_matches(name: str, value: str) -> list[RangeMatch]:
    """``number``, ``number|system|code`` or ``number||unit``, with a prefix."""
    prefix, text = _prefix(value)
    number, *unit = parts_of(text, "|", 2)
    if len(unit) == 1:
        raise invalid(name, "write it as number|system|code, number||unit or number")
    low, high = number_interval(name, prefix, number)
    system, code = (plain(each) for each in unit) if unit else ("", "")
    found = []
    if system == UCUM or (not system and code):
        found += _in_base_units(prefix, low, high, code)
    if not found or system != UCUM:
        key = f"{system}|{code}" if system or code else ""
        found.append(RangeMatch(prefix, low, high, indexed_text(key)))  # type: ignore[arg-type]
    return found


def _in_base_units(prefix: str, low: Decimal, high: Decimal, code: str) -> list[RangeMatch]:
    first, last = in_base_unit(low, code), in_base_unit(high, code)
    if first is None or last is None:
        return []
    return [RangeMatch(prefix, first[0], last[0], f"={first[1]}")]  # type: ignore[arg-type]


def number_interval(name: str, prefix: str, text: str) -> Interval:
    """What a number means: its digits say how exact it is, unless it is compared (R4 3.1.1.4.6)."""
    if NUMBER.fullmatch(text) is None:
        raise invalid(name, f"{text[:40]!r} is not a number")
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise invalid(name, f"{text[:40]!r} is not a number") from error
    if prefix in ("eq", "ne"):
        exponent = number.as_tuple().exponent
        assert isinstance(exponent, int)  # noqa: S101 - a finite number has one
        half = _HALF.scaleb(exponent)
        return number - half, number + half
    if prefix == "ap":
        tenth = abs(number) * _TENTH
        return number - tenth, number + tenth
    return number, number


_Maker = Callable[[SearchParameter, str, Sequence[str], str], Condition]
_MAKERS: Final[dict[str, _Maker]] = {
    "token": _token,
    "string": _string,
    "uri": _uri,
    "reference": _reference,
    "date": _date,
    "quantity": _quantity,
}
