"""Images beside vital signs on a narrow line that is cut every minute: a 10 MB X-ray at 256 kbit/s.

ours      what wardlight_lab.wan sends and counts: by the broker's connection, then over HTTPS
baseline  the same vital signs on the same line without images
"""

import asyncio
from collections.abc import Iterator
from typing import Final, Literal

from wardlight_lab.bench.figures import Aim, Row
from wardlight_lab.bench.setting import Setting, Unsound
from wardlight_lab.wan.run import AGAIN_LIMIT, VITALS_LIMIT_S, Outcome, Plan, campaign

NAME: Final = "link"
_WAYS: Final[tuple[Literal["mqtt", "https"], ...]] = ("mqtt", "https")
_SHORT: Final = {
    "images": (300_000,), "bits_a_second": 2_000_000.0, "cut_every_s": 1.0, "cuts_at_most": 1,
    "alone_s": 1.0,
}  # fmt: skip


def measure(setting: Setting) -> Iterator[Row]:
    """The rows of this measurement."""
    for way in _WAYS[: setting.size(2, 1)]:
        plan = Plan(way=way, **_SHORT) if setting.is_short else Plan(way=way)  # type: ignore[arg-type]
        size = sum(plan.images) / 1e6
        setting.say(f"{size:g} MB at {plan.bits_a_second / 1000:g} kbit/s by {way}")
        outcome = asyncio.run(campaign(setting.folder / way, plan))
        if not outcome.is_right:
            raise Unsound(f"images by {way}: {outcome.stored_right} of {len(plan.images)} stored")
        yield from _rows(outcome, way)


def _rows(outcome: Outcome, way: str) -> Iterator[Row]:
    plan = outcome.plan
    notes = {
        "bits_a_second": plan.bits_a_second, "octets": sum(plan.images), "cuts": outcome.cuts,
        "seconds": outcome.seconds, "line_share": outcome.line_share, "events": outcome.records,
        "p50_s": outcome.beside_p50_s, "longest_s": outcome.beside_max_s,
    }  # fmt: skip
    yield Row(
        NAME, f"vital signs p95 beside images by {way}", "s", (outcome.beside_p95_s,),
        (outcome.alone_p95_s,), "without images", Aim(VITALS_LIMIT_S, at_least=False), notes,
    )  # fmt: skip
    aim = Aim(1 + AGAIN_LIMIT, at_least=False)
    sent = (1 + outcome.again,)
    yield Row(NAME, f"octets sent for each of an image by {way}", "", sent, aim=aim)
    yield Row(NAME, f"line used while images go by {way}", "%", (100 * outcome.line_share,))
