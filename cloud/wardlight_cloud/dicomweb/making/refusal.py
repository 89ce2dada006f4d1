"""Why something cannot be made; the sentence goes to the client."""


class Refusal(Exception):
    """Of this object, in this form."""


class AbsentError(Refusal):
    """The object has no such frame, attribute or item."""
