"""What the gateway says of its imaging process."""

from pathlib import Path

import msgspec

from wardlight_edge import imaging_health, imaging_status
from wardlight_edge.imaging_status import ImagingStatus
from wardlight_edge.status.views import imaging_facts

NOW_MS = 1_800_000_000_000
WELL = ImagingStatus(
    port=11112, started_ms=NOW_MS - 60_000, updated_ms=NOW_MS - 1_000, memory_bytes=60 << 20,
    free_bytes=8 << 30, quota_bytes=32 << 30,
)  # fmt: skip


def _with(**changes: object) -> ImagingStatus:
    return msgspec.structs.replace(WELL, **changes)


def test_all_is_well() -> None:
    assert imaging_health.trouble(WELL, NOW_MS) == []
    assert ("images", "all delivered; 0 B of 32.0 GiB used, 8.0 GiB of disk free") in (
        imaging_facts(WELL)
    )


def test_each_trouble_is_a_sentence() -> None:
    for changes, word in (
        ({"updated_ms": NOW_MS - 60_000}, "has not reported for 60 s"),
        ({"free_bytes": 0}, "full"),
        ({"disk_bytes": 31 << 30}, "full"),
        ({"rejected": 2}, "2 images were refused"),
        (
            {"cloud_aside": {"uid": 2, "cut": 1}},
            "3 images were set aside in the cloud (cut 1, uid 2)",
        ),
        ({"damaged": 3}, "3 images are damaged"),
        ({"aside": 1}, "set aside"),
        ({"disk_bytes": 26 << 30}, "81 % full"),
        ({"databases_aside": 1}, "1 damaged databases of the spool were set aside"),
        ({"spool_error": "malformed", "free_bytes": 0}, "cannot be used now (malformed)"),
        ({"services_damaged": 1}, "cannot be read"),
    ):
        (sentence,) = imaging_health.trouble(_with(**changes), NOW_MS)
        assert word in sentence


def test_what_waits_and_what_went_wrong_is_shown() -> None:
    status = _with(
        waiting=3, waiting_bytes=3 << 20, oldest_ms=NOW_MS - 121_000, open=1, stored=7,
        last_stored_ms=NOW_MS - 6_000, last_trouble="no TLS", last_trouble_ms=NOW_MS - 11_000,
    )  # fmt: skip
    facts = dict(imaging_facts(status))
    assert facts["images"].startswith("3 waiting, 3 MiB, the oldest 2 min ago; ")
    assert facts["modalities"] == "1 connected, 7 images, the last 5 s ago"
    assert facts["last image error"] == "no TLS (10 s ago)"


def test_what_the_cloud_set_aside_is_not_plainly_delivered() -> None:
    facts = dict(imaging_facts(_with(cloud_aside={"uid": 2, "cut": 1})))
    assert facts["images"].startswith("all delivered; 3 SET ASIDE IN THE CLOUD (cut 1, uid 2); ")


def test_the_health_record_tells_the_cloud() -> None:
    told = imaging_health.health(_with(damaged=1, waiting=4, cloud_aside={"uid": 2, "cut": 1}))
    assert (told["images_damaged"], told["images_waiting"]) == (1, 4)
    assert told["images_cloud_aside"] == 3
    assert imaging_health.health(None) == {}
    levels = [_with(disk_bytes=used << 30) for used in (25, 26, 31)] + [_with(free_bytes=0)]
    told_levels = [imaging_health.health(each)["images_level"] for each in levels]
    assert told_levels == ["normal", "warn", "full", "full"]
    told = imaging_health.health(_with(spool_error="malformed", databases_aside=2))
    assert (told["images_unusable"], told["images_databases_aside"]) == (True, 2)


def test_the_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert imaging_status.read(tmp_path) is None
    (tmp_path / "dicom").mkdir()
    for status in (WELL, _with(cloud_aside={"uid": 2})):
        imaging_status.write(tmp_path, status)
        assert imaging_status.read(tmp_path) == status
    (tmp_path / imaging_status.FILE).write_bytes(b"{")
    assert imaging_status.read(tmp_path) is None
    imaging_status.remove(tmp_path)
    imaging_status.remove(tmp_path)
