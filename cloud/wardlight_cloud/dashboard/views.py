"""View models: rows of the store as what a page shows. Pure functions.

A value is never shown without its age, and a value older than its metric's usual rhythm is marked
stale, so that an old number cannot pass for a fresh one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from wardlight_cloud.store.base import LatestRow, LedgerReport, Patient
from wardlight_cloud.store.blobs_aside import AsideBlob
from wardlight_cloud.store.quarantine import QuarantinedReading
from wardlight_shared.codes import name_of
from wardlight_shared.floats import decimal_from_parts
from wardlight_shared.model import ABSENT_BY_CODE, Flag
from wardlight_shared.set_aside import meaning

_STALE_STREAM: Final = timedelta(minutes=2)
_STALE_AFTER: Final = {
    "heart_rate": _STALE_STREAM,
    "ppg_rr_interval": _STALE_STREAM,
    "pulse_rate_oximeter": _STALE_STREAM,
    "spo2": _STALE_STREAM,
    "perfusion_index": _STALE_STREAM,
    "glucose_cgm": timedelta(minutes=15),  # three readings of a sensor in a row did not come
}
_STALE_EPISODIC: Final = timedelta(hours=36)
_ROUGH_TIME_MS: Final = 60_000

LABELS: Final = {
    "heart_rate": "Heart rate",
    "pulse_rate_oximeter": "Pulse (oximeter)",
    "pulse_rate_nibp": "Pulse (cuff)",
    "spo2": "SpO₂",
    "perfusion_index": "Perfusion index",
    "systolic_bp": "Systolic",
    "diastolic_bp": "Diastolic",
    "mean_bp": "Mean pressure",
    "body_temperature": "Temperature",
    "body_temperature_oral": "Temperature (mouth)",
    "body_temperature_rectal": "Temperature (rectum)",
    "body_temperature_tympanic": "Temperature (ear)",
    "body_temperature_axillary": "Temperature (armpit)",
    "body_weight": "Weight",
    "body_height": "Height",
    "bmi": "BMI",
    "glucose_cgm": "Glucose (CGM)",
    "ppg_rr_interval": "R-R interval",
    "battery": "Battery",
}
COLUMNS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("Heart rate", ("heart_rate", "pulse_rate_oximeter", "pulse_rate_nibp")),
    ("SpO₂", ("spo2",)),
    ("Blood pressure", ("systolic_bp",)),
    ("Temperature", ("body_temperature", "body_temperature_oral", "body_temperature_axillary",
                     "body_temperature_tympanic", "body_temperature_rectal")),
    ("Weight", ("body_weight",)),
    ("Glucose", ("glucose_cgm", "glucose_capillary_whole_blood", "glucose_capillary_plasma",
                 "glucose_undetermined_whole_blood", "glucose_undetermined_plasma",
                 "glucose_fasting_capillary")),
)  # fmt: skip
"""Columns of the patient list: the newest reading among the metrics of each."""

_UNITS: Final = {"mm[Hg]": "mmHg", "Cel": "°C", "[degF]": "°F", "[lb_av]": "lb"}
_ABSENT_TEXT: Final = "no value"
_UNCERTAIN: Final = "time uncertain"
_MARKS: Final = (
    (Flag.IMPLAUSIBLE | Flag.QUESTIONABLE, "questionable"),
    (Flag.IRREGULAR_PULSE, "irregular pulse"),
    (Flag.SIGNAL_POOR | Flag.LOW_PERFUSION | Flag.ARTIFACT, "poor signal"),
    (Flag.BODY_MOVEMENT | Flag.CUFF_LOOSE | Flag.IMPROPER_POSITION, "measured badly"),
    (Flag.LATE, "sent late"),
    (Flag.TIME_UNCERTAIN, _UNCERTAIN),
    (Flag.CORRECTED, "corrected"),
    (Flag.WITHDRAWN, "taken back"),
    (Flag.RELEASED, "released by a person"),
)

LIVE_RULES: Final = {
    "marks": [[int(mask), text] for mask, text in _MARKS],
    "rough_time_ms": _ROUGH_TIME_MS,
    "uncertain": _UNCERTAIN,
    "units": _UNITS,
    "stale_after_s": {name: int(age.total_seconds()) for name, age in _STALE_AFTER.items()},
    "else_stale_after_s": int(_STALE_EPISODIC.total_seconds()),
}
"""What static/live.js needs to word a live row as these functions do."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One latest value. ``stale_after_s`` lets the page mark it by itself as time passes."""

    series: int
    metric: str
    label: str
    value: str
    unit: str
    time: datetime
    stale_after_s: int
    is_absent: bool
    marks: tuple[str, ...]

    def is_stale(self, now: datetime) -> bool:
        """Whether it is older than its metric's usual rhythm."""
        return now - self.time > timedelta(seconds=self.stale_after_s)

    def age_text(self, now: datetime) -> str:
        """Its age, and in words when it is not current."""
        text = age_text(now - self.time)
        return f"not current: {text}" if self.is_stale(now) else text


@dataclass(frozen=True, slots=True)
class PatientLine:
    """One line of the patient list; ``cells`` follow COLUMNS, None = never measured."""

    patient_id: UUID
    name: str
    cells: tuple[Tile | None, ...]


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """One outbox epoch of a gateway, for the operations page."""

    gateway: str
    epoch: int
    recorded: int
    stored: int
    rejected: int
    missing: int
    removed: str
    losses: str


