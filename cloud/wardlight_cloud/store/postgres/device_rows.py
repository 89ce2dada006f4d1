"""Rows of devices; what gateways told of them may be anything that JSON can say. Pure."""

import json
import re
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from wardlight_cloud.store.base import DeviceRow

_PERCENT: Final = frozenset(map(str, range(101)))
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def device_of(row: Any) -> DeviceRow:
    """A device from a row of device_row."""
    info: Mapping[str, str] = {} if row["info"] is None else json.loads(row["info"])
    return DeviceRow(
        device_id=row["device_id"],
        identity=row["identity"],
        gateway=row["gateway"],
        info={name: str(text) for name, text in info.items() if text is not None},
        battery_percent=_percent(row["battery"]),
        link=row["link"],
        last_seen_at=row["last_seen_at"],
        commit_seq=row["commit_seq"],
        updated_at=row["updated_at"],
        calibration_due=day_of(row["calibration_due"]),
        last_stored_at=row["last_stored_at"],
    )


def _percent(text: str | None) -> int | None:
    """What a gateway told as a battery's charge; None for what is no percentage."""
    return int(text) if text in _PERCENT else None


def day_of(text: str | None) -> date | None:
    """What a gateway told as a day; None for what is none."""
    if text is None or _DAY.fullmatch(text) is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
