"""FHIR says of an image that it takes long, or is not given out, wherever it points at one."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

from support.image_rows import instance
from wardlight_cloud.fhir.imaging_ids import ImagingIds
from wardlight_cloud.fhir.imaging_resources import (
    AVAILABILITY_EXTENSION,
    DELAY_EXTENSION,
    PDF_CLASSES,
    Makers,
    document_reference,
    ecg_observation,
    endpoint,
    imaging_study,
)
from wardlight_cloud.store.imaging import ImageRow, InstanceRef

NOW = datetime(2026, 1, 1, tzinfo=UTC)
REF = InstanceRef(
    "1", "1.1", "1.1.1", PDF_CLASSES[0], "1.2.840.10008.1.2.1", instance().sha256, 100, 1,
    0, 0, 0, "cold", NOW,
)  # fmt: skip
ROW = ImageRow(
    "1", b"{}", 1, 1, ("DOC",), (), UUID(int=1), NOW, 1, "1.1", b"{}", 1, REF, b"{}"
)  # fmt: skip


def _delays(found: Any) -> list[int]:
    """Seconds that are told anywhere in a resource."""
    if isinstance(found, list):
        return [each for part in found for each in _delays(part)]
    if not isinstance(found, dict):
        return []
    own = [found["valueDuration"]["value"]] if found.get("url") == DELAY_EXTENSION else []
    return own + [each for part in found.values() for each in _delays(part)]


def test_what_lies_in_the_slow_place_says_how_long_it_takes() -> None:
    ids = ImagingIds(b"k" * 64, "x")
    hot = replace(REF, tier="hot")
    for cold_s, ref, times in ((900, REF, 1), (900, hot, 0), (None, REF, 0)):
        makers = Makers(ids, ids, ids, "http://x/dicom-web", cold_s)
        row = replace(ROW, ref=ref)
        told = [900] * times
        assert _delays(document_reference(row, makers)["content"]) == told * 2, "PDF and object"
        assert _delays(ecg_observation(row, makers)) == told
        assert _delays(imaging_study(row, (), (hot, ref), makers, {})) == told
        assert _delays(endpoint("dicom-wado-rs", "http://x", cold_s)) == [900] * (cold_s == 900)


def _unavailable(found: Any) -> int:
    """How often a resource says that a file is not given out."""
    parts = found if isinstance(found, list) else []
    own = 0
    if isinstance(found, dict):
        parts = list(found.values())
        own = found == {"url": AVAILABILITY_EXTENSION, "valueCode": "UNAVAILABLE"}
    return own + sum(map(_unavailable, parts))


def test_what_is_known_to_be_damaged_is_not_told_as_if_it_could_be_had() -> None:
    ids = ImagingIds(b"k" * 64, "x")
    makers = Makers(ids, ids, ids, "http://x/dicom-web")
    good, bad = replace(REF, tier="hot"), replace(REF, tier="hot", is_doubted=True)
    for ref, times in ((good, 0), (bad, 1)):
        row = replace(ROW, ref=ref)
        assert _unavailable(document_reference(row, makers)["content"]) == times * 2
        assert _unavailable(ecg_observation(row, makers)) == times
        study = imaging_study(row, (row,), (good, ref), makers, {})
        assert _unavailable(study["series"]) == times
        told = [each["text"] for each in study.get("note", ())]
        assert len(told) == times
        assert all("of 1 of 2 instances damaged or missing" in each for each in told)


def test_only_what_says_that_it_is_a_pdf_is_called_one() -> None:
    """As /dicom-web answers at that address."""
    ids = ImagingIds(b"k" * 64, "x")
    makers = Makers(ids, ids, ids, "http://x/dicom-web", None)
    for said, kind in (
        ("application/pdf", "application/pdf"), ("Application/PDF ", "application/pdf"),
        ("text/html", "application/octet-stream"), ("", "application/octet-stream"),
    ):  # fmt: skip
        row = replace(ROW, instance=orjson.dumps({"00420012": {"vr": "LO", "Value": [said]}}))
        content = document_reference(row, makers)["content"]
        assert [each["attachment"]["contentType"] for each in content] == [
            kind, "application/dicom",
        ]  # fmt: skip
