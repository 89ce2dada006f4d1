"""ISO/IEEE 11073-20601 agents: personal health devices that associate over TCP or a serial line.

In      the byte stream of one link: APDUs, each with choice and length
Out     Events: readings of one person and time; fixed, variable and grouped scan reports, confirmed
        or not, by the agent's own configuration or a standard one. Confirmed reports are answered
        when they are committed. The agent's EUI-64 names it, as a Subject
        ``decode_bytes`` takes APDUs of one association; without its configuration the standard one
        that fits alone is taken
        Time: absolute time, base-offset time, and relative time as an age on the agent's counter
        (without a bound once it is over a minute: the counter may have begun anew). Not promised:
        a date for stamps of high-resolution relative time, which no report shows the counter of;
        they are DEVICE_CLOCK_UNSET. What has no date has no event id: an agent that associates
        anew and sends it again has it stored twice
        Numbers without a metric, enumerations and samples are answered, counted and logged by
        their MDC codes, and not stored
Errors  DecodeError from ``decode_bytes``; a conversation answers with an abort instead
Source  ISO/IEEE 11073-20601-2016; example APDUs of signove/antidote (tests/resources/apdu)
Vectors tests/vectors/apdu.toml
"""

from wardlight_edge.devices._apdu.association import request_of
from wardlight_edge.devices._apdu.configuration import STANDARD, Configuration, configuration_of
from wardlight_edge.devices._apdu.conversation import ApduConversation
from wardlight_edge.devices._apdu.events import (
    EventReport,
    device_attributes_of,
    device_info_of,
    event_report_of,
)
from wardlight_edge.devices._apdu.frames import ApduFramer, Choice, Data, Message, data_of
from wardlight_edge.devices._apdu.reports import CONFIG, REPORTS, scan_of
from wardlight_edge.devices._base import Options
from wardlight_edge.devices._options import check_options
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import DeviceInfo, Reading


def conversation(options: Options) -> ApduConversation:
    """Begin one link."""
    check_options("apdu", options, frozenset({"max_message_bytes", "message_timeout_ms"}))
    return ApduConversation()


def decode_bytes(octets: bytes, options: Options) -> tuple[tuple[Reading, ...], DeviceInfo]:
    """Decode whole APDUs: the readings of all scan reports, and what the agent says of itself."""
    conversation(options)
    framer = ApduFramer()
    apdus = framer.feed(octets)
    if framer.lost is not None or sum(len(apdu.body) + 4 for apdu in apdus) != len(octets):
        raise DecodeError(framer.lost or "APDU: the last one is cut off")
    known: Configuration | None = None
    info = DeviceInfo()
    readings: list[Reading] = []
    for apdu in apdus:
        if apdu.choice is Choice.AARQ:
            request = request_of(apdu.body)
            known = STANDARD.get(request.config_id) if request else None
            info = DeviceInfo(system_id=request.system_id.hex().upper()) if request else info
        elif apdu.choice is Choice.PRST:
            data = data_of(apdu)
            if data.message is Message.GOT:
                info = device_info_of(device_attributes_of(data.body))
            report = _report(data)
            if report is not None and report.kind == CONFIG:
                known = configuration_of(report.information)
            elif report is not None and report.kind in REPORTS:
                readings += _decoded(report, known)
    return tuple(readings), info


def decode(channel: str, octets: bytes) -> tuple[Reading, ...]:
    """Decode whole APDUs; a link has one channel."""
    del channel
    return decode_bytes(octets, {})[0]


def _report(data: Data) -> EventReport | None:
    is_event = data.message in (Message.EVENT, Message.CONFIRMED_EVENT)
    return event_report_of(data.body) if is_event else None


def _decoded(report: EventReport, known: Configuration | None) -> list[Reading]:
    """Readings by the configuration, or by the one standard configuration that fits."""
    fits: list[list[Reading]] = []
    reason = DecodeError("scan report: no configuration came before it, and no standard one fits")
    for configuration in STANDARD.values() if known is None else (known,):
        try:
            scan = scan_of(report, configuration)
        except DecodeError as error:
            reason = error if known is not None else reason
        else:
            fits.append([reading for each in scan.observed for reading in each.readings])
    if len(fits) != 1:
        raise reason
    return fits[0]
