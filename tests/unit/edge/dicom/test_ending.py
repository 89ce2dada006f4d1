"""Deflated data sets that are whole, cut off, padded or endless; others are the shared module's."""

import struct
import zlib
from typing import Final

import pytest

from support.dicom_wire import EXPLICIT, instance
from wardlight_edge.dicom import ending
from wardlight_edge.dicom.ending import Ending
from wardlight_shared.data_set_end import NotWhole

DEFLATED: Final = "1.2.840.10008.1.2.1.99"


def _deflated(octets: bytes) -> bytes:
    squeeze = zlib.compressobj(wbits=-15)
    return squeeze.compress(octets) + squeeze.flush()


def _is_whole(octets: bytes, syntax: str = DEFLATED, step: int = 1 << 20) -> bool:
    end = Ending(syntax)
    try:
        for at in range(0, len(octets), step):
            end.add(memoryview(octets)[at : at + step])
        end.end()
    except NotWhole:
        return False
    return True


@pytest.mark.parametrize("step", [1, 50, 1 << 20])
def test_a_deflated_data_set_is_whole_with_its_last_block(step: int) -> None:
    whole = _deflated(instance("1.2.3", bytes(range(256)) * 400))
    assert _is_whole(whole, step=step)
    for padding in (b"\0", bytes(9), b"rubbish"):
        assert _is_whole(whole + padding, step=step)
    for missing in (1, 2, 20, len(whole) // 2):
        assert not _is_whole(whole[:-missing], step=step), missing
    assert not _is_whole(_deflated(instance("1.2.3", bytes(100))[:-1]), step=step)
    assert not _is_whole(b"\xff" * 100, step=step)


def test_what_inflates_without_end_is_not_inflated_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "_INFLATED_MOST", 1 << 20)
    bomb = _deflated(instance("1.2.3", bytes(8 << 20)))
    assert _is_whole(bomb)
    assert _is_whole(bomb[:-1]), "the cloud judges it"


def test_other_data_sets_are_judged_as_they_are() -> None:
    whole = instance("1.2.3", b"abcd")
    assert _is_whole(whole, EXPLICIT)
    assert not _is_whole(whole[:-1], EXPLICIT)
    assert not _is_whole(instance("1.2.3") + struct.pack("<HH2sH", 16, 16, b"PN", 9), EXPLICIT)
