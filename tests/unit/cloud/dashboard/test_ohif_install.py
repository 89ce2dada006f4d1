"""Installing OHIF: what is unpacked, what is refused, and that it is all or nothing."""

import json
import tarfile
from pathlib import Path

import pytest

from support.viewer_package import APP, FILES, installer, tarball
from wardlight_cloud.cli import main
from wardlight_cloud.dashboard import ohif_package
from wardlight_cloud.dashboard.ohif_install import Installer, npm_pack
from wardlight_cloud.dashboard.ohif_package import INTEGRITY, ViewerError, verify


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return tarball(tmp_path / "ohif-app.tgz")


@pytest.fixture
def viewers(tmp_path: Path) -> Path:
    return tmp_path / "data" / "viewers"


def test_what_is_installed_is_ours_and_whole(package: Path, viewers: Path) -> None:
    folder = installer(viewers, package).install(package)
    assert (viewers / "ohif").resolve() == folder
    names = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    assert {"notices/LICENSE", "assets/a.ico", f"{APP}.gz", "start.js"} <= names
    assert not [name for name in names if "ort/" in name or "microscopy" in name or ".map" in name]
    assert "sw.js" not in names
    page = (folder / "index.html").read_text()
    assert "<script>" not in page
    assert page.index("/ohif/start.js") < page.index("/ohif/app-config.js")
    assert f'src="/ohif/{APP}"' in page
    assert 'href="/ohif/assets/a.ico"' in page
    assert '.p = "/ohif/"' in (folder / APP).read_text()
    assert "url(/ohif/font.woff2)" in (folder / "main.css").read_text()
    assert json.loads((folder / "manifest.json").read_text())["start_url"] == "/ohif/"
    for name in ("app-config.js", "init-service-worker.js"):
        assert "example" not in (folder / name).read_text()
    config = (folder / "app-config.js").read_text()
    assert "://" not in config.replace("// ", "")


def test_again_replaces_and_remove_removes(package: Path, viewers: Path) -> None:
    own = installer(viewers, package)
    first = own.install(package)
    second = own.install(package)
    assert first != second
    assert [folder.name for folder in viewers.glob("ohif-*")] == [second.name]
    assert own.installed == second
    assert own.remove()
    assert own.installed is None
    assert not list(viewers.glob("ohif*"))
    assert not own.remove()


def test_a_wrong_checksum_changes_nothing(package: Path, viewers: Path, tmp_path: Path) -> None:
    own = installer(viewers, package)
    served = own.install(package)
    other = tarball(tmp_path / "other.tgz", {**FILES, "package/dist/evil.js": b"1"})
    with pytest.raises(ViewerError, match="wrong checksum, so nothing was installed"):
        own.install(other)
    assert own.installed == served
    assert [folder.name for folder in viewers.glob("ohif-*")] == [served.name]


