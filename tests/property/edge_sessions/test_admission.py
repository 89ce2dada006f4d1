"""The state machine before a session: who is on the link, and what becomes of its values.

Rules, whatever happens in whatever order: each value has one fate; a value is refused only after
its device or a later one under the same address gave another serial number; it is taken only after
a link has said who the device is and the newest such answer speaks for it; values of one fate keep
their order; what waits survives a restart.
"""

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from support.manual_clock import ManualClock
from support.session_bench import CUFF, IDENTITY
from wardlight_edge.config import DeviceSettings
from wardlight_edge.sessions.admission import Admission, Answer
from wardlight_edge.sessions.device_clock import DeviceClockKeeper
from wardlight_edge.sessions.gate import HOLD_MS
from wardlight_edge.sessions.sealing import Sealer
from wardlight_edge.sessions.told import Told
from wardlight_edge.sessions.waiting_room import CAPACITY, Vault
from wardlight_edge.transports.base import Octets

RIGHT = "SN-1"


class Machine(RuleBasedStateMachine):
    """One bound device; values are numbered."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="admission"))
        self.clock = ManualClock()
        self.is_up = False
        self.answers: list[str | None] = []
        self.said_on_link: list[str | None] = []
        self.arrived = 0
        self.taken: list[int] = []
        self.refused: list[int] = []
        self.turned_away: list[int] = []
        self.begin()

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def begin(self) -> None:
        sealer = Sealer(bytes(32))
        vault = Vault(self.folder, sealer.seal, sealer.open_sealed)
        device = DeviceSettings(identity=IDENTITY, profile="cuff", serial_number=RIGHT)
        keeper = DeviceClockKeeper(self.clock, lambda: True)
        self.admission = Admission(device, CUFF, keeper, self.clock, vault)
        self.answers = []

    def settle(self) -> None:
        for each in self.admission.decided(self.clock.mono_ms()):
            number = int.from_bytes(each.arrival.octets, "big")
            if each.is_refused:
                assert self.said_on_link[-1] not in {RIGHT, None}
                self.refused.append(number)
            else:
                assert self.answers[-1] in {RIGHT, None}
                self.taken.append(number)

    @precondition(lambda self: not self.is_up)
    @rule()
    def link_up(self) -> None:
        self.is_up, self.said_on_link = True, []
        self.admission.link_up(self.clock.mono_ms())
        self.settle()

    @precondition(lambda self: self.is_up)
    @rule(how_many=st.one_of(st.integers(1, 3), st.just(CAPACITY)))
    def values(self, how_many: int) -> None:
        for _ in range(how_many):
            self.arrived += 1
            octets = self.arrived.to_bytes(4, "big")
            moment = self.clock.mono_ms(), self.clock.wall_ms()
            match self.admission.ask(Octets("0x2A35", octets, *moment)):
                case Answer.TAKEN:
                    assert self.answers, "nobody has said who it is"
                    assert self.answers[-1] in {RIGHT, None}
                    self.taken.append(self.arrived)
                case Answer.REFUSED:
                    assert self.said_on_link
                    assert self.said_on_link[-1] not in {RIGHT, None}
                    self.refused.append(self.arrived)
                case Answer.NO_ROOM:
                    assert self.admission.waiting == CAPACITY
                    self.turned_away.append(self.arrived)
                case Answer.WAITS:
                    pass

    @precondition(lambda self: self.is_up)
    @rule(answer=st.sampled_from([RIGHT, None, "SN-9"]))
    def says_who_it_is(self, answer: str | None) -> None:
        self.answers.append(answer)
        self.said_on_link.append(answer)
        self.admission.identified(answer)
        self.settle()

    @precondition(lambda self: self.is_up)
    @rule()
    def clock_read(self) -> None:
        self.admission.told(Told(is_clock=True))
        self.settle()

    @precondition(lambda self: self.is_up)
    @rule()
    def reads_done(self) -> None:
        self.admission.reads_done()
        self.settle()

    @rule(pause_ms=st.sampled_from([1, 1000, HOLD_MS, 86_400_000]))
    def time_passes(self, pause_ms: int) -> None:
        self.clock.advance(pause_ms)
        self.settle()

    @precondition(lambda self: self.is_up)
    @rule()
    def link_down(self) -> None:
        self.is_up = False
        self.admission.reads_done()
        self.settle()
        self.admission.link_down()
        assert self.admission.save()

    @precondition(lambda self: not self.is_up)
    @rule(is_reboot=st.booleans())
    def restart(self, is_reboot: bool) -> None:
        waiting = self.admission.waiting
        if is_reboot:
            self.clock.reboot(self.clock.boot_id() + "x", mono_ms=HOLD_MS)
        self.begin()
        assert self.admission.waiting == waiting

    @invariant()
    def each_value_has_one_fate(self) -> None:
        fates = [*self.taken, *self.refused, *self.turned_away]
        assert len(set(fates)) == len(fates)
        assert len(fates) + self.admission.waiting == self.arrived

    @invariant()
    def values_keep_their_order(self) -> None:
        assert self.taken == sorted(self.taken)
        assert self.refused == sorted(self.refused)


TestAdmission = Machine.TestCase
TestAdmission.settings = hypothesis_settings(max_examples=60, stateful_step_count=40)
