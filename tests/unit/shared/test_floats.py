"""FLOAT-Type and SFLOAT-Type in both directions; values by hand from IEEE 11073-20601 annex F."""

from decimal import Decimal
from fractions import Fraction

import pytest

from wardlight_shared.errors import DecodeError
from wardlight_shared.floats import (
    decimal_from_parts,
    float_bytes,
    float_from_word,
    float_type,
    parts_from_decimal,
    sfloat,
    sfloat_bytes,
    sfloat_from_word,
)
from wardlight_shared.model import Absent

SFLOATS = [
    (0x0078, "120"),
    (0xF4B0, "120.0"),
    (0x0000, "0"),
    (0xF16D, "36.5"),
    (0xB064, "0.00100"),  # 100 mg/dL as kg/L
    (0x7001, "1E+7"),
    (0x87FF, "0.00002047"),
    (0xFFFF, "-0.1"),
    (0x0FFF, "-1"),
    (0xF800, "-204.8"),
    (0x0803, "-2045"),
    (0x07FD, "2045"),
    (0x17FF, "2.047E+4"),  # a special mantissa with an exponent is a number
]
SFLOAT_SPECIALS = [
    (0x07FF, Absent.NAN),
    (0x0800, Absent.NRES),
    (0x07FE, Absent.POSITIVE_INFINITY),
    (0x0802, Absent.NEGATIVE_INFINITY),
    (0x0801, Absent.RESERVED),
]
FLOATS = [
    (0xFF00016D, "36.5"),
    (0xFF000173, "37.1"),
    (0xFE002684, "98.60"),
    (0x00000024, "36"),
    (0xFFFFFFFB, "-0.5"),
    (0x7F000001, "1E+127"),
    (0x80000001, "1E-128"),
    (0x007FFFFD, "8388605"),
    (0x00800003, "-8388605"),
    (0x017FFFFF, "8.388607E+7"),
]
FLOAT_SPECIALS = [
    (0x007FFFFF, Absent.NAN),
    (0x00800000, Absent.NRES),
    (0x007FFFFE, Absent.POSITIVE_INFINITY),
    (0x00800002, Absent.NEGATIVE_INFINITY),
    (0x00800001, Absent.RESERVED),
]


@pytest.mark.parametrize(("word", "text"), SFLOATS)
def test_sfloat_both_ways(word: int, text: str) -> None:
    octets = word.to_bytes(2, "little")
    assert str(sfloat(octets)) == text
    assert sfloat_bytes(Decimal(text)) == octets


@pytest.mark.parametrize(("word", "absent"), SFLOAT_SPECIALS)
def test_sfloat_special_both_ways(word: int, absent: Absent) -> None:
    octets = word.to_bytes(2, "little")
    assert sfloat(octets) is absent
    assert sfloat_bytes(absent) == octets


@pytest.mark.parametrize(("word", "text"), FLOATS)
def test_float_both_ways(word: int, text: str) -> None:
    octets = word.to_bytes(4, "little")
    assert str(float_type(octets)) == text
    assert float_bytes(Decimal(text)) == octets


@pytest.mark.parametrize(("word", "absent"), FLOAT_SPECIALS)
def test_float_special_both_ways(word: int, absent: Absent) -> None:
    octets = word.to_bytes(4, "little")
    assert float_type(octets) is absent
    assert float_bytes(absent) == octets


def _by_the_standard(word: int) -> Fraction | Absent:
    """F.8 word by word, without shifts or complements: tables and a subtraction."""
    for special, absent in SFLOAT_SPECIALS:
        if word == special:
            return absent
    exponents = [0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1]
    mantissa = word % 4096
    if mantissa > 2047:
        mantissa -= 4096
    exponent = exponents[word // 4096]
    return mantissa * Fraction(10) ** exponent


def test_every_sfloat_word() -> None:
    """All 65536, against a rule written on its own, and back to the same bytes."""
    for word in range(0x10000):
        octets = word.to_bytes(2, "little")
        value, expected = sfloat(octets), _by_the_standard(word)
        if isinstance(expected, Absent):
            assert value is expected
        else:
            assert isinstance(value, Decimal)
            assert Fraction(value) == expected
            assert value.as_tuple().exponent == (word // 4096 + 8) % 16 - 8
        assert sfloat_bytes(value) == octets


@pytest.mark.parametrize("octets", [b"", b"\x78", b"\x78\x00\x00"])
def test_sfloat_has_two_bytes(octets: bytes) -> None:
    with pytest.raises(DecodeError, match=f"{len(octets)} bytes, need 2"):
        sfloat(octets)


@pytest.mark.parametrize("octets", [b"", b"\x6d\x01\x00", b"\x6d\x01\x00\xff\x00"])
def test_float_has_four_bytes(octets: bytes) -> None:
    with pytest.raises(DecodeError, match=f"{len(octets)} bytes, need 4"):
        float_type(octets)


@pytest.mark.parametrize(
    "text", ["2048", "-2049", "0.000000001", "1E+8", "120.00", "2047", "-2046"]
)
def test_a_number_that_does_not_fit_an_sfloat(text: str) -> None:
    """120.00 needs a mantissa of 12000; 2047 and -2046 are special words."""
    with pytest.raises(ValueError, match="SFLOAT"):
        sfloat_bytes(Decimal(text))


@pytest.mark.parametrize("text", ["8388608", "-8388609", "1E-129", "1E+128", "8388607", "-8388606"])
def test_a_number_that_does_not_fit_a_float(text: str) -> None:
    with pytest.raises(ValueError, match="FLOAT"):
        float_bytes(Decimal(text))


@pytest.mark.parametrize("absent", [Absent.SENSOR_OFF, Absent.NOT_MEASURED, Absent.OVER_RANGE])
def test_a_reason_the_standard_has_no_word_for(absent: Absent) -> None:
    with pytest.raises(ValueError, match="no special value"):
        sfloat_bytes(absent)
    with pytest.raises(ValueError, match="no special value"):
        float_bytes(absent)


def test_words_and_bytes_agree() -> None:
    assert sfloat_from_word(0xF4B0) == sfloat(b"\xb0\xf4")
    assert float_from_word(0xFF00016D) == float_type(b"\x6d\x01\x00\xff")


def test_parts() -> None:
    assert str(decimal_from_parts(-1200, -1)) == "-120.0"
    assert parts_from_decimal(Decimal("-120.0")) == (-1200, -1)
    assert parts_from_decimal(Decimal("1E+7")) == (1, 7)
    with pytest.raises(TypeError, match="finite"):
        parts_from_decimal(Decimal("NaN"))
