"""`wardlight-edge decode` of values without a reading, and of questions that do not fit."""

import pytest

from support.decode_command import Run

NTP = {"source": "ntp", "accuracy_ms": 1000, "updated_hours_ago": 51}
NOBODY_KNOWS = {"source": None, "accuracy_ms": None, "updated_hours_ago": None}
BODY = {"supported": ["weight", "height"], "height_step": "0.001 m or 0.1 in"}
WEIGHT = {"supported": ["timestamp", "bmi"], "weight_step": "0.005 kg or 0.01 lb"}

REGISTERED = {"request": "register-new-user", "response": "success", "user": 3}

# By hand from the tables of the Bluetooth GSS and the services' specifications.
FACTS = [
    ("2A14", "01 08 02 03", {"reference_time": NTP}),
    ("2A14", "09 FF FF FF", {"reference_time": NOBODY_KNOWS}),
    ("2A1D", "02", {"temperature_site": "body"}),
    ("2A21", "3C00", {"measurement_interval_s": 60}),
    ("2A21", "0000", {"measurement_interval_s": None}),
    ("2A34", "82 0100 00 02", {"glucose_context": {"record": 1, "meal": "after-meal"}}),
    ("2A38", "01", {"sensor_location": "chest"}),
    ("2A38", "07", {"sensor_location": None}),
    ("2A49", "0580", {"features": ["body-movement", "irregular-pulse"]}),
    ("2A51", "0104", {"features": ["low-battery", "multiple-bonds"]}),
    ("2A52", "05 00 0300", {"record_access": {"records": 3}}),
    ("2A52", "06 00 01 06", {"record_access": {"request": 1, "response": "no-records"}}),
    ("2A60", "0300 E0FF FFFF00", {"features": ["measurement-status", "sensor-status"]}),
    ("2A99", "05000000", {"database_change_increment": 5}),
    ("2A9A", "02", {"user_index": 2}),
    ("2A9A", "FF", {"user_index": None}),
    ("2A9F", "20 02 05", {"user_control": {"request": "consent", "response": "not-authorised"}}),
    ("2A9F", "20 01 01 03", {"user_control": REGISTERED}),
    ("2A9B", "00860100", {"features": BODY}),
    ("2A9E", "3D000000", {"features": WEIGHT}),
    ("2AA8", "000000 00 FFFF", {"cgm_has_crc": False}),
    ("2AA9", "0A00 000000", {"cgm_session_minutes": 10}),
    ("2AAA", "EA07 0B 16 07 1E 00 04 04", {"cgm_session_start": "2026-11-22T07:30:00+02:00"}),
    ("2AAB", "F000", {"cgm_run_time_hours": 240}),
    ("2AAC", "03 05", {"cgm_interval_minutes": 5}),
]  # fmt: skip


@pytest.mark.parametrize(("characteristic", "octets", "said"), FACTS)
def test_what_has_no_reading_is_said_of_the_device(
    run: Run, characteristic: str, octets: str, said: object
) -> None:
    assert run("--char", characteristic, octets) == (0, {"readings": [], "device": said}, "")


@pytest.mark.parametrize(
    ("octet", "accuracy_ms"), [("00", 0), ("FD", 31_625), ("FE", None), ("FF", None)]
)
def test_how_well_a_clock_is_set(run: Run, octet: str, accuracy_ms: int | None) -> None:
    # GSS Time Accuracy: steps of 125 ms; 254 out of range, 255 unknown.
    shown = run("--char", "2A14", f"01 {octet} 00 00")[1]
    assert shown["device"]["reference_time"]["accuracy_ms"] == accuracy_ms


@pytest.mark.parametrize("characteristic", sorted({each[0] for each in FACTS}))
@pytest.mark.parametrize("octets", ["00" * 30])
def test_another_length_is_an_error(run: Run, characteristic: str, octets: str) -> None:
    code, shown, error = run("--char", characteristic, octets)
    assert (code, shown) == (2, None)
    assert f"0x{characteristic}" in error


def test_a_model_may_mean_something_by_a_reserved_number(run: Run) -> None:
    caresens = ("--manufacturer", "i-SENS")
    _, shown, _ = run("--char", "2A34", *caresens, "02 0100 06")
    assert shown["device"]["glucose_context"] == {"record": 1, "meal": "ketone"}
    assert run("--char", "2A34", "02 0100 06")[1]["device"]["glucose_context"] == {"record": 1}


def test_what_says_nothing_is_told(run: Run) -> None:
    code, shown, error = run("--char", "2A36", "00 6400 FF07 FF07")  # cuff pressure
    assert (code, shown) == (0, {"readings": [], "device": {}})
    assert error == "wardlight-edge: nothing in this is a reading to publish\n"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--char", "2A35", "--service", "180D", "00"), "0x180D does not hold 0x2A35; it is of"),
        (("--char", "2A35", "--option", "a=b", "00"), "--option: goes with --serial"),
        (("--sfloat", "--option", "a=b", "0000"), "--option: goes with --serial"),
        (("--char", "2A35", "--address", "A4:C1:38:8D:18:B2", "00"), "--address: goes with --adv"),
        (("--hl7", "--model", "X", "00"), "--model: goes with --char only"),
        (("--serial", "nonin", "--service", "1822", "00"), "--service: goes with --char only"),
    ],
)
def test_a_question_that_does_not_fit(run: Run, arguments: tuple[str, ...], error: str) -> None:
    code, shown, said = run(*arguments)
    assert (code, shown) == (2, None)
    assert error in said
    assert said.count("\n") == 1


def test_a_vendor_may_hold_it_in_a_service_of_its_own(run: Run) -> None:
    """A&D's cuffs have Date Time and a service of the vendor beside the standard one."""
    vendor = "233BF000-5A34-1B6D-975C-000D5690ABE4"
    assert run("--char", "2A35", "--service", vendor, "00 7C00 5600 6100")[0] == 0


def test_body_composition_in_two_packets(run: Run) -> None:
    """By hand, BCS 3.2.1: 21.4 % and weight 75.000 kg, then 21.4 % and height 1.750 m."""
    packets = "0014 D600 983A\n0018 D600 D606\n"
    code, shown, _ = run("--char", "2A9C", "-", stdin=packets)
    assert code == 0
    found = {each["metric"]: each["value"] for each in shown["readings"]}
    assert found == {"body_fat": "21.4", "body_weight": "75.000", "body_height": "175.0"}
    alone = run("--char", "2A9C", "-", stdin=packets.splitlines()[0])[1]["readings"]
    assert len(alone) == 2


def test_frames_cut_in_two_by_notifications(run: Run) -> None:
    """Berry's BCI frames (zh2x/BCI_Protocol): 97 %, 72 beats, two frames in three pieces."""
    berry = "49535343-1E4D-4BD9-BA61-23C647249616"
    stream = bytes.fromhex("80 20 04 48 61 80 21 04 48 61")
    pieces = "\n".join(each.hex() for each in (stream[:3], stream[3:7], stream[7:]))
    code, shown, error = run("--char", berry, "-", stdin=pieces)
    assert code == 0, error
    assert {each["value"] for each in shown["readings"]} == {"97", "72"}
