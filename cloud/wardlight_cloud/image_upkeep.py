"""Work on images that runs beside ingest, put together from the settings."""

from typing import Final

from wardlight_cloud.config import Settings
from wardlight_cloud.imaging.matching import Issuers
from wardlight_cloud.imaging.rematch import Rematch
from wardlight_cloud.imaging.retention import Retention
from wardlight_cloud.imaging.scrub import Scrub
from wardlight_cloud.imaging.stale_parts import StaleParts
from wardlight_cloud.imaging.tiers import Cooling
from wardlight_cloud.maintenance import Job
from wardlight_cloud.store.base import Store
from wardlight_cloud.store.object_base import ObjectStore
from wardlight_cloud.store.tiered_objects import TieredObjects

_HOUR_S: Final = 3600.0
_REMATCH_PAUSE_S: Final = 30.0
_LARGE_OBJECT_S: Final = 6 * _HOUR_S
"""A turn may meet one object of any size, read or moved as slowly as the settings say."""


def image_jobs(settings: Settings, store: Store, objects: ObjectStore) -> tuple[Job, ...]:
    """Jobs of a collector."""
    images = settings.images
    scrub = Scrub(store, objects, days=images.scrub_days, bytes_per_s=images.scrub_bytes_per_s)
    retention = Retention(store, objects, images.keep)
    rematch = Rematch(store, Issuers.of(images))
    parts = StaleParts(objects)
    jobs = [
        Job("image-parts", _HOUR_S, parts.turn),
        Job("image-scrub", _HOUR_S, scrub.turn, _LARGE_OBJECT_S),
        Job("image-retention", _HOUR_S, retention.turn),
        Job("image-rematch", _REMATCH_PAUSE_S, rematch.turn),
    ]
    cold = settings.objects.cold
    if cold is not None and isinstance(objects, TieredObjects):
        cooling = Cooling(store, objects, after_days=cold.after_days)
        jobs.append(Job("image-tiers", _HOUR_S, cooling.turn, _LARGE_OBJECT_S))
    return tuple(jobs)