def test_only_the_pinned_package_is_taken(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command itself, which trusts no other file than npm's own."""
    settings = tmp_path / "cloud.toml"
    settings.write_text('data_dir = "data"')
    command = ["viewer", "install", "--config", str(settings)]
    assert main([*command, "--from", str(package)]) == 1
    assert INTEGRITY in capsys.readouterr().err
    assert main([*command, "--from", str(tmp_path / "none.tgz")]) == 1
    assert "there is no such file" in capsys.readouterr().err
    assert main([*command, "--remove"]) == 0
    assert "It was not installed." in capsys.readouterr().out


@pytest.mark.parametrize(
    "name",
    ["../evil.js", "package/dist/../../../evil.js", "/evil.js", "package\\dist\\evil.js"],
)
def test_names_that_lead_elsewhere_are_refused(name: str, viewers: Path, tmp_path: Path) -> None:
    hostile = tarball(tmp_path / "hostile.tgz", {**FILES, name: b"1"})
    with pytest.raises(ViewerError, match="forbidden name"):
        installer(viewers, hostile).install(hostile)
    assert not list(tmp_path.rglob("evil*"))
    assert not list(viewers.glob("ohif-*"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_are_left_out(kind: bytes, viewers: Path, tmp_path: Path) -> None:
    link = tarfile.TarInfo("package/dist/link.js")
    link.type, link.linkname = kind, "/etc/passwd"
    hostile = tarball(tmp_path / "hostile.tgz", FILES, link)
    folder = installer(viewers, hostile).install(hostile)
    assert not (folder / "link.js").exists()
    assert not (folder / "link.js").is_symlink()


@pytest.mark.parametrize(("bound", "most"), [("_FILES_MAX", 5), ("_UNPACKED_MAX", 3000)])
def test_an_archive_without_end_is_refused(
    bound: str, most: int, package: Path, viewers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ohif_package, bound, most)
    with pytest.raises(ViewerError, match="more than the package can have"):
        installer(viewers, package).install(package)
    assert not list(viewers.glob("ohif*"))


@pytest.mark.parametrize("damage", ["cut", "no-gzip", "no-page", "other-page"])
def test_a_damaged_package_installs_nothing(damage: str, viewers: Path, tmp_path: Path) -> None:
    files = dict(FILES)
    if damage == "no-page":
        del files["package/dist/index.html"]
    if damage == "other-page":
        files["package/dist/index.html"] = b"<html><head></head></html>"
    package = tarball(tmp_path / "damaged.tgz", files)
    if damage == "cut":
        package.write_bytes(package.read_bytes()[:300])
    if damage == "no-gzip":
        package.write_bytes(b"<html>proxy: sign in</html>")
    with pytest.raises(ViewerError):
        installer(viewers, package).install(package)
    assert not list(viewers.glob("ohif*"))


def test_a_failed_fetch_is_taken_up_again(package: Path, viewers: Path) -> None:
    """A tarball that is cut is fetched anew; one that is whole is not fetched again."""
    fetched: list[str] = []

    def cut_off(folder: Path) -> Path:
        fetched.append("cut")
        (folder / "ohif-app.tgz").write_bytes(package.read_bytes()[:100])
        raise ViewerError("the line is dead")

    def whole(folder: Path) -> Path:
        fetched.append("whole")
        target = folder / "ohif-app.tgz"
        target.write_bytes(package.read_bytes())
        return target

    own = installer(viewers, package)
    with pytest.raises(ViewerError, match="dead"):
        own.install(None, cut_off)
    assert own.installed is None
    (viewers / "ohif-3.13.2-left").mkdir()
    folder = own.install(None, whole)
    assert own.installed == folder
    assert fetched == ["cut", "whole"]
    assert {path.name for path in viewers.iterdir()} == {"lock", "ohif", folder.name}
    (viewers / "incoming").mkdir()
    whole(viewers / "incoming")
    own.install(None, cut_off)
    assert fetched == ["cut", "whole", "whole"]


def _fake_npm(folder: Path, script: str) -> None:
    npm = folder / "npm"
    npm.write_text(f"#!/bin/sh\n{script}\n")
    npm.chmod(0o755)


def test_npm_is_asked_for_exactly_this_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: Path
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    _fake_npm(tmp_path, f'echo "$@" > asked; cp {package} "$5"/ohif-app-3.13.2.tgz')
    target = tmp_path / "incoming"
    target.mkdir()
    assert npm_pack(target) == target / "ohif-app-3.13.2.tgz"
    asked = (target / "asked").read_text().split()
    assert asked[:4] == ["pack", "@ohif/app@3.13.2", "--ignore-scripts", "--pack-destination"]


def test_npm_s_failures_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ViewerError, match="npm is not installed"):
        npm_pack(tmp_path)
    _fake_npm(tmp_path, "echo 'npm error network ENOTFOUND' >&2; exit 7")
    with pytest.raises(ViewerError, match=r"exit code 7(?s:.*)ENOTFOUND"):
        npm_pack(tmp_path)


def test_two_at_once_do_not_mix(package: Path, viewers: Path) -> None:
    own = installer(viewers, package)

    def meanwhile(folder: Path) -> Path:
        with pytest.raises(ViewerError, match="Another"):
            Installer(viewers).remove()
        return package

    own.install(None, meanwhile)


def test_the_pin_is_a_sha512(package: Path) -> None:
    with pytest.raises(ViewerError, match="wrong checksum"):
        verify(package)
    assert len(INTEGRITY) == len("sha512-") + 88
