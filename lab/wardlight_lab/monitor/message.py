"""What the monitor sends: one ORU^R01 a message, codes and units of ISO/IEEE 11073-10101.

Out     octets of one message; ``framed`` puts it into MLLP
Source  IHE Devices Technical Framework, volume 2, 3.1 (PCD-01); MLLP release 1
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from wardlight_lab.devices.patient import BloodPressure, PatientVitals

EUI_64: Final = "020000FFFE000A11"
_SYSTEM: Final = "1.3.6.1.4.1.19376.1.6.1.1.1"


@dataclass(frozen=True, slots=True)
class Vitals:
    """What the monitor shows: per cent, per minute, degrees Celsius, mmHg with the last cuff."""

    spo2: Decimal
    pulse: Decimal
    temperature: Decimal
    cuff: BloodPressure | None = None

    @classmethod
    def of(cls, patient: PatientVitals, at: datetime, *, with_cuff: bool) -> "Vitals":
        """A patient's vital signs at a moment."""
        cuff = patient.blood_pressure(at) if with_cuff else None
        return cls(patient.spo2(at), patient.pulse(at), patient.temperature(at), cuff)

    def named(self) -> dict[str, str]:
        """By metric of the code table, for the ledger."""
        shown = {
            "spo2": self.spo2,
            "heart_rate": self.pulse,
            "body_temperature": self.temperature,
        }
        if self.cuff is not None:
            shown |= {"systolic_bp": self.cuff.systolic, "diastolic_bp": self.cuff.diastolic}
        return {metric: str(value) for metric, value in shown.items()}


def oru(vitals: Vitals, patient_id: str, at: datetime, control: str) -> bytes:
    """One message; ``patient_id`` is the medical record number of PID-3."""
    moment = at.strftime("%Y%m%d%H%M%S%z")
    head = (
        rf"MSH|^~\&|WL-MONITOR^{EUI_64}^EUI-64|WARDLIGHT LAB|||{moment}||ORU^R01^ORU_R01|{control}"
        f"|P|2.6|||NE|AL||UNICODE UTF-8|||IHE_PCD_001^IHE PCD^{_SYSTEM}^ISO",
        f"PID|||{patient_id}^^^WARD^MR",
        "PV1||I|WARD^^4",
        f"OBR|1||{control}^WL-MONITOR^{EUI_64}^EUI-64|182777000^monitoring^SCT|||{moment}",
        "OBX|1||69965^MDC_DEV_MON_PHYSIO_MULTI_PARAM_MDS^MDC|1.0.0.0|||||||X",
    )
    body = [
        f"OBX|{number}|NM|{code}^MDC|{channel}|{value}|{unit}^MDC|||||R|||{moment}||||{EUI_64}"
        for number, (code, channel, value, unit) in enumerate(_rows(vitals), 2)
    ]
    return "\r".join((*head, *body, "")).encode()


def _rows(vitals: Vitals) -> Iterator[tuple[str, str, Decimal, str]]:
    beats, mmhg = "264864^MDC_DIM_BEAT_PER_MIN", "266016^MDC_DIM_MMHG"
    yield "147842^MDC_ECG_HEART_RATE", "1.7.4.1", vitals.pulse, beats
    yield "150456^MDC_PULS_OXIM_SAT_O2", "1.3.1.1", vitals.spo2, "262688^MDC_DIM_PERCENT"
    yield "150364^MDC_TEMP_BODY", "1.2.1.1", vitals.temperature, "268192^MDC_DIM_DEGC"
    if vitals.cuff is not None:
        yield "150021^MDC_PRESS_BLD_NONINV_SYS", "1.1.9.1", vitals.cuff.systolic, mmhg
        yield "150022^MDC_PRESS_BLD_NONINV_DIA", "1.1.9.2", vitals.cuff.diastolic, mmhg
        yield "150023^MDC_PRESS_BLD_NONINV_MEAN", "1.1.9.3", vitals.cuff.mean, mmhg


def framed(message: bytes) -> bytes:
    """A message as MLLP sends it."""
    return b"\x0b" + message + b"\x1c\x0d"
