"""The code table, row by row: pinned codes, sources, check digits."""

import re
from decimal import Decimal

import pytest

from wardlight_shared.codes import BY_WIRE, METRICS, Metric

# metric: wire, LOINC, MDC (partition * 65536 + term), reference id, UCUM, MDC unit, FHIR category.
# Wire numbers stand in stored records: a row is added at the end and never changes its number.
PINNED = {
    "heart_rate": (1, "8867-4", 147842, "MDC_ECG_HEART_RATE", "/min", 264864, "vital-signs"),
    "pulse_rate_oximeter": (
        2,
        "8867-4",
        149530,
        "MDC_PULS_OXIM_PULS_RATE",
        "/min",
        264864,
        "vital-signs",
    ),
    "pulse_rate_nibp": (
        3,
        "8867-4",
        149546,
        "MDC_PULS_RATE_NON_INV",
        "/min",
        264864,
        "vital-signs",
    ),
    "spo2": (4, "2708-6", 150456, "MDC_PULS_OXIM_SAT_O2", "%", 262688, "vital-signs"),
    "perfusion_index": (5, "61006-3", 150448, "MDC_PULS_OXIM_PERF_REL", "%", 262688, "vital-signs"),
    "blood_pressure": (
        6,
        "85354-9",
        150020,
        "MDC_PRESS_BLD_NONINV",
        "mm[Hg]",
        266016,
        "vital-signs",
    ),
    "systolic_bp": (
        7,
        "8480-6",
        150021,
        "MDC_PRESS_BLD_NONINV_SYS",
        "mm[Hg]",
        266016,
        "vital-signs",
    ),
    "diastolic_bp": (
        8,
        "8462-4",
        150022,
        "MDC_PRESS_BLD_NONINV_DIA",
        "mm[Hg]",
        266016,
        "vital-signs",
    ),
    "mean_bp": (9, "8478-0", 150023, "MDC_PRESS_BLD_NONINV_MEAN", "mm[Hg]", 266016, "vital-signs"),
    "average_bp": (10, "96607-7", None, "", "mm[Hg]", None, "vital-signs"),
    "body_temperature": (11, "8310-5", 150364, "MDC_TEMP_BODY", "Cel", 268192, "vital-signs"),
    "body_temperature_oral": (12, "8310-5", 188424, "MDC_TEMP_ORAL", "Cel", 268192, "vital-signs"),
    "body_temperature_rectal": (
        13,
        "8310-5",
        188420,
        "MDC_TEMP_RECT",
        "Cel",
        268192,
        "vital-signs",
    ),
    "body_temperature_tympanic": (
        14,
        "8310-5",
        150392,
        "MDC_TEMP_TYMP",
        "Cel",
        268192,
        "vital-signs",
    ),
    "body_temperature_axillary": (
        15,
        "8310-5",
        188452,
        "MDC_TEMP_AXILLA",
        "Cel",
        268192,
        "vital-signs",
    ),
    "body_weight": (16, "29463-7", 188736, "MDC_MASS_BODY_ACTUAL", "kg", 263875, "vital-signs"),
    "body_height": (17, "8302-2", 188740, "MDC_LEN_BODY_ACTUAL", "cm", 263441, "vital-signs"),
    "bmi": (18, "39156-5", 188752, "MDC_RATIO_MASS_BODY_LEN_SQ", "kg/m2", 264096, "vital-signs"),
    "body_fat": (19, "41982-0", 188748, "MDC_BODY_FAT", "%", 262688, "exam"),
    "glucose_capillary_whole_blood": (
        20,
        "41653-7",
        160184,
        "MDC_CONC_GLU_CAPILLARY_WHOLEBLOOD",
        "mg/dL",
        264274,
        "laboratory",
    ),
    "glucose_capillary_plasma": (
        21,
        "2345-7",
        160188,
        "MDC_CONC_GLU_CAPILLARY_PLASMA",
        "mg/dL",
        264274,
        "laboratory",
    ),
    "glucose_undetermined_whole_blood": (
        22,
        "2339-0",
        160364,
        "MDC_CONC_GLU_UNDETERMINED_WHOLEBLOOD",
        "mg/dL",
        264274,
        "laboratory",
    ),
    "glucose_undetermined_plasma": (
        23,
        "2345-7",
        160368,
        "MDC_CONC_GLU_UNDETERMINED_PLASMA",
        "mg/dL",
        264274,
        "laboratory",
    ),
    "glucose_fasting_capillary": (
        24,
        "41604-0",
        160184,
        "MDC_CONC_GLU_CAPILLARY_WHOLEBLOOD",
        "mg/dL",
        264274,
        "laboratory",
    ),
    "glucose_cgm": (25, "99504-3", 160212, "MDC_CONC_GLU_ISF", "mg/dL", 264274, "laboratory"),
    "respiratory_rate": (26, "9279-1", 151562, "MDC_RESP_RATE", "/min", 264928, "vital-signs"),
    "etco2": (27, "19889-5", 151708, "MDC_AWAY_CO2_ET", "mm[Hg]", 266016, "vital-signs"),
    "fev1": (28, "20150-9", 152586, "MDC_VOL_AWAY_EXP_FORCED_1S", "L", 263744, "procedure"),
    "fvc": (29, "19868-9", 188928, "MDC_VOL_AWAY_EXP_FORCED_CAPACITY", "L", 263744, "procedure"),
    "pef": (30, "33452-4", 152584, "MDC_FLOW_AWAY_EXP_FORCED_PEAK", "L/min", 265216, "procedure"),
    "steps": (31, "55423-8", None, "", "1", 268800, "activity"),
    "inr": (32, "34714-6", 160260, "MDC_RATIO_INR_COAG", "{INR}", 268752, "laboratory"),
    "ecg_lead_i": (33, "", 131329, "MDC_ECG_ELEC_POTL_I", "mV", 266418, "procedure"),
    "pleth_waveform": (34, "", 150452, "MDC_PULS_OXIM_PLETH", "1", 262656, "procedure"),
    "ppg_rr_interval": (35, "8637-1", None, "", "ms", None, "vital-signs"),
    "battery": (36, "", 67996, "MDC_ATTR_VAL_BATT_CHARGE", "%", 262688, ""),
    "ecg_lead_ii": (37, "", 131330, "MDC_ECG_ELEC_POTL_II", "mV", 266418, "procedure"),
    "ecg_lead_iii": (38, "", 131389, "MDC_ECG_ELEC_POTL_III", "mV", 266418, "procedure"),
    "ecg_lead_avr": (39, "", 131390, "MDC_ECG_ELEC_POTL_AVR", "mV", 266418, "procedure"),
    "ecg_lead_avl": (40, "", 131391, "MDC_ECG_ELEC_POTL_AVL", "mV", 266418, "procedure"),
    "ecg_lead_avf": (41, "", 131392, "MDC_ECG_ELEC_POTL_AVF", "mV", 266418, "procedure"),
    "ecg_lead_v1": (42, "", 131331, "MDC_ECG_ELEC_POTL_V1", "mV", 266418, "procedure"),
    "ecg_lead_v2": (43, "", 131332, "MDC_ECG_ELEC_POTL_V2", "mV", 266418, "procedure"),
    "ecg_lead_v3": (44, "", 131333, "MDC_ECG_ELEC_POTL_V3", "mV", 266418, "procedure"),
    "ecg_lead_v4": (45, "", 131334, "MDC_ECG_ELEC_POTL_V4", "mV", 266418, "procedure"),
    "ecg_lead_v5": (46, "", 131335, "MDC_ECG_ELEC_POTL_V5", "mV", 266418, "procedure"),
    "ecg_lead_v6": (47, "", 131336, "MDC_ECG_ELEC_POTL_V6", "mV", 266418, "procedure"),
    "respiration_waveform": (48, "", 151780, "MDC_IMPED_TTHOR", "Ohm", 266432, "procedure"),
    "co2_waveform": (49, "", 151724, "MDC_AWAY_CO2", "mm[Hg]", 266016, "procedure"),
}

