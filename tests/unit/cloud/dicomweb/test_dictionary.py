"""The attributes that searches know are those of pydicom's dictionary, which is not imported."""

import subprocess
import sys

import pytest
from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import keyword_for_tag, tag_for_keyword

from wardlight_cloud.dicomweb.attributes import attribute
from wardlight_cloud.dicomweb.dictionary import by_keyword, by_tag
from wardlight_cloud.store.imaging import MATCHABLE


def test_every_attribute_is_known_by_tag_and_keyword() -> None:
    assert len(DicomDictionary) > 4000
    for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
        entry = by_tag(f"{tag:08X}")
        assert entry is not None
        assert (entry.keyword, entry.vr) == (keyword, vr.split(" ")[0])
        if keyword:
            named = by_keyword(keyword)
            assert named is not None
            assert named.tag == f"{tag_for_keyword(keyword):08X}"


def test_every_matching_key_of_the_index_is_an_attribute() -> None:
    for keyword in frozenset.union(*MATCHABLE.values()):
        found = attribute(keyword)
        assert found is not None, keyword
        assert keyword_for_tag(int(found.tag, 16)) == keyword


@pytest.mark.parametrize("text", ["", "Nonsense", "0010001", "0010001G", "PatientName.PatientID",
                                  "00400275.", ".".join(["00400275"] * 9), "Pâtient"])  # fmt: skip
def test_what_is_no_attribute_is_none(text: str) -> None:
    assert attribute(text) is None


def test_private_attributes_are_known_by_number() -> None:
    found = attribute("00091002")
    assert found is not None
    assert (found.tag, found.keyword) == ("00091002", "00091002")


def test_api_and_collector_do_not_bring_what_decodes_images() -> None:
    code = (
        "import sys, wardlight_cloud.app, wardlight_cloud.collect\n"
        "from wardlight_cloud.dicomweb.attributes import attribute\n"
        "assert attribute('PatientName').tag == '00100010'\n"
        "print(*sorted({'pydicom', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=180)
    assert (done.stdout, done.returncode) == ("\n", 0), done.stderr
