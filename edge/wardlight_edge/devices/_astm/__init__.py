"""ASTM E1381 and E1394 in parts: frames, the link's state machine, records, the conversation."""
