"""Whether a store that refused something is away, or would refuse the same again for its values."""

from typing import Final

from wardlight_shared.errors import StorageError

_DATA_CLASSES: Final = ("22", "23", "54")  # SQLSTATE: data exception, integrity, program limit


def is_about_values(error: Exception) -> bool:
    """True when the values are to blame, not the state of the database.

    A StorageError without a cause is about values: the server's words on them must not be chained.
    """
    if not isinstance(error, StorageError):
        return not isinstance(error, TimeoutError | OSError)
    if error.__cause__ is None:
        return True
    return str(getattr(error.__cause__, "sqlstate", None)).startswith(_DATA_CLASSES)
