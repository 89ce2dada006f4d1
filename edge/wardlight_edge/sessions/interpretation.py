"""What octets of one device mean, as records.

octets -> decode -> values: measurements.py
                 -> told:   what the device says of itself: to the admission and the report
                 -> neither, for they cannot be decoded: to quarantine
"""

from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.sessions.admission import Admission
from wardlight_edge.sessions.decoding import Values, decoding_of
from wardlight_edge.sessions.device_clock import LinkClock
from wardlight_edge.sessions.events import Waited
from wardlight_edge.sessions.measurements import Measurements
from wardlight_edge.sessions.report import Report
from wardlight_edge.sessions.told import Told
from wardlight_edge.transports.base import Octets
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import DeviceInfo
from wardlight_shared.profile import Profile


class Interpretation:
    """Makes the records of what one device sends, in order."""

    def __init__(
        self, profile: Profile, admission: Admission, measurements: Measurements, report: Report
    ) -> None:
        self._decoding = decoding_of(profile)
        self._admission = admission
        self._measurements = measurements
        self._report = report

    @property
    def info(self) -> DeviceInfo:
        """What the device says of itself, as far as it is known."""
        return self._decoding.info

    def is_about_device(self, channel: str) -> bool:
        """Whether a channel tells of the device itself and not of a patient."""
        return self._decoding.is_about_device(channel)

    def link_up(self) -> None:
        """A link has come up: what was begun on the last one is forgotten."""
        self._decoding.restart()

    def records(
        self, arrival: Octets, clock: LinkClock, waited: Waited | None = None
    ) -> list[NewRecord]:
        """What these octets mean; ``clock`` is the device's on the link they came over."""
        try:
            meanings = self._decoding.decode(arrival)
        except DecodeError as error:
            return self._report.rejected(arrival.octets, str(error), arrival.mono_ms)
        self._report.damaged(self._decoding.take_damaged())
        made: list[NewRecord] = []
        for meaning in meanings:
            match meaning:
                case Told():
                    made += self._told(meaning, arrival)
                case Values():
                    made += self._measurements.take(meaning, arrival, clock, waited)
        return made

    def _told(self, told: Told, arrival: Octets) -> list[NewRecord]:
        self._admission.told(told)
        return self._report.told(told, self._measurements.receipt(arrival))
