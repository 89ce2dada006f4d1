"""Whatever a row holds, its Observation is JSON with the same number, time and text."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from fhir.resources.R4B.observation import Observation
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from wardlight_cloud.fhir.observation import observation, observations
from wardlight_cloud.store.observation_rows import (
    Circumstances,
    Kind,
    ObservationRow,
    Origin,
)
from wardlight_shared.codes import METRICS
from wardlight_shared.model import Flag
from wardlight_shared.records import TimeMethod
from wardlight_shared.timestamps import ClockQuality

START = datetime(2000, 1, 1, tzinfo=UTC)
SINGLES = [
    metric
    for metric in METRICS.values()
    if metric.component_of is None and metric.structure.startswith("valueQuantity")
]
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).filter(
    lambda text: text == text.strip()
)


@st.composite
def rows(draw: st.DrawFn) -> ObservationRow:
    metric = draw(st.sampled_from(SINGLES))
    absent = draw(st.sampled_from([0, 0, 0, *range(1, 14), 200]))
    kind = Kind(
        metric.wire,
        draw(st.integers(-7, 3)),
        absent,
        metric.unit,
        draw(st.integers(0, 2 * max(Flag) - 1)),
    )
    clock = draw(st.sampled_from(ClockQuality)) | draw(st.sampled_from(TimeMethod)) << 4
    moments = st.integers(0, 3 * 10**15).map(lambda us: START + timedelta(microseconds=us))
    return ObservationRow(
        observation_id="mzxw6ytboi",
        circumstances=Circumstances(
            origin=Origin(metric.wire, UUID(int=1), UUID(int=2), None, draw(st.none() | TEXT)),
            kinds=(kind,),
            gateway="gw-test",
            offset_min=draw(st.integers(-14 * 60, 14 * 60)),
            clock=clock,
            error_ms=draw(st.integers(-1, 2**31 - 1)),
        ),
        mantissas=(0 if absent else draw(st.integers(-(10**9), 10**9)),),
        time_us=draw(st.integers(0, 8 * 10**15)),
        device_time=draw(st.none() | TEXT),
        raw=draw(st.none() | st.tuples(TEXT, TEXT)),
        context=tuple(draw(st.lists(st.tuples(TEXT, TEXT), max_size=3))),
        commit_seq=draw(st.integers(1, 2**62)),
        stored_at=draw(moments),
    )


@st.composite
def panels(draw: st.DrawFn) -> ObservationRow:
    row = draw(rows())
    names = draw(st.sets(st.sampled_from(["systolic_bp", "diastolic_bp", "mean_bp"]), min_size=1))
    kinds = [
        Kind(
            METRICS[name].wire,
            draw(st.integers(-7, 3)),
            draw(st.sampled_from([0, 0, *range(1, 14), 200])),
            draw(st.sampled_from(["mm[Hg]", "kPa"])),
            draw(st.integers(0, 2 * max(Flag) - 1)),
        )
        for name in names
    ]
    about = replace(
        row.circumstances,
        origin=replace(row.origin, metric=METRICS["blood_pressure"].wire),
        kinds=tuple(sorted(kinds, key=lambda kind: kind.metric)),
    )
    mantissas = tuple(0 if k.absent else draw(st.integers(-(10**9), 10**9)) for k in about.kinds)
    return replace(row, circumstances=about, mantissas=mantissas)


@given(panels())
def test_every_panel_becomes_a_valid_observation(row: ObservationRow) -> None:
    body = observation(row)
    Observation.model_validate_json(body)
    resource = json.loads(body, parse_float=Decimal)
    assert "valueQuantity" not in resource
    shown = resource["component"]
    for value, component in zip(row.values, shown, strict=False):
        if value.absent:
            assert component["dataAbsentReason"]["coding"]
        else:
            expected = Decimal(value.mantissa).scaleb(value.scale)
            assert component["valueQuantity"]["value"] == expected
    sides = {METRICS["systolic_bp"].wire, METRICS["diastolic_bp"].wire}
    assert len(shown) == len({value.metric for value in row.values} | sides)


@given(st.lists(rows() | panels(), max_size=5))
def test_a_page_holds_each_observation_as_it_is_alone(found: list[ObservationRow]) -> None:
    """Whatever is shared on a page changes no text."""
    page = [replace(row, commit_seq=place) for place, row in enumerate(found)]
    assert observations(page) == [observation(row) for row in page]


@given(rows())
def test_every_row_becomes_a_valid_observation(row: ObservationRow) -> None:
    body = observation(row)
    Observation.model_validate_json(body)
    resource = json.loads(body, parse_float=Decimal)
    (value,) = row.values
    if value.absent:
        assert "valueQuantity" not in resource
        assert resource["dataAbsentReason"]["coding"]
    else:
        assert resource["valueQuantity"]["value"] == Decimal(value.mantissa).scaleb(value.scale)
    effective = datetime.fromisoformat(resource["effectiveDateTime"])
    assert effective.utcoffset() == timedelta(minutes=row.circumstances.offset_min)
    assert timedelta(0) <= row.time - effective < timedelta(milliseconds=1)
    texts = [e["valueString"] for e in resource["extension"] if "valueString" in e]
    raw = [] if row.raw is None else [" ".join(row.raw)]
    assert texts == raw + [f"{name}={text}" for name, text in row.context]
