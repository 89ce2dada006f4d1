"""`wardlight-edge decode` as a person runs it: document, exit code, one line for what is wrong."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.decode_command import Run
from wardlight_edge import devices
from wardlight_edge.devices import Samples
from wardlight_edge.devices._astm.frames import Frame, encode_frame

BOSO = "16 7C00 5600 6100 E807 06 0F 11 11 1B 3300 0000"
"""A capture in the tests of derdilla/blood-pressure-monitor-fl."""

BM85 = "56 6A00 4700 0000 EA07 08 0B 12 1F 00 003F 00 0000"
"""Recorded from a Beurer BM85, in the same tests."""


def test_every_key_is_there(run: Run) -> None:
    code, shown, error = run("--char", "0x2A35", BOSO)
    assert (code, error) == (0, "")
    assert shown["device"] == {}
    assert shown["readings"][0] == {
        "metric": "systolic_bp",
        "code": 150021,
        "value": "124",
        "absent": None,
        "unit": "mm[Hg]",
        "time": "2024-06-15T17:17:27",
        "flags": [],
        "context": {},
    }
    assert [each["value"] for each in shown["readings"]] == ["124", "86", "97", "51"]


@pytest.mark.parametrize(
    "uuid", ["2a35", "0x2a35", "2A35", "00002A35", "00002a35-0000-1000-8000-00805f9b34fb"]
)
def test_a_uuid_may_be_short_or_long(run: Run, uuid: str) -> None:
    assert run("--char", uuid, "--service", "1810", *BOSO.split())[0] == 0


def test_a_missing_number_says_why_and_flags_have_names(run: Run) -> None:
    # A Stack Overflow question on 0x2A35: mean NaN, irregular pulse, user 1.
    _, shown, _ = run("--char", "2A35", "DE88F420F3FF07E40701131637 00BCF2014401")
    mean = shown["readings"][2]
    assert (mean["value"], mean["absent"]) == (None, "not-a-number")
    assert mean["flags"] == ["irregular-pulse"]
    assert mean["user"] == 1


def test_a_conversion_keeps_what_was_sent(run: Run) -> None:
    # By hand: 16.0 and 10.7 kPa as SFLOAT, mean NaN.
    _, shown, _ = run("--char", "2A35", "01 A0F0 6BF0 FF07")
    assert shown["readings"][0]["raw_value"] == "16.0"
    assert shown["readings"][0]["raw_unit"] == "kPa"
    assert "raw_value" not in shown["readings"][2]


def test_values_come_one_a_line(run: Run) -> None:
    code, shown, _ = run("--char", "2A9D", "-", stdin="00 983A\n\n00983B\n")
    assert code == 0
    assert [each["value"] for each in shown["readings"]] == ["75.000", "76.280"]
    code, shown, error = run("--char", "2A9D", "-", stdin="00 983A\n00\n")
    assert (code, shown) == (2, None)
    assert error == "wardlight-edge: value 2: 0x2A9D: 1 bytes, need at least 3\n"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--char", "2A35", "00 7C"), "0x2A35: 2 bytes, need at least 7"),
        (("--char", "2A35", "00 7"), "HEX: 1 hex digits at character 4"),
        (("--char", "2A35", "-"), "standard input: no hex digits"),
        (("--char", "FFFF", "00"), "--char: no decoder reads 0xFFFF"),
        (("--char", "2A3", "00"), "--char: no UUID"),
        (("--char", "2A35", "--service", "x", "00"), "--service: no UUID"),
        (("--advert", "service-data:FFFF", "00"), "--advert: no decoder reads"),
        (("--advert", "manufacturer:zz", "00"), "--advert: write service-data:UUID"),
        (("--serial", "teletype", "00"), "--serial: no decoder reads teletype; known: contec, mas"),
        (("--sfloat", "00"), "--sfloat: 1 bytes, each number has 2"),
        (("--float", "00 00 00"), "--float: 3 bytes, each number has 4"),
        (("--serial", "nonin", "00 01"), "Nonin: 2 bytes hold no whole packet"),
        (("--option", "x", "--serial", "nonin", "00"), "--option x: write NAME=VALUE"),
        (("--option", "x=1", "--serial", "nonin", "00"), "serial_nonin: the one option"),
        (("--address", "00", "--advert", "service-data:FCD2", "40"), "--address: 1 bytes"),
    ],
)
def test_malformed_is_exit_2_and_one_line(run: Run, arguments: tuple[str, ...], error: str) -> None:
    code, shown, said = run(*arguments)
    assert (code, shown) == (2, None)
    assert said.startswith(f"wardlight-edge: {error}")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "values"),
    [
        ("B0F4", ["120.0"]),
        ("7800 FF07 0008", ["120", "not-a-number", "not-at-this-resolution"]),
        ("64B0", ["0.00100"]),
    ],
)
def test_sfloat(run: Run, words: str, values: list[str]) -> None:
    _, shown, _ = run("--sfloat", words)
    assert [each["value"] or each["absent"] for each in shown["readings"]] == values


def test_float(run: Run) -> None:
    _, shown, _ = run("--float", "6D0100FF", "FFFF7F00")
    assert [each["value"] for each in shown["readings"]] == ["36.5", None]


def test_a_quirk_applies_to_its_model_alone(run: Run) -> None:
    code, shown, _ = run(
        "--char", "2A35", "--manufacturer", "Beurer GmbH", "--model", "BM 85", BM85
    )
    assert code == 0
    assert [each["value"] for each in shown["readings"]] == ["106", "71", None, "63"]
    assert shown["readings"][0]["user"] == 0
    assert shown["device"] == {"manufacturer": "Beurer GmbH", "model": "BM 85"}
    assert run("--char", "2A35", BM85)[0] == 2
    assert run("--char", "2A35", "--manufacturer", "Omron", "--model", "BM85", BM85)[0] == 2


def test_device_information_and_clocks_are_of_the_device(run: Run) -> None:
    _, shown, _ = run("--char", "2A29", b"A&D Medical".hex())
    assert shown == {"readings": [], "device": {"manufacturer": "A&D Medical"}}
    _, shown, _ = run("--char", "2A2B", "E807060F11111B060002")
    assert shown["device"]["clock"]["time"] == "2024-06-15T17:17:27"


def test_what_is_no_result_is_not_in_the_list(run: Run) -> None:
    assert run("--char", "2A36", "00 6400 FF07 FF07")[1]["readings"] == []  # cuff pressure
    assert run("--char", "2A1E", "00 6D0100FF")[1]["readings"] == []  # still settling
    demonstration = "04 6100 4800 0004"  # PLXS 3.1.1.5, bit 10
    assert run("--char", "2A5F", demonstration)[1]["readings"] == []
    assert len(run("--char", "2A5F", "04 6100 4800 2000")[1]["readings"]) == 2  # ongoing


def test_it_flags_and_withholds_as_a_gateway_does(run: Run) -> None:
    _, shown, _ = run("--char", "2A37", "01 FFFF")
    assert (shown["readings"][0]["value"], shown["readings"][0]["flags"]) == (
        "65535",
        ["implausible"],
    )
    _, shown, _ = run("--char", "2A5E", "00 8200 4800")  # by hand: 130 %, 72 beats
    assert [(each["value"], each["absent"]) for each in shown["readings"]] == [
        (None, "invalid"),
        ("72", None),
    ]
    _, shown, _ = run("--char", "2A35", "00 FBFF 5600 6100")  # by hand: -0.5 mmHg
    assert shown["readings"][0]["absent"] == "invalid"


def test_a_stretch_of_a_serial_line(run: Run) -> None:
    # By hand from the Nonin OEM III manual: SpO2 97, pulse 72; format #7, four times a packet.
    values = [0, 72, 97, *[0] * 22]
    frames = [[0x80 | (at == 0), 1, 2, value] for at, value in enumerate(values)]
    packet = b"".join(bytes([*frame, sum(frame) % 256]) for frame in frames)
    code, shown, _ = run("--serial", "nonin", "--option", "data_format=7", (packet * 4).hex())
    assert code == 0
    found = {each["metric"]: each["value"] for each in shown["readings"]}
    assert found == {"spo2": "97", "pulse_rate_oximeter": "72"}


def nonin(count: int) -> bytes:
    """Packets of format 2 by hand from the Nonin OEM III manual: 97 %, 72 beats."""
    values = [0, 72, 97, *[0] * 22]
    frames = [[1, 0x80 | (at == 0), 2, value] for at, value in enumerate(values)]
    return b"".join(bytes([*frame, sum(frame) % 256]) for frame in frames) * count


MASIMO = b"02/22/16 22:47:45 SN=1 SPO2=098% BPM=097 EXC=000800\r\n"
CONTEC = bytes.fromhex("86 30 08 40 61")
"""By hand from the handbook of atbrask/CMS50Dplus: 97 %, 64 beats."""


@pytest.mark.parametrize(
    ("line", "octets", "where"),
    [
        ("nonin", nonin(3)[:130] + nonin(3)[131:], "Nonin: damaged at byte 130"),
        ("nonin", nonin(3)[:130] + nonin(3)[135:], "Nonin: damaged at byte 245"),
        ("nonin", nonin(1) + bytes.fromhex("DEADBEEF") * 5, "Nonin: damaged at byte 125"),
        ("nonin", nonin(2)[:-2], "Nonin: damaged at byte 245"),
        ("nonin", b"\x01\x02" + nonin(2), "Nonin: damaged at byte 0"),
        ("nonin_df8", bytes.fromhex("80 48 61 00 80 48 00 80 48 61 00"), "8: damaged at byte 4"),
        ("contec", CONTEC * 3 + CONTEC[1:] + CONTEC, "Contec: damaged at byte 15"),
        ("contec", CONTEC * 3 + CONTEC[:3], "Contec: damaged at byte 15"),
        ("masimo", MASIMO + b"garbage\r\n" + MASIMO, f"Masimo: damaged at byte {len(MASIMO)}"),
    ],
)
def test_damage_on_a_line_is_said_with_its_place(
    run: Run, line: str, octets: bytes, where: str
) -> None:
    code, shown, error = run("--serial", line, octets.hex())
    assert (code, shown) == (2, None)
    assert where in error
    assert error.count("\n") == 1


def test_a_stretch_may_begin_and_end_within_a_packet(run: Run) -> None:
    code, shown, _ = run("--serial", "nonin", nonin(3)[50:-50].hex())
    assert code == 0
    assert len(shown["readings"]) == 2


def test_a_key_file_that_cannot_be_read(run: Run, tmp_path: Path) -> None:
    advert = ("--advert", "service-data:FCD2", "--key-file")
    assert "cannot be read" in run(*advert, str(tmp_path / "none"), "40")[2]
    short = tmp_path / "key"
    short.write_text("0011")
    assert "2 bytes, a bind key has 16" in run(*advert, str(short), "40")[2]


# The first frame of Bluetooth-Devices/xiaomi-ble's test_Xiaomi_Scale1, and a repetition of it.
MI_SCALE = "229E43E507040B101301"


def test_a_repeated_advertisement_is_one_weighing(run: Run) -> None:
    code, shown, _ = run("--advert", "service-data:181d", "-", stdin=f"{MI_SCALE}\n{MI_SCALE}\n")
    assert code == 0
    assert [each["value"] for each in shown["readings"]] == ["86.550"]


def test_the_uuid_that_a_sniffer_shows_before_the_data(run: Run) -> None:
    # The example of the BTHome v2 page: 25 degrees as id 02, and service data with its UUID.
    plain = run("--advert", "service-data:FCD2", "40 02 C409 03 BF13")[1]
    assert plain["readings"][0]["value"] == "25.00"
    assert run("--advert", "service-data:FCD2", "D2FC 40 02 C409 03 BF13")[1] == plain
    code, shown, _ = run("--advert", "service-data:181d", f"1D18 {MI_SCALE}")
    assert (code, shown["readings"][0]["value"]) == (0, "86.550")
    assert run("--advert", "service-data:181d", f"1B18 {MI_SCALE}")[0] == 2
    assert run("--advert", "service-data:181d", "1D18")[2].endswith(
        "0 bytes, its flags ask for 10\n"
    )


def test_an_encrypted_advertisement(run: Run, tmp_path: Path) -> None:
    # test_bindkey_correct of Bluetooth-Devices/bthome-ble.
    key = tmp_path / "key"
    key.write_text("231d39c1d7cc1ab1aee224cd096db932\n")
    advert = "41a47266c95f730011223378237214"
    asked = ("--advert", "service-data:FCD2", "--address", "54:48:E6:8F:80:A5", advert)
    code, shown, _ = run(*asked, "--key-file", str(key))
    assert code == 0
    assert shown["readings"][0]["value"] == "25.06"
    assert "no bind key" in run(*asked)[2]


def test_an_observation_in_two_notifications(run: Run) -> None:
    # A sensor of stm32-hotspot/STM32WBA-BLE-GenericHealthSensor, cut in two by hand.
    first = "01 01 1B00 6300 B84B0200 22 729D2B29"
    second = "06 0000 06 00 01 01 3C4C0200 2002 62000000"
    code, shown, _ = run("--char", "2B8B", "-", stdin=f"{first}\n{second}\n")
    assert code == 0
    assert shown["readings"][0]["value"] == "98"
    assert shown["readings"][0]["time"] == "2021-11-20T11:50:10+00:00"
    assert "goes on in a further notification" in run("--char", "2B8B", first)[2]
    lost = run("--char", "2B8B", "-", stdin=f"{first}\n0A{second[2:]}\n")[2]
    assert lost.startswith("wardlight-edge: value 2: 0x2B8B: segment 2 does not follow")


def test_a_waveform_is_shown_whatever_its_length(run: Run) -> None:
    # EcgDataTest.kt of polarofficial/polar-ble-sdk.
    uuid = "fb005c82-02e7-f387-1cad-8acd2d8df0c8"
    _, shown, _ = run("--char", uuid, "00 0094357700000000 00 0280FF 028000")
    assert shown["readings"] == []
    assert [(each["origin"], each["values"]) for each in shown["samples"]] == [
        (0, [-32766]),
        (65536, [-32766]),
    ]
    assert shown["samples"][0]["rate_hz"] == "130"


def test_samples_of_a_sensor_that_has_none_with_a_sign(run: Run) -> None:
    """By hand, GHSS 3.2: an ECG of one octet a sample, 250 Hz, 1 uV a step."""
    wave = "03 04 1C00 0100 01010200 B310 01000000 00000000 040000FD 01 01 02000000 01FF"
    assert run("--char", "2B8B", wave)[1]["samples"][0]["values"] == [1, -1]
    unsigned = ("--option", "samples=unsigned")
    assert run("--char", "2B8B", *unsigned, wave)[1]["samples"][0]["values"] == [1, 255]
    assert "samples" in run("--char", "2B8B", "--option", "samples=odd", wave)[2]
    assert run("--char", "2B8B", "--option", "colour=red", wave)[0] == 2
    assert run("--char", "2A19", "--option", "samples=signed", "64")[0] == 2


def test_a_characteristic_that_two_decoders_share_needs_no_service(run: Run) -> None:
    assert run("--char", "2A9D", "00 983A")[0] == 0
    assert run("--char", "2A37", "00 48")[0] == 0


# By hand from HL7 2.6: one numeric OBX in final state, MDC code and unit.
HL7 = (
    "MSH|^~\\&|M||G||20240615073000||ORU^R01^ORU_R01|1|P|2.6\n"
    "PID|||P1\nOBR|1|||X|||20240615073000\n"
    "OBX|1|NM|150456^MDC_PULS_OXIM_SAT_O2^MDC|1.1.1|97|262688^MDC_DIM_PERCENT^MDC|||||F\n"
)


def test_a_message_as_text_and_as_hex(run: Run) -> None:
    code, shown, error = run("--hl7", "-", stdin=HL7)
    assert (code, error) == (0, "")
    assert [(each["metric"], each["value"]) for each in shown["readings"]] == [("spo2", "97")]
    assert run("--hl7", HL7.replace("\n", "\r").encode().hex(" "))[1] == shown
    assert run("--hl7", "-", stdin="4d5348")[0] == 2
    assert run("--astm", "00")[0] == 2


def test_bytes_of_a_line_from_standard_input(run: Run) -> None:
    # By hand from Nonin's data format #8: 97 %, 72 beats.
    code, shown, _ = run("--serial", "nonin", "-", stdin="80 48 61 00\n" * 3)
    assert code == 0
    assert {each["value"] for each in shown["readings"]} == {"97", "72"}


def test_a_line_that_is_text_may_be_given_as_text(run: Run) -> None:
    text = MASIMO.decode()
    code, shown, _ = run("--serial", "masimo", "-", stdin=text)
    assert code == 0
    assert [each["value"] for each in shown["readings"]] == ["98", "97"]
    assert run("--serial", "masimo", text.strip())[1] == shown
    assert run("--serial", "masimo", MASIMO.hex())[1] == shown
    assert run("--serial", "nonin", text)[2].startswith("wardlight-edge: Nonin: ")


FRAMES = b"\x05" + b"".join(
    encode_frame(Frame(number, text, True))
    for number, text in (
        (1, b"H|\\^&|||Meter^1.0^SN7\r"),
        (2, b"R|1|^^^Glucose|93|mg/dL^P||||20150526115000\r"),
        (2, b"R|1|^^^Glucose|93|mg/dL^P||||20150526115000\r"),
        (3, "C|1|I|caf\u00e9\r".encode("latin-1")),
    )
)
"""A transmission whose second frame was sent again, and a letter that is no ASCII."""


def test_a_capture_of_a_link_is_taken_as_it_is(tmp_path: Path) -> None:
    """Frames end with CR LF, and their checksums are of the very bytes."""
    command = (sys.executable, "-m", "wardlight_edge", "decode", "--astm")
    piped = subprocess.run(
        (*command, "-"), input=FRAMES, capture_output=True, cwd=tmp_path, timeout=180, check=True
    )
    typed = subprocess.run(
        (*command, FRAMES), capture_output=True, cwd=tmp_path, timeout=180, check=True
    )
    assert json.loads(piped.stdout) == json.loads(typed.stdout)
    assert [each["value"] for each in json.loads(piped.stdout)["readings"]] == ["93"]


def test_a_message_that_is_not_ascii_on_standard_input(run: Run) -> None:
    warm = HL7.replace(
        "150456^MDC_PULS_OXIM_SAT_O2^MDC|1.1.1|97|262688^MDC_DIM_PERCENT^MDC",
        "150364^MDC_TEMP_BODY^MDC|1.1.1|98.6|\u00b0F",
    ).replace("|P|2.6", "|P|2.6||||||UNICODE UTF-8")
    for code, shown, error in (run("--hl7", "-", stdin=warm), run("--hl7", warm)):
        assert (code, error) == (0, "")
        assert [(each["value"], each["unit"]) for each in shown["readings"]] == [("98.6", "[degF]")]


def test_messages_in_frames(run: Run) -> None:
    frame = f"\x0b{HL7}\x1c\r".replace("\n", "\r")
    assert len(run("--hl7", "-", stdin=frame * 2)[1]["readings"]) == 2
    for cut in (frame[:-2], frame[:90], frame[:90] + frame, frame + frame[:90]):
        code, shown, error = run("--hl7", cut.encode().hex())
        assert (code, shown) == (2, None)
        assert error.startswith("wardlight-edge: MLLP: a message is cut off")


def test_a_message_without_a_reading_is_told_whoever_sent_it(run: Run) -> None:
    message = HL7.replace("150456^MDC_PULS_OXIM_SAT_O2", "1^X")
    code, shown, error = run("--hl7", "-", stdin=message)
    assert (code, shown["readings"]) == (0, [])
    assert shown["device"]
    assert error == "wardlight-edge: nothing in this is a reading to publish\n"


def test_glucose_of_an_instrument_that_names_no_sample(run: Run) -> None:
    """By hand from ASTM E1394-97."""
    record = "R|1|^^^Glucose|5.8|mmol/L||N||F||||20240615073000"
    _, shown, _ = run("--astm", f"H|\\^&|||X|||||||P|1\r{record}\r")
    (found,) = shown["readings"]
    assert (found["metric"], found["value"]) == ("glucose_undetermined_whole_blood", "5.8")
    assert found["unit"] == "mmol/L"


def test_a_serial_decoder_without_the_function_is_fed_through_its_framer(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(devices.load("serial_nonin"), "decode_bytes")
    values = [0, 72, 97, *[0] * 22]
    frames = [[1, 0x80 | (at == 0), 2, value] for at, value in enumerate(values)]
    packet = b"".join(bytes([*frame, sum(frame) % 256]) for frame in frames)
    assert len(run("--serial", "nonin", (packet * 4).hex())[1]["readings"]) == 2
    assert "25 whole frames" in run("--serial", "nonin", (packet + packet[:5]).hex())[2]


def test_what_nothing_decodes_yet_is_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "names", lambda: ("battery", "hl7", "serial_nonin"))
    code, _, error = run("--apdu", "E2 00")
    assert code == 2
    assert error == "wardlight-edge: no decoder for apdu yet; there is hl7, serial nonin\n"


def test_two_decoders_of_one_characteristic_need_the_service(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    battery, other = devices.load("battery"), devices.load("weight_scale")
    monkeypatch.setattr(other, "CHARACTERISTICS", {"0x2A19": lambda value: ()})
    assert "battery, weight scale read 0x2A19; say --service" in run("--char", "2A19", "64")[2]
    monkeypatch.setattr(battery, "SERVICES", frozenset({"0x180F"}), raising=False)
    assert len(run("--char", "2A19", "--service", "180F", "64")[1]["readings"]) == 1


def test_other_things_a_device_says_are_of_the_device(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Samples("spo2", "%", 1000, 0, 0, b"")
    monkeypatch.setattr(devices.load("battery"), "decode", lambda characteristic, value: told)
    assert run("--char", "2A19", "64")[1]["device"]["samples"]["metric"] == "spo2"


def test_the_local_time_of_a_device(run: Run) -> None:
    # By hand; GSS Time Zone 4 (one hour), DST Offset 4 (one hour).
    _, shown, _ = run("--char", "2A0F", "04 04")
    assert shown["device"] == {"clock": {"is_set": False, "zone_min": 60, "dst_min": 60}}
