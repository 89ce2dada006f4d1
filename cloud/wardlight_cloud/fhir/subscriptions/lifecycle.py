"""The states of a subscription, as pure functions from what is and what happened to what follows.

    requested   a handshake is owed; after it: active
    active      events are sent as they come, a heartbeat where nothing else was
    error       five notices in a row did not arrive; they are tried again all the same, and one
                that arrives makes it active
    off         by its owner, or for ever: three days without an answer, its end, no permission

Events are numbered from the first handshake on, in each of the first three states.
"""

from datetime import datetime, timedelta
from typing import Final

from wardlight_cloud.store.subscriptions import Settled, SubscriptionRow, SubscriptionState

ERROR_AFTER: Final = 5
GIVE_UP_AFTER: Final = timedelta(days=3)
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 900.0
ENDED: Final = "its end has come"
FAILED: Final = "this server fails to serve it; its operator finds why in the log"
UNREADABLE: Final = "it cannot be read"
NOT_PERMITTED: Final = "the permission that it was made with has ended"


def arrived(row: SubscriptionRow, upto: int, heartbeat_s: int | None) -> Settled:
    """A notice was taken; events up to this number have arrived."""
    begins = row.state is SubscriptionState.REQUESTED
    return Settled(SubscriptionState.ACTIVE, "", 0, None, upto, heartbeat_s, begins=begins)


def failed(row: SubscriptionRow, reason: str, now: datetime) -> Settled:
    """A notice was not taken."""
    since = row.failing_since or now
    attempts = row.attempts + 1
    if now - since >= GIVE_UP_AFTER:
        days = GIVE_UP_AFTER.days
        return stopped(row, f"no notice has arrived for {days} days: {reason}")
    is_error = attempts >= ERROR_AFTER or row.state is SubscriptionState.ERROR
    state = SubscriptionState.ERROR if is_error else row.state
    return Settled(state, reason, attempts, since, row.sent_number, pause_s(attempts))


def stopped(row: SubscriptionRow, reason: str) -> Settled:
    """Nothing is sent any more."""
    return Settled(SubscriptionState.OFF, reason, 0, None, row.sent_number, None)


def pause_s(attempts: int) -> float:
    """Seconds after so many failures in a row: doubled each time, 900 at most."""
    return min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(attempts - 1, 16))
