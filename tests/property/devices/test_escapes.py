"""Escapes: what was escaped is read as it was, and nothing else is touched."""

from hypothesis import given
from hypothesis import strategies as st

from wardlight_edge.devices._escapes import resolved

MEANINGS = {"F": "|", "S": "^", "T": "&", "R": "~", "E": "\\"}
CODES = {character: code for code, character in MEANINGS.items()}
TEXTS = st.text(st.sampled_from([*"|^&~\\AZabXxé09 "]), max_size=20)


def _escaped(text: str) -> str:
    return "".join(f"\\{CODES[each]}\\" if each in CODES else each for each in text)


def _in_hex(text: str) -> str:
    return f"\\X{text.encode().hex()}\\"


@given(text=TEXTS)
def test_what_was_escaped_is_read_as_it_was(text: str) -> None:
    assert resolved(_escaped(text), "\\", MEANINGS, "utf-8") == text
    assert resolved(_in_hex(text), "\\", MEANINGS, "utf-8") == text


@given(code=st.text(st.sampled_from("AZabxé09"), min_size=2, max_size=6), around=TEXTS)
def test_an_unknown_escape_stays(code: str, around: str) -> None:
    sent = f"{_escaped(around)}\\{code}\\{_escaped(around)}"
    assert resolved(sent, "\\", MEANINGS, "utf-8") == f"{around}\\{code}\\{around}"


@given(text=st.text(st.sampled_from("\\FXH4é"), max_size=16))
def test_an_escape_that_ends_nowhere_stays(text: str) -> None:
    found = resolved(text, "\\", {}, "utf-8")
    assert text.count("\\") % 2 == 0 or found.count("\\") % 2 == 1
