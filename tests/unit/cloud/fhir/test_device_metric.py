"""A DeviceMetric says how its sensor works as far as anybody knows."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from wardlight_cloud.fhir.own.device_metric import device_metric
from wardlight_cloud.store.device_facts import DeviceMetricRow
from wardlight_shared.codes import METRICS


@pytest.mark.parametrize(
    ("link", "told"),
    [
        ("ok", "on"), ("connected", "on"), ("waiting", "standby"), ("connecting", "standby"),
        ("removed", "off"), ("lost", None), ("absent", None), ("bond-lost", None),
        ("not-paired", None), ("unverified", None), ("said-by-a-newer-gateway", None), (None, None),
    ],
)  # fmt: skip
def test_it_is_on_only_where_its_link_stands(link: str | None, told: str | None) -> None:
    spo2 = METRICS["spo2"]
    row = DeviceMetricRow(
        UUID(int=1), spo2.wire, spo2.unit, "gw-1", link, None, 7, datetime(2026, 3, 1, tzinfo=UTC)
    )
    resource = device_metric(row)
    assert resource.get("operationalStatus") == told
    assert None not in resource.values()
