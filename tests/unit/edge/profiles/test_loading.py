"""Profiles from a folder."""

from pathlib import Path

import pytest

from wardlight_edge import profiles
from wardlight_shared.errors import ProfileError

GOOD = """
schema = 1
decoder = "blood_pressure"
device = { manufacturer = "m", model = "m" }
[[metric]]
name = "systolic_bp"
"""


def test_the_named_profiles_are_loaded_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "good.toml").write_text(GOOD)
    (tmp_path / "broken.toml").write_text("schema = ")
    loaded = profiles.load(tmp_path, ["good", "good"])
    assert list(loaded) == ["good"]
    assert loaded["good"].decoder == "blood_pressure"


def test_a_missing_profile_names_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "good.toml").write_text(GOOD)
    with pytest.raises(ProfileError, match=r"bad\.toml: no such profile; .* holds good"):
        profiles.load(tmp_path, ["bad"])


@pytest.mark.parametrize("folder", ["empty", "missing"])
def test_a_folder_without_profiles_names_the_key(tmp_path: Path, folder: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ProfileError, match="profiles_dir"):
        profiles.load(tmp_path / folder, ["good"])


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (GOOD.replace("schema = 1", "schema = 2"), "schema"),
        (GOOD.replace("systolic_bp", "mood"), "mood"),
        (GOOD + "colour = 1", "colour"),
        ("schema = ", "broken"),
    ],
)
def test_errors_name_file_and_key(tmp_path: Path, text: str, where: str) -> None:
    file = tmp_path / "broken.toml"
    file.write_text(text)
    with pytest.raises(ProfileError) as caught:
        profiles.load_file(file)
    assert str(file) in str(caught.value)
    assert where in str(caught.value)


def test_what_is_no_text_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_bytes(b"schema = 1\xff")
    with pytest.raises(ProfileError, match="not UTF-8"):
        profiles.load_file(file)
    file.write_bytes(b"#" * (profiles.MAX_BYTES + 1))
    with pytest.raises(ProfileError, match="at most"):
        profiles.load_file(file)
    with pytest.raises(ProfileError, match="cannot be read"):
        profiles.load_file(tmp_path)


def test_all_profiles_of_a_folder(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / f"{name}.toml").write_text(GOOD)
    assert list(profiles.load_all(tmp_path)) == ["a", "b"]
    with pytest.raises(ProfileError, match="profiles_dir"):
        profiles.load_all(tmp_path / "none")


def test_every_profile_of_the_house_loads(repository: Path) -> None:
    loaded = profiles.load_all(repository / "firmware-configs")
    assert "generic-blood-pressure" in loaded