def patient_name(patient: Patient) -> str:
    """``Family, Given``."""
    return ", ".join(part for part in (patient.family, patient.given) if part)


def unit_text(ucum: str) -> str:
    """How a clinician writes the unit."""
    return _UNITS.get(ucum, ucum)


def value_text(row: LatestRow) -> str:
    """The number at the device's precision, or the reason there is none."""
    if row.absent == 0:
        return format(decimal_from_parts(row.mantissa, row.scale), "f")
    reason = ABSENT_BY_CODE[row.absent] if row.absent < len(ABSENT_BY_CODE) else None
    return str(reason).replace("-", " ") if reason else _ABSENT_TEXT


def stale_after(metric: str) -> timedelta:
    """After this age a value is marked stale."""
    return _STALE_AFTER.get(metric, _STALE_EPISODIC)


def age_text(age: timedelta) -> str:
    """How long ago, as static/live.js says it: that goes on from here, and may not run at all."""
    seconds = int(age.total_seconds())
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 0:
        return "just now"
    if minutes < 1:
        return f"{seconds} s ago"
    if hours < 1:
        return f"{minutes} min ago"
    if days < 1:
        return f"{hours} h {minutes % 60} min ago"
    return f"{days} d {hours % 24} h ago" if days < 7 else f"{days} days ago"


def tile(row: LatestRow) -> Tile:
    """One latest row as a tile."""
    metric = name_of(row.metric)
    marks = [text for mask, text in _MARKS if row.flags & mask]
    if row.error_ms < 0 or row.error_ms > _ROUGH_TIME_MS:
        marks.append(_UNCERTAIN)
    return Tile(
        series=row.series_id,
        metric=metric,
        label=LABELS.get(metric, metric.replace("_", " ").capitalize()),
        value=value_text(row),
        unit=unit_text(row.unit),
        time=row.time,
        stale_after_s=int(stale_after(metric).total_seconds()),
        is_absent=row.absent != 0,
        marks=tuple(dict.fromkeys(marks)),
    )


def newest_by_metric(rows: Iterable[LatestRow]) -> dict[str, LatestRow]:
    """The newest row of each metric (a patient may own two devices of a kind)."""
    newest: dict[str, LatestRow] = {}
    for row in rows:
        name = name_of(row.metric)
        if name not in newest or row.time > newest[name].time:
            newest[name] = row
    return newest


def patient_line(patient: Patient, rows: Sequence[LatestRow]) -> PatientLine:
    """One line of the list."""
    newest = newest_by_metric(rows)
    cells = tuple(_cell(newest, metrics) for _, metrics in COLUMNS)
    return PatientLine(patient.patient_id, patient_name(patient), cells)


def _cell(newest: dict[str, LatestRow], metrics: tuple[str, ...]) -> Tile | None:
    found = [newest[metric] for metric in metrics if metric in newest]
    if not found:
        return None
    row = max(found, key=lambda candidate: candidate.time)
    cell = tile(row)
    diastolic = newest.get("diastolic_bp")
    if cell.metric == "systolic_bp" and diastolic is not None and diastolic.time == row.time:
        return _with_value(cell, f"{cell.value}/{value_text(diastolic)}")
    return cell


def _with_value(cell: Tile, value: str) -> Tile:
    return Tile(
        cell.series, cell.metric, cell.label, value, cell.unit, cell.time,
        cell.stale_after_s, cell.is_absent, cell.marks,
    )  # fmt: skip


def tiles(rows: Iterable[LatestRow]) -> list[Tile]:
    """Tiles of the patient page: vital signs in the order of LABELS, then the rest."""
    order = {name: place for place, name in enumerate(LABELS)}
    found = [tile(row) for row in rows]
    return sorted(found, key=lambda t: (order.get(t.metric, len(order)), t.label, t.series))


def ledger_line(report: LedgerReport) -> LedgerLine:
    """One line of the operations page."""
    return LedgerLine(
        gateway=report.gateway,
        epoch=report.epoch,
        recorded=report.recorded,
        stored=report.stored,
        rejected=report.rejected,
        missing=sum(last - first + 1 for first, last in report.missing),
        removed=_causes(report.removed.items()),
        losses=_causes(report.losses.items()),
    )


@dataclass(frozen=True, slots=True)
class AsideLine:
    """One reading in quarantine; its value is not on the page, only that it waits."""

    number: int
    gateway: str
    seq: int
    device: str
    label: str
    time: datetime
    reason: str


def aside_line(row: QuarantinedReading) -> AsideLine:
    """One line of the operations page."""
    name = name_of(row.metric)
    label = LABELS.get(name, name.replace("_", " ").capitalize())
    return AsideLine(
        row.quarantine_id, row.gateway, row.seq, row.device, label, row.time, row.reason
    )


@dataclass(frozen=True, slots=True)
class FileAsideLine:
    """One file of a gateway that is on no index. ``calling_ae`` is who sent it to the gateway."""

    gateway: str
    item: int | None
    calling_ae: str
    since: datetime | None
    size: int
    reason: str
    sha256: str


def file_aside_line(blob: AsideBlob) -> FileAsideLine:
    """One line of the operations page."""
    source = blob.source
    return FileAsideLine(
        source.gateway or "", source.item, source.calling_ae, blob.aside_at, blob.size,
        f"{blob.reason}: {meaning(blob.reason)}", blob.sha256.hex(),
    )  # fmt: skip


def _causes(items: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{count} {cause}" for cause, count in sorted(items)) or "none"
