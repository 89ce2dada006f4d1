"""Which clock anchors of a boot are worth keeping: a pure rule.

An anchor bounds the time of a moment by its own error plus drift over the distance. One that
another anchor of the boot beats everywhere is never used; of the others the few stay that keep
the bounds small over the whole boot. Those at which the line turns (timeline.py) stay whatever
they bound: without them records would move that were sent before.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from wardlight_edge.outbox.timeline import turns_of, wants_turn
from wardlight_shared.timestamps import Anchor, drift_ms

MAX_PER_BOOT: Final = 32


def keep_best(anchors: Sequence[Anchor], limit: int = MAX_PER_BOOT) -> list[Anchor]:
    """Return the anchors of ONE boot worth keeping, at most ``limit``, in order of time.

    The last of ``anchors`` is the new one: it becomes a turn of the line if it is worth it. The
    newest turns take half of the room at most. The latest anchor is always kept; after that the
    one goes first whose place another one serves best.
    """
    *before, new = anchors
    turns = turns_of(before) if before else []
    if wants_turn(before, new):
        turns.append(new)
    marked = {one: msgspec.structs.replace(one, is_turn=True) for one in turns}
    anchors = [marked.get(one, one) for one in anchors]
    turns = list(marked.values())[-max(limit // 2, 1) :]
    kept: list[Anchor] = []
    for anchor in sorted(anchors, key=lambda one: (_error(one), -one.mono_ms)):
        if not any(_is_beaten(anchor, better) for better in kept):
            kept.append(anchor)
    kept.sort(key=lambda one: one.mono_ms)
    while len({*kept, *turns}) > limit:
        del kept[_least_missed(kept)]
    return sorted({*kept, *turns}, key=lambda one: one.mono_ms)


def _error(anchor: Anchor) -> float:
    return float("inf") if anchor.error_ms is None else anchor.error_ms


def _bound_at(mono_ms: int, anchor: Anchor) -> float:
    return _error(anchor) + drift_ms(mono_ms - anchor.mono_ms)


def _is_beaten(anchor: Anchor, better: Anchor) -> bool:
    """Drift grows alike for both, so who is better at the anchor's own moment is so everywhere."""
    return _bound_at(anchor.mono_ms, better) <= _error(anchor)


def _least_missed(kept: Sequence[Anchor]) -> int:
    def growth(place: int) -> float:
        mono_ms = kept[place].mono_ms
        others = (_bound_at(mono_ms, one) for i, one in enumerate(kept) if i != place)
        return min(others) - _error(kept[place])

    return min(range(len(kept) - 1), key=growth)
