"""`objects.cold.delay_s` of the settings reaches whoever asks: by DICOMweb, and in FHIR."""

from pathlib import Path
from typing import Any

import pytest

from support.dicom_files import bundled, dataset_of
from support.image_stock import image_stock
from support.postgres import FreshDatabase
from support.served_ward import ANNA, WARD, Ward
from wardlight_cloud.app import create_app
from wardlight_cloud.config import Settings
from wardlight_cloud.fhir.imaging_resources import DELAY_EXTENSION
from wardlight_cloud.store.object_names import object_name
from wardlight_cloud.store.open import open_store

DELAY_S = 5400
FILE = "CT_small.dcm"


def told(resource: Any) -> list[int]:
    """Seconds of the delays at the top of a resource."""
    return [
        each["valueDuration"]["value"]
        for each in resource.get("extension", [])
        if each["url"] == DELAY_EXTENSION
    ]


@pytest.mark.parametrize("has_cold", [True, False])
async def test_how_long_the_second_place_takes_is_told_by_every_face(
    fresh_database: FreshDatabase, tmp_path: Path, has_cold: bool
) -> None:
    cold = tmp_path / "cold"
    objects = {"cold": {"folder": cold, "delay_s": DELAY_S}} if has_cold else {}
    settings = Settings.model_validate(
        {
            "data_dir": tmp_path,
            "database": {"dsn": await fresh_database(WARD), "pool_size": 4},
            "objects": objects,
        }
    )
    store = await open_store(settings)
    try:
        async with image_stock(store, settings) as stock:
            await stock.add(bundled(FILE), patient=ANNA)
        image = dataset_of(bundled(FILE))
        ref = await store.instance(image.SOPInstanceUID)
        assert ref is not None
        await store.set_tier([ref.sha256], "cold")
        name = object_name(ref.sha256)
        (tmp_path / "objects" / name).unlink()
        # It is there and cannot be read now.
        place = (cold if has_cold else tmp_path / "objects") / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(place.name)
        expected = [DELAY_S] if has_cold else []
        ward = Ward(settings, store, create_app(settings, store))
        async with ward.client() as client:
            endpoint = (await client.get("/fhir/Endpoint/dicom-wado-rs")).json()
            (found,) = (await client.get(f"/fhir/ImagingStudy?patient={ANNA}")).json()["entry"]
            path = f"/dicom-web/studies/{ref.study_uid}/series/{ref.series_uid}/instances"
            answer = await client.get(
                f"{path}/{ref.sop_uid}", headers={"Accept": "application/dicom"}
            )
        assert told(endpoint) == expected
        assert told(found["resource"]) == expected
        assert answer.status_code == 503
        assert (answer.headers["retry-after"] == str(DELAY_S)) == has_cold
        assert (f"about {DELAY_S} s" in answer.text) == has_cold
    finally:
        await store.close()
