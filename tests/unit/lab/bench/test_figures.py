"""Rows of the table of `make bench`: medians, ratios, and verdicts that can fall either way."""

import json
import random

import pytest

from wardlight_lab.bench.figures import Aim, Row, Verdict, number, quantile, row_text
from wardlight_lab.bench.rounds import in_turn, in_turn_async


def test_a_row_shows_medians_and_their_ratio() -> None:
    row = Row("x", "what", "/s", (10.0, 30.0, 20.0), (5.0, 40.0, 100.0))
    assert (row.figure, row.base, row.ratio) == (20.0, 40.0, 0.5)


@pytest.mark.parametrize(
    ("aim", "verdict"),
    [
        (None, Verdict.NO_AIM),
        (Aim(20), Verdict.REACHED),
        (Aim(20.1), Verdict.SHORT),
        (Aim(20, at_least=False), Verdict.REACHED),
        (Aim(19.9, at_least=False), Verdict.SHORT),
        (Aim(0.5, of_ratio=True), Verdict.REACHED),
        (Aim(0.51, of_ratio=True), Verdict.SHORT),
    ],
)
def test_the_verdict_follows_the_aim(aim: Aim | None, verdict: Verdict) -> None:
    assert Row("x", "what", "/s", (20.0,), (40.0,), aim=aim).verdict is verdict


def test_a_ratio_without_a_baseline_is_never_reached() -> None:
    assert Row("x", "what", "/s", (20.0,), aim=Aim(0.0, of_ratio=True)).verdict is Verdict.SHORT


def test_the_json_form_holds_every_round_and_survives_json() -> None:
    row = Row("x", "what", "/s", (1.0, 3.0), (2.0,), "bare COPY", Aim(20_000), {"rows": 7})
    told = json.loads(json.dumps(row.as_json()))
    assert told["rounds"] == {"ours": [1.0, 3.0], "baseline": [2.0]}
    assert (told["aim"], told["verdict"]) == (">= 20,000", "falls short")
    assert told["notes"] == {"rows": 7}


def test_a_line_names_figures_with_their_unit() -> None:
    line = row_text(Row("append", "groups", "rows/s", (123_456.0,), (200_000.0,)))
    assert "123,456 rows/s" in line
    assert "200,000 rows/s" in line
    assert "0.62" in line


@pytest.mark.parametrize(
    ("value", "text"),
    [(123456.7, "123,457"), (250.0, "250"), (12.34, "12.3"), (1.234, "1.23"), (3.0, "3")],
)
def test_numbers_have_three_digits_or_more(value: float, text: str) -> None:
    assert number(value) == text


def test_a_quantile_is_one_of_the_values_in_any_order() -> None:
    values = [float(value) for value in range(100)]
    random.Random(3).shuffle(values)
    assert quantile(values, 0.5) == 50.0
    assert quantile(values, 0.99) == 99.0
    assert quantile([7.0], 0.99) == 7.0
    with pytest.raises(ValueError, match="no values"):
        quantile([], 0.5)


def test_contenders_take_turns_in_changing_order() -> None:
    order: list[str] = []

    def run(name: str) -> float:
        order.append(name)
        return float(len(order))

    found = in_turn(3, {"ours": lambda: run("ours"), "raw": lambda: run("raw")})
    assert order == ["ours", "raw", "raw", "ours", "ours", "raw"]
    assert found == {"ours": (1.0, 4.0, 5.0), "raw": (2.0, 3.0, 6.0)}


async def test_async_contenders_take_turns_alike() -> None:
    order: list[str] = []

    async def run(name: str) -> float:
        order.append(name)
        return 0.0

    await in_turn_async(2, {"ours": lambda: run("ours"), "raw": lambda: run("raw")})
    assert order == ["ours", "raw", "raw", "ours"]
