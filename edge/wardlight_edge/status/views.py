"""Snapshot to HTML and to terminal text; pure functions."""

from collections.abc import Iterable
from datetime import date

from wardlight_edge import imaging_health
from wardlight_edge.enrolment.calibration import Calibration
from wardlight_edge.health import DeviceSnapshot, RadioSnapshot, Snapshot
from wardlight_edge.imaging_status import ImagingStatus

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 76rem; margin: 1.5rem auto; padding: 0 1rem }
h1 { font-size: 1.3rem } h2 { font-size: 1.05rem; margin-top: 1.6rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid #8886 }
.wide { overflow-x: auto } .wide td { white-space: nowrap }
.wide .state { white-space: normal; min-width: 10rem }
.good { color: #0a7d33 } .bad { color: #c0271d; font-weight: 600 }
@media (prefers-color-scheme: dark) { .good { color: #5fd38d } .bad { color: #ff8a80 } }
""".strip()

# As html.escape, whose module brings 250 kB of names of characters along.
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"})

_DEVICE_HEADINGS = (
    "device", "profile", "state", "heard", "last data", "battery", "calibration", "readings",
    "errors",
)  # fmt: skip
_RADIO_HEADINGS = ("radio", "heard", "links", "state")


def age_text(age_s: float | None) -> str:
    """An age in the two largest useful words, "never" for None."""
    if age_s is None:
        return "never"
    seconds = max(0, int(age_s))
    if seconds < 60:
        return f"{seconds} s ago"
    if seconds < 3600:
        return f"{seconds // 60} min ago"
    if seconds < 86_400:
        return f"{seconds // 3600} h {seconds % 3600 // 60} min ago"
    return f"{seconds // 86_400} d {seconds % 86_400 // 3600} h ago"


def bytes_text(size: int) -> str:
    """A size in binary units."""
    value = float(size)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def facts(snapshot: Snapshot) -> tuple[tuple[str, str], ...]:
    """The gateway's own lines: (name, text)."""
    outbox, uplink = snapshot.outbox, snapshot.uplink
    waiting = "all delivered" if outbox.records == 0 else f"{outbox.records} records waiting"
    bound = "no bound" if snapshot.clock_error_ms is None else f"± {snapshot.clock_error_ms} ms"
    return (
        ("uplink", "connected" if uplink.connected else "NOT CONNECTED"),
        ("last acknowledgement", age_text(uplink.last_ack_age_s)),
        ("outbox", f"{waiting}, {bytes_text(outbox.size_bytes)}, level {outbox.level.value}"),
        *imaging_facts(snapshot.imaging),
        ("clock", f"{snapshot.clock_quality}, {bound}"),
        ("memory", bytes_text(snapshot.memory_bytes)),
        ("running for", age_text(snapshot.uptime_s).removesuffix(" ago")),
        ("software", snapshot.software),
    )


def imaging_facts(imaging: ImagingStatus | None) -> tuple[tuple[str, str], ...]:
    """What waits, what came, and what went wrong last; () where no imaging runs."""
    if imaging is None:
        return ()
    now_ms = imaging.updated_ms
    waiting = "all delivered"
    if imaging.waiting:
        oldest = age_text(_age_s(imaging.oldest_ms, now_ms))
        size = bytes_text(imaging.waiting_bytes)
        waiting = f"{imaging.waiting} waiting, {size}, the oldest {oldest}"
    if imaging.cloud_aside:
        aside, why = imaging_health.cloud_aside(imaging), imaging_health.why_aside(imaging)
        waiting += f"; {aside} SET ASIDE IN THE CLOUD ({why})"
    room = f"{bytes_text(imaging.disk_bytes)} of {bytes_text(imaging.quota_bytes)}"
    came = age_text(_age_s(imaging.last_stored_ms, now_ms))
    lines = [
        ("images", f"{waiting}; {room} used, {bytes_text(imaging.free_bytes)} of disk free"),
        ("modalities", f"{imaging.open} connected, {imaging.stored} images, the last {came}"),
    ]
    if imaging.worklist_entries is not None:
        unknown = imaging.worklist_age_s is None
        age = "nobody knows when" if unknown else age_text(imaging.worklist_age_s)
        mark = ", TOO OLD" if imaging.worklist_stale else ""
        lines.append(("worklist", f"{imaging.worklist_entries} entries, read {age}{mark}"))
    if imaging.commitments_open or imaging.commitments_given_up:
        given_up = imaging.commitments_given_up
        lines.append(("commitments", f"{imaging.commitments_open} open, {given_up} given up"))
    if imaging.last_trouble is not None:
        when = age_text(_age_s(imaging.last_trouble_ms, now_ms))
        lines.append(("last image error", f"{imaging.last_trouble} ({when})"))
    return tuple(lines)


def _age_s(then_ms: int | None, now_ms: int) -> float | None:
    return None if then_ms is None else (now_ms - then_ms) / 1000


def device_cells(device: DeviceSnapshot) -> tuple[str, ...]:
    """One row of the device table."""
    battery = "" if device.battery_percent is None else f"{device.battery_percent} %"
    return (
        device.identity,
        device.profile,
        device.state,
        heard_text(device),
        age_text(device.last_data_age_s),
        battery,
        calibration_text(device.calibration_due, device.calibration),
        str(device.readings),
        str(device.decode_errors),
    )


def radio_cells(radio: RadioSnapshot) -> tuple[str, ...]:
    """One row of the table of radios."""
    links = "none: it only hears" if radio.links is None else str(radio.links)
    return radio.name, age_text(radio.heard_age_s), links, radio.reason or "serves"


def heard_text(device: DeviceSnapshot) -> str:
    """When it last gave a sign of life, and how well a radio heard it then."""
    heard = age_text(device.heard_age_s)
    return heard if device.signal_dbm is None else f"{heard}, {device.signal_dbm} dBm"


def calibration_text(due: date | None, calibration: Calibration | None) -> str:
    """The day of the next calibration, and what it means when that is worth a word."""
    if due is None:
        return ""
    if calibration in {Calibration.DUE, Calibration.OVERDUE}:
        return f"{due} {calibration}"
    return str(due)


def escape(text: str) -> str:
    """Text as it stands in HTML, in elements and in quoted attributes."""
    return text.translate(_ESCAPES)


def page(snapshot: Snapshot) -> str:
    """The status page."""
    trouble = "".join(f'<li class="bad">{escape(line)}</li>' for line in snapshot.trouble)
    state = f"<ul>{trouble}</ul>" if trouble else '<p class="good">All is well.</p>'
    lines = "".join(
        f"<tr><th scope=row>{escape(name)}</th><td>{escape(text)}</td></tr>"
        for name, text in facts(snapshot)
    )
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8>"
        f"<meta name=viewport content='width=device-width'><meta http-equiv=refresh content=5>"
        f"<title>{escape(snapshot.gateway)} - Wardlight gateway</title><style>{_STYLE}</style>"
        f"<h1>Gateway {escape(snapshot.gateway)}</h1>{state}<table>{lines}</table>"
        f"<h2>Devices</h2>{_device_table(snapshot.devices)}"
        f"{_radio_table(snapshot.radios)}</html>\n"
    )


def _device_table(devices: Iterable[DeviceSnapshot]) -> str:
    rows = [device_cells(device) for device in devices]
    if not rows:
        return "<p>No devices are enrolled: `wardlight-edge devices add` enrols one.</p>"
    return _table(_DEVICE_HEADINGS, rows)


def _radio_table(radios: Iterable[RadioSnapshot]) -> str:
    rows = [radio_cells(radio) for radio in radios]
    return f"<h2>Radios</h2>{_table(_RADIO_HEADINGS, rows)}" if rows else ""


def _table(headings: Iterable[str], rows: Iterable[tuple[str, ...]]) -> str:
    """A state says why, in a sentence that may be broken; the other cells stand in one line."""
    names = tuple(headings)
    kinds = [" class=state" if name == "state" else "" for name in names]
    heads = "".join(f"<th scope=col>{name}</th>" for name in names)
    lines = "".join(
        "<tr>"
        + "".join(f"<td{kind}>{escape(cell)}</td>" for kind, cell in zip(kinds, row, strict=True))
        + "</tr>"
        for row in rows
    )
    return f"<div class=wide><table><tr>{heads}</tr>{lines}</table></div>"


def text(snapshot: Snapshot) -> str:
    """The same for a terminal."""
    width = max(len(name) for name, _ in facts(snapshot))
    lines = [f"gateway {snapshot.gateway}"]
    lines += [f"  {name:<{width}}  {value}" for name, value in facts(snapshot)]
    lines += ["", *columns([_DEVICE_HEADINGS, *map(device_cells, snapshot.devices)])]
    if not snapshot.devices:
        lines[-1:] = ["no devices are enrolled: `wardlight-edge devices add` enrols one"]
    if snapshot.radios:
        lines += ["", *columns([_RADIO_HEADINGS, *map(radio_cells, snapshot.radios)])]
    lines += ["", *(f"! {line}" for line in snapshot.trouble)]
    return "\n".join(lines).rstrip() + "\n"


def columns(rows: list[tuple[str, ...]]) -> list[str]:
    """Lines of a table whose first row holds the headings."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
