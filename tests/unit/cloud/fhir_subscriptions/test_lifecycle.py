"""The states of a subscription, under any history; addresses that nothing is sent to."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardlight_cloud.fhir.subscriptions import lifecycle
from wardlight_cloud.fhir.subscriptions.endpoints import (
    BadEndpointError,
    check_endpoint,
    connected,
)
from wardlight_cloud.fhir.subscriptions.ports import Bounds
from wardlight_cloud.fhir.subscriptions.signing import secret, signature
from wardlight_cloud.store.subscriptions import (
    Settled,
    Subscriber,
    SubscriptionRow,
    SubscriptionState,
)

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
NEW = SubscriptionRow(
    "s", Subscriber("c", None, None, (), "https://x/fhir"), (), 1, 1, 1,
    SubscriptionState.REQUESTED, "requested", "", b"{}", False, 0, 0, 0, None, None,
)  # fmt: skip
STEP = st.one_of(
    st.tuples(st.sampled_from(["taken", "refused", "died", "events"]), st.integers(1, 5)),
    st.tuples(st.just("refused"), st.integers(1, 100_000)),
)


def after(row: SubscriptionRow, settled: Settled) -> SubscriptionRow:
    return replace(
        row, state=settled.state, reason=settled.reason, attempts=settled.attempts,
        failing_since=settled.failing_since, sent_number=max(row.sent_number, settled.sent_number),
        is_matching=row.is_matching or settled.begins,
    )  # fmt: skip


@given(st.lists(STEP, max_size=60))
def test_any_history(steps: list[tuple[str, int]]) -> None:
    """``died``: sent, and never noted. A receiver gets 1, 2, ..., some of them again."""
    row, now, received = NEW, BEGAN, list[int]()
    for what, size in steps:
        if what == "events":
            row = replace(row, last_number=row.last_number + size if row.is_matching else 0)
            continue
        if row.state is SubscriptionState.OFF:
            assert now - BEGAN >= lifecycle.GIVE_UP_AFTER and row.reason
            break
        is_handshake = row.state is SubscriptionState.REQUESTED
        upto = row.sent_number if is_handshake else min(row.last_number, row.sent_number + size)
        if what in ("taken", "died"):
            received += range(row.sent_number + 1, upto + 1)
        if what == "taken":
            settled = lifecycle.arrived(row, upto, None)
            assert settled.begins is is_handshake and settled.pause_s is None
            row = after(row, settled)
            assert (row.state, row.attempts) == (SubscriptionState.ACTIVE, 0)
            assert row.failing_since is None and row.reason == ""
        elif what == "refused":
            now += timedelta(seconds=size)
            before, settled = row, lifecycle.failed(row, "no", now)
            row = after(row, settled)
            assert row.sent_number == before.sent_number
            if row.state is not SubscriptionState.OFF:
                assert settled.pause_s is not None and 1 <= settled.pause_s <= 900
                is_error = row.attempts >= lifecycle.ERROR_AFTER
                assert (row.state is SubscriptionState.ERROR) is is_error
    first_time = [n for place, n in enumerate(received) if n not in received[:place]]
    assert first_time == list(range(1, len(first_time) + 1))
    assert row.sent_number <= len(first_time) <= row.last_number


def test_pauses_grow_and_end() -> None:
    pauses = [lifecycle.pause_s(n) for n in range(1, 40)]
    assert pauses[:5] == [1, 2, 4, 8, 16] and pauses == sorted(pauses) and pauses[-1] == 900
    assert sum(lifecycle.pause_s(n) for n in range(1, lifecycle.ERROR_AFTER)) < 60


NOWHERE = Bounds()
HERE = Bounds(on_this_machine=True)
HOSPITAL = Bounds(networks=(ip_network("10.1.0.0/16"),))


@pytest.mark.parametrize(
    ("url", "bounds", "is_taken"),
    [
        ("https://93.184.216.34/x", NOWHERE, True),
        ("https://receiver.example/x", NOWHERE, True),
        ("https://10.1.2.3/x", NOWHERE, False),
        ("https://10.1.2.3/x", HOSPITAL, True),
        ("https://10.2.2.3/x", HOSPITAL, False),
        ("https://127.0.0.1/x", NOWHERE, False),
        ("https://127.0.0.1/x", HERE, True),
        ("http://127.0.0.1/x", HERE, True),
        ("http://127.0.0.2/x", HERE, False),
        ("http://127.0.0.1/x", NOWHERE, False),
        ("https://[::1]/x", NOWHERE, False),
        ("https://[::ffff:127.0.0.1]/x", HERE, False),
        ("https://[::ffff:10.1.2.3]/x", NOWHERE, False),
        ("https://[2002:7f00:1::]/x", NOWHERE, False),
        ("https://[64:ff9b::a01:203]/x", NOWHERE, False),
        ("https://169.254.169.254/latest", HOSPITAL, False),
        ("https://0.0.0.0/", HERE, False),
        ("https://224.0.0.1/", NOWHERE, False),
        ("https://x.example:99999/", NOWHERE, False),
        ("https://x.example/#y", NOWHERE, False),
        ("https://x.example/ y", NOWHERE, False),
        ("file:///etc/passwd", HERE, False),
        ("https://", NOWHERE, False),
        ("http://10.1.2.3/x", HOSPITAL, False),
    ],
)
def test_where_notices_may_go(url: str, bounds: Bounds, is_taken: bool) -> None:
    if is_taken:
        check_endpoint(url, bounds)
        return
    with pytest.raises(BadEndpointError):
        check_endpoint(url, bounds)


async def test_a_name_that_leads_inside_is_not_asked() -> None:
    parts = check_endpoint("https://localhost/x", NOWHERE)
    with pytest.raises(BadEndpointError, match="not public"):
        await connected(parts, NOWHERE, None)


def test_signature_is_that_of_rfc_2104() -> None:
    """Of `printf '1700000000.{}' | openssl dgst -sha256 -hmac wls_test`."""
    wanted = "v1=f01f50dc3fda1504ae96ae3dc9829ae2fa6e2328d5e15fd4a002f63cb5e27c4d"
    assert signature("wls_test", 1_700_000_000, b"{}") == wanted
    assert len({secret(b"k" * 32, name, turn) for name in "ab" for turn in (1, 2)}) == 4
