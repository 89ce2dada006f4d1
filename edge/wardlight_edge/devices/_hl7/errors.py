"""Why a message is not accepted, in the words of its acknowledgement.

Source  HL7 v2.6, 2.14.5 ERR; table 0357 (message error condition codes), table 0008 (MSA-1)
"""

from typing import Final

from wardlight_shared.errors import DecodeError

CONDITIONS: Final = {
    100: "Segment sequence error",
    101: "Required field missing",
    102: "Data type error",
    103: "Table value not found",
    200: "Unsupported message type",
    202: "Unsupported processing id",
    203: "Unsupported version id",
    207: "Application internal error",
}


class Hl7Error(DecodeError):
    """A message that cannot be taken.

    where      ERR-2: segment, its number among those of its name, field; "" = the whole message
    condition  a key of CONDITIONS
    """

    def __init__(self, condition: int, where: str, reason: str) -> None:
        super().__init__(f"HL7 {where or 'message'}: {reason}")
        self.condition = condition
        self.where = where
        self.reason = reason

    @property
    def is_reject(self) -> bool:
        """AR: the message is none of those taken here; else AE: something in it is wrong."""
        return 200 <= self.condition < 207
