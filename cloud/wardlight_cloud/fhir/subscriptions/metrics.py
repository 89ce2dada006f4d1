"""What subscriptions count."""

from prometheus_client import Counter

NOTICES = Counter("wardlight_subscription_notices", "Notices by what became of them", ["result"])
EVENTS = Counter("wardlight_subscription_events", "Events of subscriptions")
