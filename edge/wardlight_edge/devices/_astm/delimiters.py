"""What an H record declares: the delimiters of its message, and how text escapes them.

Source  ASTM E1394-97 (CLSI LIS02-A2) 6 (delimiters), 7.2 (H-2)
"""

import msgspec

from wardlight_edge.devices._escapes import resolved


class Delimiters(msgspec.Struct, frozen=True):
    """What H declares."""

    field: str = "|"
    repeat: str = "\\"
    component: str = "^"
    escape: str = "&"

    def components(self, field: str) -> list[str]:
        """Components of a field's first repetition, as text."""
        return [self.text(part) for part in field.split(self.repeat)[0].split(self.component)]

    def text(self, part: str) -> str:
        """A field or component as text, escapes resolved."""
        if self.escape in part:
            meanings = {
                "F": self.field,
                "S": self.component,
                "R": self.repeat,
                "E": self.escape,
            }
            part = resolved(part, self.escape, meanings, "latin-1")
        return part.strip()
