"""Devices that send when they are asked: the request, again where it must be, and refusals."""

import pytest

from wardlight_edge.devices import DialogueDecoder, load, polar_ecg, viatom_o2
from wardlight_edge.devices._dialogue import Trouble, Write
from wardlight_shared.errors import ConfigError

CONTROL = "FB005C81-02E7-F387-1CAD-8ACD2D8DF0C8"
WRITE = "8B00ACE7-EB0B-49B0-BBE9-9AEE0A26E1A3"


def test_a_strap_is_asked_once_a_link() -> None:
    dialogue = polar_ecg.dialogue({}, {})
    assert dialogue.begin(1000) == (Write(CONTROL, polar_ecg.start_ecg()),)
    assert dialogue.deadline_ms is None
    assert dialogue.value(CONTROL, bytes.fromhex("F002000000"), 1100) == ()
    assert dialogue.value(CONTROL, bytes.fromhex("F002000600"), 1100) == ()  # it runs already
    assert dialogue.written(CONTROL, 1200) == ()
    assert dialogue.tick(10**9) == ()
    assert dialogue.link_lost() == ()
    assert len(dialogue.begin(5000)) == 1


@pytest.mark.parametrize("answer", ["F0020005", "F002", "00020000"])
def test_a_strap_that_will_not_is_told_and_asked_again(answer: str) -> None:
    dialogue = polar_ecg.dialogue({}, {})
    dialogue.begin(1000)
    (trouble,) = dialogue.value(CONTROL, bytes.fromhex(answer), 1100)
    assert isinstance(trouble, Trouble)
    assert dialogue.tick(11_099) == ()
    assert len(dialogue.tick(11_100)) == 1


def test_a_ring_is_asked_every_two_seconds() -> None:
    dialogue = viatom_o2.dialogue({}, {})
    request = (Write(WRITE, bytes.fromhex("AA17E8000000001B")),)
    assert dialogue.begin(1000) == request
    assert dialogue.deadline_ms == 3000
    assert dialogue.tick(2999) == ()
    assert dialogue.tick(3001) == request
    assert dialogue.deadline_ms == 5001
    assert dialogue.channels == frozenset()  # its answers are values like any others
    assert dialogue.value(WRITE, b"", 0) == ()
    dialogue.link_lost()
    assert dialogue.deadline_ms is None


@pytest.mark.parametrize("code", [None, 0x80])
def test_a_refusal_is_told(code: int | None) -> None:
    dialogue = viatom_o2.dialogue({}, {})
    dialogue.begin(0)
    (trouble,) = dialogue.refused(WRITE, code, 500)
    assert isinstance(trouble, Trouble)
    assert ("0x80" in trouble.reason) == (code is not None)
    assert dialogue.deadline_ms == 10_500


@pytest.mark.parametrize("name", ["polar_ecg", "viatom_o2"])
def test_they_keep_nothing_and_have_no_options(name: str) -> None:
    module = load(name)
    assert isinstance(module, DialogueDecoder)
    dialogue = module.dialogue({}, {})
    assert (dialogue.bookmarks, dialogue.kept, dialogue.committed()) == ({}, frozenset(), ())
    with pytest.raises(ConfigError, match="rate: no option of"):
        module.dialogue({"rate": 1}, {})
