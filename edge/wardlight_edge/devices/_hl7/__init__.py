"""HL7 v2 over MLLP, in parts: frames, messages, times, observations, acknowledgements."""
