"""The consent codes of a device's users: what a file may hold."""

from pathlib import Path

import pytest

from wardlight_edge.config import DeviceSettings, UserSettings
from wardlight_edge.devices import Consent
from wardlight_edge.secret_file import PrivateFileError
from wardlight_edge.sessions.consent_codes import consents_of


def scale(folder: Path, *texts: str | None, mode: int = 0o600) -> DeviceSettings:
    """A scale with these codes, of users from 1; None = no file."""
    users = []
    for index, text in enumerate(texts, 1):
        file = folder / f"user-{index}.code"
        if text is not None:
            file.write_text(text, encoding="utf-8")
            file.chmod(mode)
        users.append(UserSettings(index=index, consent_code_file=file))
    return DeviceSettings(identity="ble:E00000000001", profile="scale", users=tuple(users))


def test_codes_are_those_of_the_users_in_their_order(tmp_path: Path) -> None:
    assert consents_of(scale(tmp_path, "1234\n", " 0042 ", "7")) == (
        Consent(1, 1234), Consent(2, 42), Consent(3, 7),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "mode", "word"),
    [
        ("1234\n", 0o644, "chmod 600"),
        ("12345\n", 0o600, "1 to 4 digits"),
        ("-123\n", 0o600, "1 to 4 digits"),
        ("", 0o600, "1 to 4 digits"),
        ("\u0661\u0662\u0663\u0664", 0o600, "1 to 4 digits"),
        (None, 0o600, "cannot be read"),
    ],
)
def test_a_file_that_holds_none_is_named_and_not_repeated(
    text: str | None, mode: int, word: str, tmp_path: Path
) -> None:
    device = scale(tmp_path, text, mode=mode)
    with pytest.raises(PrivateFileError, match=word) as caught:
        consents_of(device)
    place, what = str(device.users[0].consent_code_file), str(caught.value)
    assert place in what
    assert not text or text.strip() not in what.replace(place, "")
