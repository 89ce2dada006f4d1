"""What a gateway announces is compared with the data set and the meta information of a file."""

import io

import pytest

from support.dicom_files import image, octets_of
from wardlight_cloud.imaging.announced import Announced
from wardlight_cloud.imaging.errors import HeaderError
from wardlight_cloud.imaging.header import read_header

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
PALETTE = "1.2.840.10008.5.1.4.39.1"


def test_another_uid_anywhere_in_the_file_is_another_instance() -> None:
    said = Announced.of({"sop_instance": "1.2.333", "sop_class": CT + "\0", "peer": "x"})
    rows = (
        ("1.2.333", CT, "1.2.333", CT, None),
        ("1.2.334", CT, "1.2.333", CT, "other-instance"),
        ("1.2.333", CT, "1.2.334", CT, "other-instance"),
        ("1.2.333", MR, "1.2.333", CT, "other-class"),
        ("1.2.333", CT, "1.2.333", MR, "other-class"),
    )
    for sop_uid, sop_class, meta_uid, meta_class, reason in rows:
        octets = octets_of(image(SOPInstanceUID=sop_uid, SOPClassUID=sop_class))
        # What comes first in a file is its meta information.
        octets = octets.replace(sop_uid.encode(), meta_uid.encode(), 1)
        octets = octets.replace(sop_class.encode(), meta_class.encode(), 1)
        header = read_header(io.BytesIO(octets))
        assert (header.sop_uid, header.meta_uid) == (sop_uid, meta_uid)
        assert (header.sop_class, header.meta_class) == (sop_class, meta_class)
        Announced.of({"sop_instance": 7}).check_header(header)
        if reason is None:
            said.check_header(header)
            continue
        with pytest.raises(HeaderError) as caught:
            said.check_header(header)
        assert caught.value.reason == reason


def test_an_object_of_no_study_says_so() -> None:
    made = image(SOPClassUID=PALETTE)
    del made.StudyInstanceUID
    with pytest.raises(HeaderError, match="of no patient") as caught:
        read_header(io.BytesIO(octets_of(made)))
    assert caught.value.reason == "study"
