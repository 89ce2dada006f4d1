"""ISO/IEEE 11073-20601 in parts: encoding, frames, association, configuration, reports, manager."""
