"""What ``wardlight-edge doctor`` says of one thing it has looked at."""

import msgspec


class Finding(msgspec.Struct, frozen=True):
    """One check: what was looked at, whether it is good, and what was found or must be done."""

    what: str
    good: bool
    text: str


def bad(what: str, text: str) -> Finding:
    """Something must be done; ``text`` says what."""
    return Finding(what, good=False, text=text)


def good(what: str, text: str) -> Finding:
    """Nothing must be done."""
    return Finding(what, good=True, text=text)
