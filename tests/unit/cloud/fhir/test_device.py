"""A Device as FHIR: what the sensor told of itself."""

from datetime import UTC, datetime
from uuid import UUID

from wardlight_cloud.fhir.resources import device_resource
from wardlight_cloud.store.base import DeviceRow


def test_the_guidelines_it_is_certified_for_are_a_version() -> None:
    """PHD IG, Device version: MDC_REG_CERT_DATA_CONTINUA_VERSION."""
    told = {"firmware_revision": "1.0", "continua_version": "1.5", "continua_classes": "8008"}
    device = DeviceRow(
        device_id=UUID(int=1),
        identity="ble:00091F800000",
        gateway="gw-1",
        info=told,
        battery_percent=None,
        link="ok",
        last_seen_at=None,
        commit_seq=1,
        updated_at=datetime(2026, 11, 22, tzinfo=UTC),
        calibration_due=None,
        last_stored_at=None,
    )
    versions = {
        each["type"]["coding"][0]["code"]: each["value"]
        for each in device_resource(device)["version"]
    }
    assert versions == {"531976": "1.0", "532352": "1.5"}
