"""What HL7 v2 out counts."""

from prometheus_client import Counter

OBSERVATIONS = Counter("wardlight_hl7_observations", "Observations that messages were made of")
MESSAGES = Counter("wardlight_hl7_messages", "Messages sent, by the acknowledgement", ["result"])