# ISO/IEEE 11073-10101, partition 4 (dimensions), to the UCUM unit of the row.
UNIT_TERMS = {
    264864: "/min",
    264928: "/min",
    262688: "%",
    262656: "1",
    263441: "cm",
    263744: "L",
    263875: "kg",
    264096: "kg/m2",
    264274: "mg/dL",
    265216: "L/min",
    266016: "mm[Hg]",
    266418: "mV",
    266432: "Ohm",
    268192: "Cel",
    268752: "{INR}",
    268800: "1",
}
LOINC = re.compile(r"\d{3,6}-\d")


def test_no_row_is_missing_or_new_without_a_pin() -> None:
    assert set(METRICS) == set(PINNED)


def test_rows_are_pinned() -> None:
    rows = {
        metric.name: (
            metric.wire,
            metric.loinc,
            metric.mdc,
            metric.mdc_refid,
            metric.unit,
            metric.mdc_unit,
            metric.category,
        )
        for metric in METRICS.values()
    }
    assert rows == PINNED


def test_rows_name_the_source_of_each_code() -> None:
    for metric in METRICS.values():
        assert len(metric.sources) == 4, metric.name
        assert all(source.strip() for source in metric.sources), metric.name


def test_loinc_check_digits() -> None:
    """The digit after the hyphen is the mod-10 check digit of those before it (LOINC 1.4)."""
    for code in filter(None, (code for metric in METRICS.values() for code in _loinc(metric))):
        assert LOINC.fullmatch(code), code
        number, _, check = code.partition("-")
        assert _mod_10(number) == int(check), code


