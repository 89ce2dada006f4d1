"""Which lead of an ECG a channel is: by its code (PS3.16, CID 3001), never by its words."""

from typing import Any

from pydicom.sr._concepts_dict import concepts

from support.viewer_modules import in_node

_SHEET = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
_NUMBERS = (1, 2, 61, 62, 63, 64, 3, 4, 5, 6, 7, 8)


def _channel(
    scheme: str, value: str, meaning: str, *, label: str = "", modifier: str = ""
) -> dict[str, Any]:
    code = {"00080100": value, "00080102": scheme, "00080104": meaning}
    made: dict[str, Any] = {
        "003A0208": _item({tag: {"vr": "SH", "Value": [text]} for tag, text in code.items()}),
        "003A0203": {"vr": "SH", "Value": [label]},
    }
    if modifier:
        made["003A0209"] = _item({"00080104": {"vr": "LO", "Value": [modifier]}})
    return made


def _item(item: dict[str, Any]) -> dict[str, Any]:
    return {"vr": "SQ", "Value": [item]}


def _leads(channels: list[dict[str, Any]]) -> list[tuple[str, bool]]:
    found = in_node("leads", "return leadsOf(channels)", channels=channels)
    return [(each["name"], each["isLead"]) for each in found]


def _context_group() -> dict[int, str]:
    """Lead number -> meaning, of the standard's own table as pydicom carries it."""
    table: Any = concepts["MDC"]
    terms = (item for term in table.values() for item in term.items())
    return {int(value[2:]): found[0] for value, found in terms if 3001 in found[1]}


def test_every_lead_of_the_standard_has_one_name_of_its_own() -> None:
    """The same by both coding schemes; no two leads, mirrored or derived ones too, look alike."""
    meanings = _context_group()
    assert len(meanings) > 90
    for scheme, begin in (("MDC", "2:"), ("SCPECG", "5.6.3-9-")):
        found = _leads([_channel(scheme, f"{begin}{n}", "?") for n in meanings])
        names = dict(zip(meanings, [name for name, _ in found], strict=True))
        assert all(is_lead for _, is_lead in found)
        assert len(set(names.values())) == len(names)
        assert [names[n] for n in _NUMBERS] == list(_SHEET)
        plain = {f"Lead {name}": name for name in names.values()}
        for number, meaning in meanings.items():
            if meaning in plain:
                assert names[number] == plain[meaning]
        assert not {n for n, name in names.items() if name in _SHEET} - set(_NUMBERS)


def test_a_mirrored_lead_and_those_of_other_systems_are_called_what_they_are() -> None:
    """2:65 is -aVR whatever its words; what has no code that is known keeps its own words."""
    found = _leads([
        _channel("MDC", "2:65", "aVR"),
        _channel("SCPECG", "5.6.3-9-65", "-aVR"),
        _channel("MDC", "2:24", "Frank Lead I"),
        _channel("99ACME", "2:1", "Lead I of our own"),
        _channel("MDC", "2:999", "Lead V1"),
        _channel("MDC", "2:2", "Lead II", modifier="Median beat"),
    ])  # fmt: skip
    assert found == [
        ("-aVR (channel 1)", False), ("-aVR (channel 2)", False), ("Frank I", True),
        ("Lead I of our own", False), ("Lead V1", False), ("II, Median beat", False),
    ]  # fmt: skip
    assert _leads([{"003A0203": {"vr": "SH", "Value": ["aVR"]}}, {}]) == [
        ("aVR", False), ("Channel 2", False),
    ]  # fmt: skip


def test_the_sheet_of_twelve_is_drawn_of_leads_that_are_known_and_once() -> None:
    """Anything else is a list of channels: a name that two have, or that the object made up."""
    good = [_channel("MDC", f"2:{number}", "?") for number in _NUMBERS]
    own = _channel("99ACME", "1", "Pressure")
    groups = {
        "twelve": good,
        "with V7": [*good, _channel("MDC", "2:9", "?")],
        "mirrored": [*good[:3], _channel("MDC", "2:65", "aVR"), *good[4:]],
        "twice": [*good, good[0]],
        "beside a channel of its own": [*good, own],
        "by words": [_channel("", "", f"Lead {name}") for name in _SHEET],
        "eleven": good[1:],
    }
    # fmt: off
    found = in_node(
        "ecg", "return groups.map((channels) => fitsSheet({ seconds: 10, channels }))",
        groups=[[{"name": name, "isLead": is_lead, "unit": "mV"} for name, is_lead in _leads(group)]
                for group in groups.values()],
    )
    # fmt: on
    assert dict(zip(groups, found, strict=True)) == {
        name: name in ("twelve", "with V7") for name in groups
    }