def _loinc(metric: Metric) -> list[str]:
    """Every code that the row says, also in its notes."""
    codes = [metric.loinc, *(code for code, _ in metric.loinc_also)]
    return codes + LOINC.findall(f"{metric.structure} {metric.notes}")


def _mod_10(number: str) -> int:
    doubled = int("".join(reversed(number))[0::2][::-1]) * 2
    kept = "".join(reversed(number))[1::2]
    return -sum(map(int, str(doubled) + kept)) % 10


@pytest.mark.parametrize(
    ("number", "check"), [("8867", 4), ("85354", 9), ("2708", 6), ("59408", 5)]
)
def test_the_check_digit_rule_itself(number: str, check: int) -> None:
    assert _mod_10(number) == check


def test_units_and_their_mdc_terms_agree() -> None:
    for metric in METRICS.values():
        if metric.mdc_unit is not None:
            assert UNIT_TERMS[metric.mdc_unit] == metric.unit, metric.name
        assert metric.unit not in metric.units_also, metric.name


def test_mdc_codes_have_a_reference_id() -> None:
    for metric in METRICS.values():
        assert (metric.mdc is None) == (not metric.mdc_refid), metric.name
        if metric.mdc is not None:
            assert metric.mdc_refid.startswith("MDC_"), metric.name
            # object attributes, SCADA physio, events and others
            assert metric.mdc >> 16 in (1, 2, 3), metric.name


def test_plausible_ranges_are_in_the_unit_of_the_row() -> None:
    for metric in METRICS.values():
        if metric.plausible is not None:
            low, high = metric.plausible
            assert low < high, metric.name
            assert metric.plausible_unit == metric.unit, metric.name


def test_vital_signs_name_their_profiles() -> None:
    for metric in METRICS.values():
        for url in (metric.r4_profile, metric.us_core_profile):
            assert not url or url.startswith("http://hl7.org/fhir/"), metric.name


def test_wire_numbers_are_dense_and_unique() -> None:
    assert sorted(BY_WIRE) == list(range(1, len(METRICS) + 1))
    assert all(BY_WIRE[metric.wire] is metric for metric in METRICS.values())


def test_components_point_to_their_panel() -> None:
    parts = {name for name, metric in METRICS.items() if metric.component_of == "blood_pressure"}
    assert parts == {"systolic_bp", "diastolic_bp", "mean_bp"}
    assert METRICS["blood_pressure"].component_of is None


def test_further_loinc_codes_are_split() -> None:
    assert METRICS["spo2"].loinc_also == (
        ("59408-5", "Oxygen saturation in Arterial blood by Pulse oximetry"),
    )
    assert [code for code, _ in METRICS["inr"].loinc_also] == ["46418-0", "6301-6"]
    assert METRICS["heart_rate"].loinc_also == ()


def test_numbers_of_the_table_are_exact() -> None:
    assert METRICS["perfusion_index"].plausible == (Decimal("0.02"), Decimal(20))


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        METRICS["spo2"] = METRICS["bmi"]  # type: ignore[index]
